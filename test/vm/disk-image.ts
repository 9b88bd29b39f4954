/** Looks into a disk image from outside, with nothing of Tandem's: what would be booted from it, and whether that is whole. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

export type ImagePartition = Readonly<{ name: string; uuid: string; offset: number; size: number }>;

/** A UKI on the ESP. `left` is absent where the boot loader does not count. */
export type Entry = Readonly<{ name: string; version: string; left?: number; sha256: string; rootHash: string }>;

const ESP_LIMIT = 64 * 1024 * 1024;
const mtools = { env: { ...process.env, MTOOLS_SKIP_CHECK: '1' }, maxBuffer: ESP_LIMIT };

export async function partitionsOf(disk: string): Promise<ImagePartition[]> {
  const { stdout } = await exec('sfdisk', ['--json', disk]);
  const table = JSON.parse(stdout) as {
    partitiontable: { sectorsize?: number; partitions: { start: number; size: number; uuid: string; name: string }[] };
  };
  const sector = table.partitiontable.sectorsize ?? 512;
  return table.partitiontable.partitions.map(({ name, uuid, start, size }) => ({
    name,
    uuid: uuid.toLowerCase(),
    offset: start * sector,
    size: size * sector,
  }));
}

/**
 * The entries in the order in which systemd-boot would take them: used-up ones last, then the newest version first. A file that is no
 * UKI is none to it; renaming on FAT leaves an empty one beside the old name for a moment.
 */
export async function entriesOf(disk: string): Promise<Entry[]> {
  const esp = (await partitionsOf(disk)).find((partition) => partition.name === 'esp');
  const image = `${disk}@@${esp?.offset}`;
  const { stdout } = await exec('mdir', ['-b', '-i', image, '::EFI/Linux'], mtools);
  const names = stdout.split('\n').flatMap((line) => /^::\/EFI\/Linux\/(.+\.efi)$/i.exec(line.trim())?.[1] ?? []);
  const files = await Promise.all(names.map((name) => entryOf(image, name)));
  const entries = files.filter((entry) => entry.rootHash !== '');
  const usedUp = (entry: Entry): number => (entry.left === 0 ? 1 : 0);
  return entries.sort((one, two) => usedUp(one) - usedUp(two) || Number(two.version) - Number(one.version));
}

/** The root and the tree that belong to a root hash, as the firmware's successor would find them; none where they are not clear. */
export async function slotOf(disk: string, rootHash: string): Promise<readonly ImagePartition[] | undefined> {
  const partitions = await partitionsOf(disk);
  const named = (half: string): ImagePartition[] => partitions.filter(({ uuid }) => uuid.replaceAll('-', '') === half);
  const [root, tree] = [named(rootHash.slice(0, 32)), named(rootHash.slice(32))];
  return root.length === 1 && tree.length === 1 ? [...root, ...tree] : undefined;
}

/** Whether they are there and match. */
export async function isWhole(disk: string, rootHash: string): Promise<boolean> {
  const [root, tree] = (await slotOf(disk, rootHash)) ?? [];
  if (!root || !tree) return false;
  await using rootFile = await extract(disk, root);
  await using treeFile = await extract(disk, tree);
  const { code, stderr } = await exec('veritysetup', ['verify', rootFile.path, treeFile.path, rootHash]).then(
    () => ({ code: 0, stderr: '' }),
    (error: { code?: unknown; stderr?: string }) => ({ code: error.code, stderr: error.stderr ?? '' }),
  );
  if (code !== 0 && code !== 1) throw new Error(`veritysetup: ${code} ${stderr}`);
  return code === 0;
}

async function entryOf(image: string, name: string): Promise<Entry> {
  const { stdout } = await exec('mtype', ['-i', image, `::EFI/Linux/${name}`], { ...mtools, encoding: 'buffer' });
  const [, version = '', left] = /_([^+]+?)(?:\+(\d+)(?:-\d+)?)?\.efi$/.exec(name) ?? [];
  return {
    name,
    version,
    ...(left === undefined ? {} : { left: Number(left) }),
    sha256: createHash('sha256').update(stdout).digest('hex'),
    rootHash: /roothash=([0-9a-f]{64})/.exec(stdout.toString('latin1'))?.[1] ?? '',
  };
}

async function extract(disk: string, partition: ImagePartition): Promise<{ path: string } & AsyncDisposable> {
  const path = join(tmpdir(), `tandem-${process.pid}-${partition.name}`);
  const from = [`if=${disk}`, `of=${path}`, 'bs=1M', 'iflag=skip_bytes,count_bytes', 'conv=sparse', 'status=none'];
  await exec('dd', [...from, `skip=${partition.offset}`, `count=${partition.size}`]);
  return { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}
