/** Small bundles of real file systems, and the disks that `image build` makes from them. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Architecture } from '../../src/bundle/manifest.ts';
import { packImage } from '../../src/bundle/publish/pack.ts';
import { FRAME_SIZE, packUki, writeBundle } from '../../src/bundle/publish/writer.ts';
import { BLOCK, createTreeBuilder, saltFor, superblock, treeLayout, treeUuid } from '../../src/bundle/verity.ts';
import { imageBuild } from '../../src/cli/image/build.ts';
import { imageInspect } from '../../src/cli/image/inspect.ts';
import { createScratch } from '../../src/system/disk/scratch.ts';
import { realFiles } from '../../src/system/files.ts';
import { about, makeBundle, noSignal, someBytes } from './bundles.ts';
import { runCommand } from './command-line.ts';
import { peFile } from './pe.ts';
import { memorySource } from './sources.ts';
import { demoUki } from './uki.ts';

export const EPOCH = 1_700_000_000;
const SETTINGS = '[host]\nproduct = "demo"\n[repository]\nurl = "https://updates.example/"\n';

/** A tree with a trust root and settings, unless told otherwise. */
export const TREE: Readonly<Record<string, string>> = {
  'usr/lib/os-release': 'ID=demo\nIMAGE_VERSION=1.0\n',
  'usr/lib/tandem/config.d/10-demo.toml': SETTINGS,
  // Enough for two levels of a verity tree.
  'usr/share/words': Buffer.from(someBytes(700_000)).toString('base64'),
  'usr/share/tandem/root.json': '{"signed":{"version":1,"expires":"2030-01-01T00:00:00Z"}}\n',
};

/** A root image from files; padded to whole blocks. */
export function rootImage(folder: string, files: Readonly<Record<string, string>>, format = 'erofs'): Uint8Array {
  const tree = join(folder, 'root-tree');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text);
  }
  const image = join(folder, `root.${format}`);
  const uuid = '00000000-1111-2222-3333-444444444444';
  if (format === 'erofs') execFileSync('mkfs.erofs', ['--quiet', `-T${EPOCH}`, '-U', uuid, image, tree]);
  else execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-U', uuid, '-d', tree, image, '4M']);
  const bytes = readFileSync(image);
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

/** Writes `demo.bundle` with that root and a kernel for it. */
export async function demoBundle(
  folder: string,
  files: Readonly<Record<string, string>> = TREE,
  architecture: Architecture = 'x86-64',
): Promise<string> {
  const root = rootImage(folder, files);
  const bundle = join(folder, 'demo.bundle');
  const uki = demoUki(root);
  if (architecture === 'arm64') uki.set([0x64, 0xaa], 68);
  await makeBundle(bundle, { root, uki }, { about: { architecture }, level: 1 });
  return bundle;
}

/** The same with the verity tree behind the file system. */
export async function appendedBundle(folder: string): Promise<string> {
  const data = rootImage(folder, TREE);
  const [salt, dataBlocks] = [saltFor(about.product), data.length / BLOCK];
  const tree = Buffer.alloc(treeLayout(dataBlocks).size);
  const builder = createTreeBuilder(salt, dataBlocks, (offset, block) => tree.set(block, offset));
  builder.addBlocks(data);
  const rootHash = builder.finish();
  tree.set(superblock(salt, treeUuid(rootHash), dataBlocks));
  const bundle = join(folder, 'appended.bundle');
  await using scratch = await createScratch(bundle);
  const options = { scratch, level: 1, signal: noSignal, frameSize: FRAME_SIZE };
  const packed = await packImage('root', memorySource(Buffer.concat([data, tree])), options);
  const verity = { rootHash, salt, dataBlocks, hashOffset: data.length };
  const uki = await packUki(memorySource(demoUki(data)), options);
  const images = [{ ...packed, image: { ...packed.image, verity } }, uki];
  await writeBundle(bundle, about, images, { files: realFiles, scratch, signal: noSignal });
  return bundle;
}

/** A boot loader that starts nothing. */
export function loaderFile(folder: string, machine: Architecture = 'x86-64'): string {
  const bytes = peFile([['.text', 'nothing']]);
  if (machine === 'arm64') bytes.set([0x64, 0xaa], 68);
  const path = join(folder, `loader-${machine}.efi`);
  writeFileSync(path, bytes);
  return path;
}

/** Runs `image build`; returns what it prints. */
export const build = (
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  warned?: (text: string) => void,
): Promise<string> =>
  runCommand(imageBuild, folder, args, { PATH: process.env['PATH'] ?? '', TMPDIR: folder, ...env }, warned);

/** Runs `image inspect --json`. */
export async function inspected(folder: string, disk: string, ...more: readonly string[]): Promise<Inspected> {
  const env = { PATH: process.env['PATH'] ?? '', TMPDIR: folder };
  return JSON.parse(await runCommand(imageInspect, folder, [disk, '--json', ...more], env)) as Inspected;
}

export type Inspected = Readonly<{
  size: number;
  sectorSize: number;
  guid: string;
  partitions: readonly Readonly<{ label: string; type: string; uuid: string; offset: number; size: number }>[];
  slots: Readonly<
    Partial<
      Record<
        'a' | 'b',
        Readonly<{ isNeutral: boolean; rootHash?: string; version?: string; check: string; reason?: string }>
      >
    >
  >;
  boot?: Readonly<{
    loader: string;
    next?: string;
    entries: readonly Readonly<{ file: string; slot?: string; version?: string; left?: number }>[];
  }>;
  system?: Readonly<{
    isVarReadable: boolean;
    product?: string;
    repository?: string;
    backend: string;
    trustRoot?: Readonly<{ path: string; version?: number }>;
    varConfig: readonly string[];
  }>;
  faults: readonly string[];
}>;
