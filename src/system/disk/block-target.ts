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
  /** Reads from the medium, past the page cache. The buffer is valid until the call after the next one, so one can read ahead. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills aligned memory of the caller, several calls at a time; whole blocks of 4096 bytes only. For what nobody writes meanwhile. */
  readInto?(offset: number, into: Uint8Array): Promise<void>;
  /** Takes all of `bytes`; they are not durable before `flush`, and a failure to write them may surface there. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** fsync, once: a failure means that the target's content is unknown. */
  flush(): Promise<void>;
}

/** A whole disk: its sectors have a size. */
export interface DiskTarget extends BlockTarget {
  readonly sectorSize: number;
}
