/** The kernel images (UKIs) of the slots: booted by the boot loader; written, read and used for deltas by us. */

import type { Sha256, SlotName, Version } from '../../model.ts';
import type { FileReader, IncomingUki } from './uki-file.ts';
import type { UkiPart } from './uki-part.ts';

/** Precondition for changing a kernel: its slot is disabled. */
export interface Kernels {
  /** Checks the room for a kernel once the slot's present one is gone; throws `esp-full`. */
  checkRoom(target: SlotName, size: number): Promise<void>;
  /** Before the slot is changed: refuses a kernel that could not be written, or not be started from there. `content` reads the new kernel. */
  checkFit(target: SlotName, uki: IncomingUki, content: FileReader): Promise<void>;
  /** Writes a kernel durably where `arm` finds it, and reads it back. */
  put(target: SlotName, uki: IncomingUki, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  open(slot: SlotName): Promise<FileReader | undefined>;
  /** A partial kernel of that version from an earlier attempt, or an empty one. */
  openPart(target: SlotName, version: Version, size: number): Promise<UkiPart>;
  /** Like `put`, from the assembled parts; false if it is not the expected kernel. */
  adoptPart(target: SlotName, uki: IncomingUki): Promise<boolean>;
  removeParts(): Promise<void>;
  /** The root hash in the slot's kernel. */
  rootHash(slot: SlotName): Promise<Sha256 | undefined>;
}
