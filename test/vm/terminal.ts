/** A program in a root of its own, and a conversation with it over its standard input and output, as a person has at a terminal. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';

/** What a program tells its terminal (OSC), such as a title. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is made of them
const COMMANDS = /\u001b\].*?(?:\u0007|\u001b\\)/g;
/** The beginning of a control code at the end of what has come: the rest comes with the next bytes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is made of them
const BEGINNING = /\u001b(?:\[[0-9;?!]*|\][^\u0007\u001b]{0,300}\u001b?)?$/;

export class Terminal implements AsyncDisposable {
  /** All that it has printed, without control codes. */
  output = '';
  private readonly child: ChildProcess;
  private readonly listeners = new Set<() => void>();
  private readonly ended: Promise<unknown>;
  private isOver = false;
  private rest = '';

  private constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text) => this.take(text));
    this.ended = once(child, 'exit').finally(() => {
      this.isOver = true;
      this.wake();
    });
  }

  /** `cwd` is below `root`. */
  static open(root: string, cwd: string, command: readonly string[]): Terminal {
    const inside = ['sh', '-c', 'cd "$0" && exec "$@"', cwd, ...command];
    // A /dev/kvm that exists may still be of no use.
    const { ACCELERATOR = 'tcg' } = process.env;
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8', TERM: 'dumb', ACCELERATOR };
    // In a group of its own, so that what it has started ends with it.
    return new Terminal(spawn('chroot', [root, ...inside], { env, detached: true, stdio: 'pipe' }));
  }

  say(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Waits for a text after `from` characters of output; throws when the program ends first, or it takes longer. */
  async until(pattern: RegExp, from: number, patienceMs: number): Promise<RegExpExecArray> {
    const late = AbortSignal.timeout(patienceMs);
    late.addEventListener('abort', () => this.wake());
    for (;;) {
      const found = pattern.exec(this.output.slice(from));
      if (found) return found;
      if (this.isOver || late.aborted) throw new Error(`${pattern} does not come:\n${this.output.slice(-3000)}`);
      await new Promise<void>((resolve) => this.listeners.add(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid } = this.child;
    if (!this.isOver && pid !== undefined) process.kill(-pid, 'SIGKILL');
    await this.ended;
  }

  private take(text: string): void {
    const come = this.rest + text;
    const { index = come.length } = BEGINNING.exec(come) ?? {};
    this.rest = come.slice(index);
    this.output += stripVTControlCharacters(come.slice(0, index).replace(COMMANDS, '')).replaceAll('\r', '');
    this.wake();
  }

  private wake(): void {
    for (const listener of this.listeners) listener();
    this.listeners.clear();
  }
}
