/** A random-access byte source: a bundle on a web server, on a stick, or in memory. */

export interface ByteSource {
  /** The name for messages: a URL without credentials, or a path. */
  readonly name: string;
  /** Total bytes. */
  readonly size: number;
  /**
   * The bytes from `offset` up to `end` (default: the end of the source), in pieces of any size. A resumable source resumes by itself; an
   * error is final for this attempt. Stopping the iteration releases the connection.
   */
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}
