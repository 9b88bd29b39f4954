/** The narrow door through which every byte of a slot passes. */

/**
 * A partition of the free slot (or, for tests and tools, a range of a file), opened for writing exclusively. Small on purpose:
 * the crash tests replace it by a recorder that keeps "written" and "durable" apart.
 */
export interface BlockTarget extends AsyncDisposable {
  /** Where it is, for messages. */
  readonly name: string;
  /** Bytes available. */
  readonly size: number;
  /** Reads from the medium, past the page cache. The buffer is valid until the next call. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Writes all of `bytes`; not durable before `flush`. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** fsync, once: a failure means that the target's content is unknown. */
  flush(): Promise<void>;
}
