/** Where the kernel image (UKI) of each slot lies: for the boot loader to start, and for us to write, read and make deltas from. */

import type { Sha256, SlotName, Version } from '../../model.ts';
import type { FileReader, IncomingUki } from './uki-file.ts';
import type { UkiPart } from './uki-part.ts';

/** A slot must be disabled before its kernel is changed. */
export interface Kernels {
  /** Whether there will be room for a kernel of that size once the slot's present one is gone; refuses with `esp-full`. */
  checkRoom(target: SlotName, size: number): Promise<void>;
  /**
   * While the slot still holds what it held: refuses a kernel that could not be put there, or not be started from there once it is. `content`
   * reads what is going to be put.
   */
  checkFit(target: SlotName, uki: IncomingUki, content: FileReader): Promise<void>;
  /** Puts a kernel where `arm` finds it, durably, and reads it back. */
  put(target: SlotName, uki: IncomingUki, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** The kernel that the slot starts from. */
  open(slot: SlotName): Promise<FileReader | undefined>;
  /** What an earlier attempt has put together of that version for the slot, or nothing yet. */
  openPart(target: SlotName, version: Version, size: number): Promise<UkiPart>;
  /** As `put`, from what was put together; false when it is not the promised kernel. */
  adoptPart(target: SlotName, uki: IncomingUki): Promise<boolean>;
  removeParts(): Promise<void>;
  /** The root hash that the slot's kernel names. */
  rootHash(slot: SlotName): Promise<Sha256 | undefined>;
}
