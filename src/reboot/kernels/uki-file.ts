/** A kernel image (UKI) on the ESP: its metadata, and verification. Reads only a few pages of a large file. */

import { createHash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import { commandLineValues, onlySection, osReleaseValue, peSections, sectionText } from '../../formats/pe.ts';
import { SHA256_PATTERN, type Sha256, VERSION_PATTERN, type Version } from '../../model.ts';
import { type Files, type ReadPart, readPartOf, type WritePart } from '../../system/files.ts';

/** `readPart` reads and `writePart` writes a part of a file; without them, whole files are used. */
export type UkiFiles = Readonly<{ files: Files; readPart?: ReadPart; writePart?: WritePart }>;

/** `sortKey` and `osVersion` are systemd-boot's sort keys; `version` is the release's. */
export type UkiContent = Readonly<{
  rootHash: Sha256;
  sortKey: string | undefined;
  osVersion: string | undefined;
  version: Version | undefined;
}>;

/** Without `content` it is damaged. */
export type Uki = Readonly<{ size: number; content?: UkiContent }>;

/** A UKI to be written to the ESP, as described by its manifest. */
export type IncomingUki = Readonly<{ version: Version; size: number; sha256: Sha256; rootHash: Sha256 }>;

/** Reads a part of a file; a short result means the end of the file. */
export type FileReader = Readonly<{ size: number; read(offset: number, length: number): Promise<Uint8Array> }>;

/** A UKI's metadata for the boot loader and us; undefined if there is no file. */
export async function readUki(esp: UkiFiles, path: string): Promise<Uki | undefined> {
  const head = await partReader(esp)(path, 0, 0);
  if (!head) return undefined;
  const content = await contentOf(fileReader(esp, path, head.size));
  return { size: head.size, ...(content ? { content } : {}) };
}

/** The metadata of a UKI; undefined if it is damaged, or the boot loader would refuse it. */
export async function contentOf(file: FileReader): Promise<UkiContent | undefined> {
  try {
    const sections = peSections(await file.read(0, HEAD), file.size);
    const text = async (name: string): Promise<string | undefined> => {
      const found = onlySection(sections, name);
      if (!found || found.size > HEAD) return undefined;
      return sectionText(await file.read(found.offset, found.size), name);
    };
    return said(await text('.cmdline'), await text('.osrel'));
  } catch (error) {
    if (error instanceof UpdateError && error.code === 'uki-invalid') return undefined;
    throw error;
  }
}

/** The metadata of a UKI that the boot loader accepts and that starts its own root; throws otherwise. */
export async function promisedContent(file: FileReader, { version, rootHash }: IncomingUki): Promise<UkiContent> {
  const content = await contentOf(file);
  if (!content)
    throw new UpdateError('uki-invalid', `The boot loader would not accept the kernel image of ${version}.`);
  if (content.rootHash === rootHash) return content;
  throw new UpdateError(
    'uki-mismatch',
    `The kernel image names the root hash ${content.rootHash}, and the release's root has ${rootHash}.`,
  );
}

/** Verifies that `path` is the expected UKI, and one that the boot loader accepts. */
export async function verifyUki(esp: UkiFiles, path: string, uki: IncomingUki): Promise<void> {
  const size = await sizeOf(esp, path);
  const digest = await digestOf(pieces(fileReader(esp, path, size), { offset: 0, size }));
  if (digest !== uki.sha256)
    throw new UpdateError('file-mismatch', `${path} has the digest ${digest} instead of ${uki.sha256}.`);
  await promisedContent(fileReader(esp, path, size), uki);
}

/** The file at `path`, of which `size` bytes exist. */
export function fileReader(esp: UkiFiles, path: string, size: number): FileReader {
  const part = partReader(esp);
  return { size, read: async (offset, length) => (await part(path, offset, length))?.bytes ?? new Uint8Array(0) };
}

/** The length of a file; 0 if there is none. */
export const sizeOf = async (esp: UkiFiles, path: string): Promise<number> =>
  (await partReader(esp)(path, 0, 0))?.size ?? 0;

/** The version of a slot's kernel, even if it does not state one; undefined if there is no kernel. */
export const versionIn = (content: UkiContent | undefined): Version | undefined =>
  content && (content.version ?? UNNAMED);

/** A range of a file, in pieces. */
export async function* pieces(file: FileReader, range: Readonly<{ offset: number; size: number }>) {
  for (let done = 0; done < range.size; done += PIECE)
    yield await file.read(range.offset + done, Math.min(PIECE, range.size - done));
}

export async function digestOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of content) hash.update(piece);
  return hash.digest('hex');
}

const UNNAMED = '0' as Version;
// The headers, and at most a command line or an os-release.
const HEAD = 64 * 1024;
const PIECE = 1024 * 1024;

const partReader = (esp: UkiFiles): ReadPart => esp.readPart ?? readPartOf(esp.files);

/** Undefined if the UKI lacks what the boot loader needs, or does not name exactly one root hash. */
function said(commandLine: string | undefined, release: string | undefined): UkiContent | undefined {
  const [rootHash, ...more] = commandLineValues(commandLine ?? '', 'roothash');
  if (release === undefined || rootHash === undefined || more.length > 0 || !SHA256_PATTERN.test(rootHash))
    return undefined;
  const sortKey = first(release, ['IMAGE_ID', 'ID']);
  const osVersion = first(release, ['IMAGE_VERSION', 'VERSION', 'VERSION_ID', 'BUILD_ID']);
  const version = first(release, ['IMAGE_VERSION', 'VERSION_ID']);
  return { rootHash: rootHash as Sha256, sortKey, osVersion, version: asVersion(version) };
}

const first = (release: string, keys: readonly string[]): string | undefined =>
  keys.map((key) => osReleaseValue(release, key)).find((value) => value !== undefined);

const asVersion = (text: string | undefined): Version | undefined =>
  text !== undefined && VERSION_PATTERN.test(text) ? (text as Version) : undefined;
