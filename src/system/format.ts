/** A document and its reader, held to each other: what the reader would not take again is never written. */

import { asUpdateError, UpdateError } from '../errors.ts';

/** How one kind of document is written and read. The reader shortens and leaves out; what it gives back it reads again unchanged. */
export type Format<T> = Readonly<{ name: string; write(value: T): string; read(bytes: Uint8Array): T }>;

/** What the reader of a document makes of `value`, and the bytes that say so. Throws `document-invalid` where it would refuse them. */
export function inFormat<T>({ name, write, read }: Format<T>, value: T): Readonly<{ value: T; bytes: Uint8Array }> {
  try {
    const understood = read(encode(write(value)));
    return { value: understood, bytes: encode(write(understood)) };
  } catch (error) {
    const message = `${name} was not written, since it could not be read again: ${asUpdateError(error).message}`;
    throw new UpdateError('document-invalid', message, { cause: error });
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
