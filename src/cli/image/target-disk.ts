/** The disk that `image build --to` overwrites: refused while anything uses it, shown before anything is asked. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import { deviceNumber } from '../../system/disk/block-area.ts';
import { openBlockTarget } from '../../system/disk/block-device.ts';
import { allBelow } from '../../system/disk/block-layers.ts';
import { diskSectorSize, kernelDevice, rootDevices } from '../../system/disk/mounts.ts';
import { statOf } from '../../system/files.ts';
import { attempt, type Exec, run } from '../../system/process/exec.ts';
import { askLine } from '../../system/process/question.ts';
import type { Context } from '../command.ts';
import { bytes } from '../units.ts';
import { diskTools } from './tools.ts';

/** A whole disk that nothing uses. `content`: rows for people. */
export type ChosenDisk = Readonly<{
  path: string;
  rdev: string;
  name: string;
  size: number;
  sectorSize: number;
  content: readonly (readonly string[])[];
}>;

/** Throws for anything that must not be overwritten. */
export async function chosenDisk(context: Pick<Context, 'exec' | 'env'>, given: string): Promise<ChosenDisk> {
  const stat = await statOf(given);
  if (!stat?.isBlockDevice()) throw refused(`${given} is not a disk`);
  const device = await kernelDevice('/', deviceNumber(BigInt(stat.rdev)));
  if (!device) throw refused(`the kernel knows no disk ${given}`);
  const { path, rdev, size } = device;
  if (device.number !== undefined) throw refused(`${path} is a partition, not a disk`);
  if ((await disksOfSystem()).has(rdev)) throw refused(`${path} is a disk of the running system`);
  const exec = diskTools(context);
  const [top, ...below] = await blockTree(exec, path);
  if (!top || !WHOLE.test(top.type)) throw refused(`${path} is not a whole disk (${top?.type ?? 'unknown'})`);
  const layers = below.filter(({ type }) => type !== 'part');
  const uses = [
    ...[top, ...below].flatMap(usesOf),
    ...layers.map((layer) => `${layer.path} (${layer.type}) is made of it`),
  ];
  if (uses.length > 0) throw refused(`${path} is in use: ${uses.join(', ')}`);
  await refuseHeld(path);
  const name = path.slice('/dev/'.length);
  const content = [['device', 'size', 'holds'], ...[top, ...below].map(rowOf)];
  return { path, rdev, name, size, sectorSize: await diskSectorSize('/', rdev), content };
}

/** Returns only if a person, or `isSure`, says that its content may go. */
export async function askForDisk({ out, signal }: Context, disk: ChosenDisk, isSure: boolean): Promise<void> {
  out.line(`Everything on ${disk.path} will be lost:`);
  out.table(disk.content);
  if (isSure) return;
  const answer = out.json ? undefined : await askLine(`Type ${disk.name} to overwrite it: `, signal);
  signal.throwIfAborted();
  if (answer === undefined) throw refused('there is no terminal to ask on; --yes does not ask');
  if (answer.trim() !== disk.name) throw refused(`${disk.path} stays as it is: the answer was not ${disk.name}`);
}

/** The kernel reads the table of a disk when it appears, not when it changes. */
export async function tellKernel({ out }: Context, exec: Exec, { path }: ChosenDisk): Promise<void> {
  const { exitCode } = await attempt(exec, 'partx', ['--update', path]);
  if (exitCode !== 0) out.warn(`The kernel does not show the new partitions of ${path} yet: reconnect it, or reboot.`);
}

type Node = Readonly<{
  path: string;
  type: string;
  size: number;
  ro: boolean;
  model: string | null;
  fstype: string | null;
  label: string | null;
  partlabel: string | null;
  mountpoints: readonly (string | null)[];
}>;
type Tree = Node & Readonly<{ children?: readonly Tree[] }>;

const COLUMNS = 'PATH,TYPE,SIZE,RO,MODEL,FSTYPE,LABEL,PARTLABEL,MOUNTPOINTS';

/** The disk, and everything that is made of it. */
async function blockTree(exec: Exec, path: string): Promise<readonly Node[]> {
  const said = await run(exec, 'lsblk', ['--json', '--bytes', '--output', COLUMNS, path]);
  const { blockdevices } = JSON.parse(said) as { blockdevices: readonly Tree[] };
  const all = (nodes: readonly Tree[]): readonly Tree[] => nodes.flatMap((one) => [one, ...all(one.children ?? [])]);
  return all(blockdevices);
}

/** By the types of lsblk: also a RAID array, on which slots may be. */
const WHOLE = /^(disk|loop|raid\d+)$/;

function usesOf({ path, ro, mountpoints }: Node): string[] {
  const mounted = mountpoints.filter((place) => place !== null).map((place) => `${path} is mounted on ${place}`);
  return [...mounted, ...(ro ? [`${path} is read-only`] : [])];
}

const rowOf = ({ path, size, model, fstype, label, partlabel }: Node): string[] => [
  path,
  bytes(size),
  [model, partlabel, fstype, label].filter((text) => text !== null && text.trim() !== '').join(', ') || 'nothing known',
];

/** Below every layer. */
async function disksOfSystem(): Promise<ReadonlySet<string>> {
  const devices = await rootDevices('/');
  const below = await Promise.all(devices.map(({ disk }) => allBelow('/', disk)));
  return new Set([...devices.map(({ disk }) => disk), ...below.flat()]);
}

/** The kernel has the last word: a program may hold a disk without a mount. */
async function refuseHeld(path: string): Promise<void> {
  try {
    await using _ = await openBlockTarget(path, { writable: false, exclusive: true });
  } catch (error) {
    throw refused(asUpdateError(error).message.replace(/\.$/, ''), error);
  }
}

const refused = (why: string, cause?: unknown): UpdateError =>
  new UpdateError('disk-refused', `Nothing was written: ${why}.`, cause === undefined ? {} : { cause });
