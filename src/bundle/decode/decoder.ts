/** The program of a decoding thread. */

/** A file, or the text of a program. Branded, since any other program would start as a thread and end without a word. */
export type Decoder = (URL | string) & { readonly __brand: 'Decoder' };

/** The file beside this one; in a released single file its text takes this place, so that a thread loads it and nothing else. */
export const DECODER = new URL('./worker.ts', import.meta.url) as Decoder;
