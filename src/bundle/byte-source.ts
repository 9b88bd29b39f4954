/** Bytes that can be read from any offset: a bundle on a web server, on a stick, in memory. */

export interface ByteSource {
  /** For messages: a URL without credentials, or a path. */
  readonly name: string;
  /** Total bytes. */
  readonly size: number;
  /**
   * The bytes from `offset` up to `end` (default: to the end of the source), in pieces of any size. A source that can resume does
   * so by itself; what it throws is final for this attempt. Stopping the iteration releases the connection.
   */
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}
