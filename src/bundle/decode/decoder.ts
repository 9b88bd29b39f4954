/** The program of a decoding thread. */

/** A file, or the source text of a program. Branded, because any other program would start as a thread and exit silently. */
export type Decoder = (URL | string) & { readonly __brand: 'Decoder' };

/** The file next to this one; in the released single file, its text is substituted, so that a thread loads nothing else. */
export const DECODER = new URL('./worker.ts', import.meta.url) as Decoder;
