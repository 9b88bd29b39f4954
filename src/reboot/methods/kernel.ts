/** The contents of a boot image (UKI): digests of kernel and initrd, and the command line. */

import { createHash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import { commandLineWords, onlySection, type PeSection, peSections, sectionText } from '../../formats/pe.ts';
import { SHA256_PATTERN, type Sha256 } from '../../model.ts';
import type { FileReader } from '../kernels/uki-file.ts';

export type Kernel = Readonly<{
  linux: Sha256;
  /** Over microcode and initrd. */
  initrd: Sha256;
  /** Over everything else that the boot loader starts or passes on with the kernel. */
  others: Sha256;
  /** Without the root hash; words separated by single spaces. */
  commandLine: string;
  rootHash: Sha256;
  /** The output of `uname -r`, if the boot image states it. */
  release?: string;
  /** A section that only firmware and boot loader can use. */
  beyondKexec?: string;
}>;

/** The parts of a boot image, readable in pieces. */
export type KernelParts = Readonly<{
  linux: readonly PeSection[];
  initrd: readonly PeSection[];
  commandLine: string;
}>;

/** Reads a boot image like the firmware; throws on duplicate sections. */
export async function readKernel(uki: FileReader): Promise<Kernel> {
  const sections = await sectionsOf(uki);
  const parts = await partsIn(uki, sections);
  const [rootHash, ...more] = commandLineWords(parts.commandLine).filter(isRootHash).map(afterSign);
  if (rootHash === undefined || more.length > 0 || !SHA256_PATTERN.test(rootHash)) throw bad('names no root hash');
  const release = await textOf(uki, sections, '.uname');
  const beyondKexec = BEYOND_KEXEC.find((name) => sections.some((one) => one.name === name));
  return {
    linux: await digest(uki, parts.linux),
    initrd: await digest(uki, parts.initrd),
    others: await digest(
      uki,
      sections.filter(({ name }) => OTHERS.some((one) => one === name)),
    ),
    commandLine: withoutRootHash(parts.commandLine),
    rootHash: rootHash as Sha256,
    ...(release === undefined ? {} : { release }),
    ...(beyondKexec === undefined ? {} : { beyondKexec }),
  };
}

/** The locations of kernel, initrd and command line in a boot image. */
export const kernelParts = async (uki: FileReader): Promise<KernelParts> => partsIn(uki, await sectionsOf(uki));

/** The bytes of several sections, concatenated. */
export async function* sectionBytes(uki: FileReader, sections: readonly PeSection[]): AsyncGenerator<Uint8Array> {
  for (const { name, offset, size } of sections)
    for (let done = 0; done < size; ) {
      const bytes = await uki.read(offset + done, Math.min(PIECE, size - done));
      if (bytes.length === 0) throw bad(`ends within its section ${name}`);
      yield bytes;
      done += bytes.length;
    }
}

/** The command line without the root hash and our counter, for comparing two kernels. */
export const withoutRootHash = (commandLine: string): string =>
  commandLineWords(commandLine)
    .filter((word) => !isRootHash(word) && !word.startsWith(`${KEXECS}=`))
    .join(' ');

/** The word of the command line that counts kexec starts: present only in kernels started by kexec. */
export const KEXECS = 'tandem.kexecs';

const HEAD = 64 * 1024;
const PIECE = 1024 * 1024;
/** Further sections of the UKI specification: device trees, firmware, a key for measurements, profiles. */
const OTHERS = ['.dtb', '.dtbauto', '.hwids', '.efifw', '.pcrpkey', '.profile'] as const;
/** Signed measurements cover the root, so they differ in every release. */
const BEYOND_KEXEC = [...OTHERS, '.pcrsig'] as const;

const sectionsOf = async (uki: FileReader): Promise<PeSection[]> =>
  peSections(await uki.read(0, Math.min(HEAD, uki.size)), uki.size);

async function partsIn(uki: FileReader, sections: readonly PeSection[]): Promise<KernelParts> {
  const one = (name: string): PeSection[] => [onlySection(sections, name)].filter((found) => found !== undefined);
  const commandLine = await textOf(uki, sections, '.cmdline');
  if (one('.linux').length === 0 || commandLine === undefined) throw bad('lacks a kernel or a command line');
  return { linux: one('.linux'), initrd: [...one('.ucode'), ...one('.initrd')], commandLine };
}

async function textOf(uki: FileReader, sections: readonly PeSection[], name: string): Promise<string | undefined> {
  const found = onlySection(sections, name);
  if (found && found.size > HEAD) throw bad(`has a section ${name} of ${found.size} bytes`);
  return found && sectionText(await uki.read(found.offset, found.size), name).trim();
}

async function digest(uki: FileReader, sections: readonly PeSection[]): Promise<Sha256> {
  const hash = createHash('sha256');
  for (const { name, size } of sections) hash.update(`${name} ${size}\n`);
  for await (const bytes of sectionBytes(uki, sections)) hash.update(bytes);
  return hash.digest('hex') as Sha256;
}

const isRootHash = (word: string): boolean => word.startsWith('roothash=');

const afterSign = (word: string): string => word.slice(word.indexOf('=') + 1);

const bad = (what: string): UpdateError => new UpdateError('uki-invalid', `The boot image ${what}.`);
