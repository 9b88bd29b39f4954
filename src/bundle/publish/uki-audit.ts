/** Extracts the texts of a UKI from a stream, and checks that they belong to the release. */

import { UpdateError } from '../../errors.ts';
import { onlySection, type PeSection, peSections, sectionText } from '../../formats/pe.ts';
import type { UkiTexts } from '../image/uki.ts';

export interface UkiAudit {
  /** Bytes of the UKI, in order; the first piece must contain its section table. */
  add(offset: number, bytes: Uint8Array, fileSize: number): void;
  texts(): UkiTexts;
}

/** Buffers only two short sections. */
export function createUkiAudit(): UkiAudit {
  const kept = new Map<string, { section: PeSection; bytes: Uint8Array }>();
  return {
    add: (offset, bytes, fileSize) => {
      if (offset === 0) for (const section of wanted(bytes, fileSize)) kept.set(section.name, section);
      for (const { section, bytes: into } of kept.values()) copyOverlap(section.offset, into, offset, bytes);
    },
    texts: () => ({ commandLine: textOf(kept.get('.cmdline')), osRelease: textOf(kept.get('.osrel')) }),
  };
}

type Kept = Readonly<{ section: PeSection; bytes: Uint8Array }>;

function wanted(head: Uint8Array, fileSize: number): (Kept & { name: string })[] {
  const sections = peSections(head, fileSize);
  return ['.cmdline', '.osrel'].flatMap((name) => {
    const section = onlySection(sections, name);
    if (section === undefined) return [];
    if (section.size > TEXT_LIMIT)
      throw new UpdateError('uki-invalid', `The section ${name} has ${section.size} bytes.`);
    return [{ name, section, bytes: new Uint8Array(section.size) }];
  });
}

const TEXT_LIMIT = 64 * 1024;

function copyOverlap(start: number, into: Uint8Array, offset: number, bytes: Uint8Array): void {
  const from = Math.max(start, offset);
  const to = Math.min(start + into.length, offset + bytes.length);
  if (from < to) into.set(bytes.subarray(from - offset, to - offset), from - start);
}

const textOf = (kept: Kept | undefined): string | undefined => kept && sectionText(kept.bytes, kept.section.name);
