/** The program of a decoding thread. */

/** A file, or the text of a program. */
export type Decoder = URL | string;

/** The file beside this one; in a released single file its text takes this place, so that a thread loads it and nothing else. */
export const DECODER: Decoder = new URL('./decode-worker.ts', import.meta.url);
