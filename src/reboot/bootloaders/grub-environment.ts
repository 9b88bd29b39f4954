/** GRUB's environment block: `name=value` lines after a signature, padded with `#`. Parsed exactly as GRUB does. Pure. */

import { UpdateError } from '../../errors.ts';

/** The size that every tool uses, in bytes. */
export const BLOCK_SIZE = 1024;

/** Names and values in order; undefined if GRUB would refuse the block. Like GRUB, stops at damage. */
export function readVariables(block: Uint8Array): readonly (readonly [name: string, value: string])[] | undefined {
  const text = latin1(block);
  // GRUB needs room for a zero byte after the signature.
  if (!text.startsWith(SIGNATURE) || text.length === SIGNATURE.length) return undefined;
  return linesOf(text).flatMap(({ name, value = '' }) => (name === undefined ? [] : [[name, value] as const]));
}

/** A complete block with these variables first, then the comments and other variables of `before`. */
export function writeVariables(before: Uint8Array | undefined, variables: ReadonlyMap<string, string>): Uint8Array {
  const text = latin1(before ?? new Uint8Array(0));
  const kept = text.startsWith(SIGNATURE) ? linesOf(text) : [];
  const others = kept.filter(({ name }) => name === undefined || !variables.has(name)).map(({ raw }) => raw);
  const ours = [...variables].map(([name, value]) => `${name}=${value.replaceAll(/[\\\n]/g, '\\$&')}\n`);
  const content = [SIGNATURE, ...ours, ...others].join('');
  const size = Math.max(BLOCK_SIZE, text.length);
  if (content.length > size)
    throw new UpdateError(
      'boot-environment',
      `GRUB's environment has no room for ${[...variables.keys()].join(', ')}.`,
    );
  return Buffer.from(content.padEnd(size, '#'), 'latin1');
}

const SIGNATURE = '# GRUB Environment Block\n';

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

/** `raw` includes the line feed. A comment has no name. */
type Line = Readonly<{ raw: string; name?: string; value?: string }>;

function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  for (let at = SIGNATURE.length; at < text.length; ) {
    const line = text[at] === '#' ? remarkAt(text, at) : variableAt(text, at);
    if (!line) break;
    lines.push(line);
    at += line.raw.length;
  }
  return lines;
}

/** Undefined for padding. */
function remarkAt(text: string, at: number): Line | undefined {
  const end = endOfValue(text, at);
  return end < text.length ? { raw: text.slice(at, end + 1) } : undefined;
}

/** A name extends to the next `=`, even across line feeds. */
function variableAt(text: string, at: number): Line | undefined {
  const equals = text.indexOf('=', at);
  const end = equals < 0 ? text.length : endOfValue(text, equals + 1);
  if (end >= text.length) return undefined;
  const value = text.slice(equals + 1, end).replaceAll(/\\(.)/gs, '$1');
  return { raw: text.slice(at, end + 1), name: asCText(text.slice(at, equals)), value: asCText(value) };
}

/** The position of the next line feed that is not escaped by a backslash. */
function endOfValue(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1;
  return at;
}

const asCText = (text: string): string => text.split('\0', 1)[0] ?? '';
