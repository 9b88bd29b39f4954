/** Prints a story on the terminal: numbered scenes, what happens and how long it takes. */

export type Story = Readonly<{
  scene(title: string): void;
  /** A sentence of explanation. */
  say(text: string): void;
  /** Something that happened, with the time since the scene began. */
  happened(text: string): void;
}>;

export function createStory(print: (line: string) => void = console.log): Story {
  const bold = (text: string): string => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text);
  let number = 0;
  let begun = performance.now();
  return {
    scene(title) {
      number += 1;
      begun = performance.now();
      print(`\n${bold(`${number}. ${title}`)}`);
    },
    say: (text) => print(`   ${text}`),
    happened: (text) => print(`   ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${text}`),
  };
}
