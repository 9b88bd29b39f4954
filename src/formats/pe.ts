/** Reads the sections of a UKI (a PE executable), such as its command line and os-release. Strict and bounded; executes nothing. */

import { UpdateError } from '../errors.ts';

/** A section of a PE file; `size` excludes alignment padding. */
export type PeSection = Readonly<{ name: string; offset: number; size: number }>;

/** The sections, from the file's first bytes (64 KiB always suffice) and its size. */
export function peSections(head: Uint8Array, fileSize: number = head.length): PeSection[] {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const pe = peHeaderOffset(view);
  const count = view.getUint16(pe + 6, true);
  const table = pe + 24 + view.getUint16(pe + 20, true);
  if (count === 0 || count > MAX_SECTIONS) throw bad(`it claims ${count} sections`);
  if (table + count * SECTION_HEADER > head.length) throw bad('its section table is cut off');
  return Array.from({ length: count }, (_, index) => section(view, table + index * SECTION_HEADER, fileSize));
}

/** The processor architecture of a PE file, from its first bytes; undefined for other files, and for architectures that Tandem does not support. */
export function peMachine(head: Uint8Array): 'x86-64' | 'arm64' | 'ia32' | 'arm' | 'riscv64' | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < 64 || view.getUint16(0) !== 0x4d5a) return undefined;
  const at = view.getUint32(0x3c, true);
  if (at + 6 > head.length || view.getUint32(at) !== 0x50450000) return undefined;
  return MACHINES[view.getUint16(at + 4, true)];
}

/** "Machine Types" of the PE format. */
const MACHINES: Readonly<Record<number, ReturnType<typeof peMachine>>> = {
  34404: 'x86-64',
  43620: 'arm64',
  332: 'ia32',
  450: 'arm',
  452: 'arm',
  20580: 'riscv64',
};

/** The bytes of an optional section; undefined if there is none. */
export function peSection(file: Uint8Array, name: string): Uint8Array | undefined {
  const found = onlySection(peSections(file), name);
  return found && file.subarray(found.offset, found.offset + found.size);
}

/** The section of that name; throws on two of them, because firmware and reader could choose differently. */
export function onlySection(sections: readonly PeSection[], name: string): PeSection | undefined {
  const found = sections.filter((one) => one.name === name);
  if (found.length > 1) throw bad(`it has ${found.length} sections named ${name}`);
  return found[0];
}

/** The text of a section such as `.cmdline` or `.osrel`, without trailing zero bytes and line breaks. */
export function ukiText(file: Uint8Array, name: string): string | undefined {
  const bytes = peSection(file, name);
  return bytes && sectionText(bytes, name);
}

/** The bytes of a section as text: at most 64 KiB of UTF-8. */
export function sectionText(bytes: Uint8Array, name: string): string {
  if (bytes.length > MAX_TEXT) throw bad(`its section ${name} has ${bytes.length} bytes; text has at most ${MAX_TEXT}`);
  const text = utf8(bytes, name).replace(/[\0\n]+$/, '');
  if (text.includes('\0')) throw bad(`its section ${name} has a zero byte inside the text`);
  return text;
}

/** The words of a kernel command line; quotes group characters, and are kept. */
export const commandLineWords = (commandLine: string): string[] => commandLine.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];

/** All values of `key` on a kernel command line, in order. */
export const commandLineValues = (commandLine: string, key: string): string[] =>
  commandLineWords(commandLine)
    .map((word) => word.replaceAll('"', ''))
    .filter((word) => word.startsWith(`${key}=`))
    .map((word) => word.slice(key.length + 1));

/** The value of `key` in an os-release text; the last assignment wins, as in a shell. */
export function osReleaseValue(text: string, key: string): string | undefined {
  const line = text
    .split('\n')
    .map((one) => one.trim())
    .findLast((one) => one.startsWith(`${key}=`));
  return line?.slice(key.length + 1).replace(/^(["'])(.*)\1$/, '$2');
}

const MAX_SECTIONS = 96;
const SECTION_HEADER = 40;
const MAX_TEXT = 64 * 1024;
const PE_SIGNATURE = 0x4550;
const COFF_END = 24;

function peHeaderOffset(view: DataView): number {
  if (view.byteLength < 64 || view.getUint16(0) !== 0x4d5a) throw bad('it does not begin with MZ');
  const offset = view.getUint32(0x3c, true);
  if (offset + COFF_END > view.byteLength) throw bad('its PE header is cut off');
  if (view.getUint32(offset, true) !== PE_SIGNATURE) throw bad('it has no PE signature');
  return offset;
}

function section(view: DataView, at: number, fileSize: number): PeSection {
  const name = sectionName(view, at);
  const virtual = view.getUint32(at + 8, true);
  const raw = view.getUint32(at + 16, true);
  const offset = view.getUint32(at + 20, true);
  const size = Math.min(virtual, raw);
  if (size > 0 && offset + size > fileSize) throw bad(`its section ${name} reaches past the end of the file`);
  return { name, offset, size };
}

function sectionName(view: DataView, at: number): string {
  const bytes = Array.from({ length: 8 }, (_, index) => view.getUint8(at + index));
  const end = bytes.indexOf(0);
  return String.fromCharCode(...(end < 0 ? bytes : bytes.slice(0, end)));
}

function utf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UpdateError('uki-invalid', `The UKI is damaged: its section ${name} is not UTF-8.`, { cause });
  }
}

const bad = (what: string): UpdateError => new UpdateError('uki-invalid', `The UKI is damaged: ${what}.`);
