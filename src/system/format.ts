/** Ties a document's writer to its reader: what the reader would refuse is never written. */

import { asUpdateError, UpdateError } from '../errors.ts';

/** How a kind of document is written and read. The reader may shorten and drop; its result must read back unchanged. */
export type Format<T> = Readonly<{ name: string; write(value: T): string; read(bytes: Uint8Array): T }>;

/** The reader's result for `value`, and its bytes. Throws `document-invalid` if the reader would refuse them. */
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
