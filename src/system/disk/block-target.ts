/** The narrow interface for every byte of a slot. */

/**
 * A partition of the free slot (or, for tests and tools, a range of a file), opened exclusively for writing. Small on purpose: crash tests
 * replace it with a recorder that distinguishes “written” from “durable”.
 */
export interface BlockTarget extends AsyncDisposable {
  /** The name for messages. */
  readonly name: string;
  /** The size in bytes. */
  readonly size: number;
  /** Reads from the medium, bypassing the page cache. The buffer is valid until the call after the next, so that callers can read ahead. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Reads into the caller's aligned memory, several calls in parallel; whole 4096-byte blocks only. Only for ranges that are not being written. */
  readInto?(offset: number, into: Uint8Array): Promise<void>;
  /** Accepts all `bytes`. They are durable only after `flush`, where write errors may surface. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** fsync, once: after a failure, the content of the target is unknown. */
  flush(): Promise<void>;
}

/** A whole disk has a sector size. */
export interface DiskTarget extends BlockTarget {
  readonly sectorSize: number;
}
