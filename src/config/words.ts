/** Sentences and names shared by several configuration keys. */

export const verity = (slot: string): string =>
  `Label of the verity partition of slot ${slot}; empty if the root partition contains the tree.`;

export const bootPartition = (what: string, slot: string): string =>
  `${what} of the boot partition of slot ${slot} (Raspberry Pi).`;

export const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/** A key's name in code. */
export const camelCase = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
