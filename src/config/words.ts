/** Words that several configuration keys share. */

/** Of the label of a verity partition. */
export const verity = (slot: string): string =>
  `Label of the verity partition of slot ${slot}; empty when the tree is in the root partition.`;

/** Of a boot partition, where the firmware of a Raspberry Pi tries the slots. */
export const bootPartition = (what: string, is: string, slot: string): string =>
  `${what} the boot partition of slot ${slot} ${is}, on a Raspberry Pi.`;

/** What the address of a server looks like. */
export const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/** A key as it is called in code. */
export const camelCase = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
