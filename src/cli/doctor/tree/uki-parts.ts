/** The parts of a UKI that go with a tree: command line, initrd, kernel. */

import { kernelRelease } from '../../../formats/linux-image.ts';
import { onlySection, type PeSection, peMachine, peSections, sectionText } from '../../../formats/pe.ts';
import type { InitrdSource } from '../../../system/disk/initrd.ts';
import type { Companions } from './world.ts';

/** Reads exactly so many bytes. */
type ReadExactly = (offset: number, length: number) => Promise<Uint8Array>;

export async function ukiParts(
  name: string,
  read: ReadExactly,
  size: number,
): Promise<Pick<Companions, 'commandLine' | 'initrds' | 'kernel'>> {
  const head = await read(0, Math.min(size, HEAD));
  const [sections, machine] = [peSections(head, size), peMachine(head)];
  const section = (wanted: string): PeSection | undefined => onlySection(sections, wanted);
  const [commandLine, initrd, kernel] = [section('.cmdline'), section('.initrd'), section('.linux')];
  const release = kernel && kernelRelease(await read(kernel.offset, Math.min(kernel.size, HEAD)));
  return {
    ...(commandLine && commandLine.size <= HEAD
      ? { commandLine: sectionText(await read(commandLine.offset, commandLine.size), '.cmdline') }
      : {}),
    ...(initrd ? { initrds: [{ name, source: sectionSource(read, initrd) }] } : {}),
    ...(kernel
      ? {
          kernel: {
            name,
            ...(release === undefined ? {} : { release }),
            ...(machine === undefined ? {} : { machine }),
          },
        }
      : {}),
  };
}

const HEAD = 64 * 1024;
const PIECE = 1024 * 1024;

function sectionSource(read: ReadExactly, { offset, size }: PeSection): InitrdSource {
  return {
    size,
    open: async function* (at, signal, end = size) {
      for (let from = at; from < end; from += PIECE) {
        signal.throwIfAborted();
        yield await read(offset + from, Math.min(PIECE, end - from));
      }
    },
  };
}
