/** Checks the inputs of a bundle before packing, which takes minutes, and reports all faults at once. */

import { dirname } from 'node:path';
import type { UkiParts } from '../../bundle/image/uki.ts';
import type { Architecture } from '../../bundle/manifest.ts';
import type { BuildInput } from '../../bundle/publish/build.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import { peMachine } from '../../formats/pe.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import { readHead, statOf } from '../../system/files.ts';
import { attempt, type Exec } from '../../system/process/exec.ts';
import type { Context } from '../command.ts';
import { lookAtTree, type TreeFacts } from './bundle-tree.ts';

/** The requested build; without an epoch if none was given. */
export type Wanted = Omit<BuildInput, 'epoch'> & Readonly<{ epoch: number | undefined }>;

/** Throws one error that names every fault; warns of unusual inputs that may be intended. */
export async function checkInputs(context: Context, build: Wanted): Promise<BuildInput> {
  const tree = (await statOf(build.root))?.isDirectory() ? await lookAtTree(build.root) : undefined;
  const faults = [
    ...(tree ? faultsOfTree(build.root, tree) : await faultsOfImageFile(context, build.root)),
    ...('file' in build.uki
      ? await faultsOfImage(build.uki.file, '--uki', build.architecture)
      : await faultsOfParts(context, build.uki, build.architecture)),
    ...(await faultsOfFolder(dirname(build.output))),
  ];
  if (faults.length > 0) throw new UpdateError('build-input', faults.join('; '));
  if (tree) warnOfTree(context, build, tree);
  return { ...build, epoch: build.epoch ?? Math.max(0, tree?.newest.mtime ?? 0) };
}

const faultsOfTree = (root: string, { entries, unreadable }: TreeFacts): string[] => [
  ...(entries === 0 && unreadable.length === 0 ? [`--root ${root} is an empty folder`] : []),
  ...unreadable.slice(0, MOST_NAMED).map((path) => `this user may not read ${path}`),
  ...(unreadable.length > MOST_NAMED ? [`and ${unreadable.length - MOST_NAMED} others`] : []),
];

const MOST_NAMED = 5;

function warnOfTree(
  { out, clock, env }: Context,
  { owner, epoch }: Wanted,
  { strangers, uid, newest }: TreeFacts,
): void {
  const [first] = strangers;
  // Under fakeroot the owners are not real.
  if (owner === 'keep' && first !== undefined && env('FAKEROOTKEY') === undefined)
    out.warn(
      `${strangers.length} files will belong to user ${uid} on every host, because they do here (${first}). --owner root makes root their owner.`,
    );
  if (epoch === undefined && newest.mtime * 1000 > clock.now().getTime())
    out.warn(`${newest.path} is dated in the future, and so is the release.`);
}

async function faultsOfImageFile({ out }: Context, root: string): Promise<string[]> {
  const unreadable = await faultsOfFile(root, '--root');
  if (unreadable.length > 0) return unreadable;
  if (!isFileSystem((await readHead(root, HEAD)) ?? new Uint8Array()))
    out.warn(
      `${root} has no file system that Tandem recognises (erofs, ext4, squashfs, xfs, btrfs). Check that your kernel can mount it.`,
    );
  return [];
}

async function faultsOfParts({ out, exec }: Context, parts: UkiParts, architecture: Architecture): Promise<string[]> {
  if (parts.initrds.length === 0) out.warn('No --initrd: the kernel must find and verify the root on its own.');
  const length = Buffer.byteLength(parts.commandLine.trim()) + ' roothash='.length + ROOT_HASH;
  return [
    ...(await faultsOfImage(parts.kernel, '--kernel', architecture)),
    ...(await Promise.all(parts.initrds.map((one) => faultsOfReading(one, '--initrd')))).flat(),
    ...(parts.stub === undefined ? [] : await faultsOfImage(parts.stub, '--stub', architecture)),
    ...(await faultsOfUkify(exec, parts.ukify)),
    ...(length < COMMAND_LINE
      ? []
      : [
          `the command line has ${length} bytes with its root hash, but a kernel keeps only the first ${COMMAND_LINE - 1}`,
        ]),
  ];
}

/** A user's own program may know only `build`: being able to start it is enough. */
async function faultsOfUkify(exec: Exec, given: string | undefined): Promise<string[]> {
  const program = given ?? 'ukify';
  const { exitCode, stderr } = await attempt(exec, program, ['--version'], { package: 'systemd-ukify' });
  const runs = exitCode === 0 || (given !== undefined && exitCode < NOT_STARTED);
  return runs ? [] : [stderr.trim().split('\n').at(-1) || `${program} does not run (status ${exitCode})`];
}

/** From this exit status on, a shell and Node.js mean that the program could not be started. */
const NOT_STARTED = 126;

/** The same on x86-64 (`COMMAND_LINE_SIZE` in arch/x86/include/asm/setup.h) and arm64, including the final zero byte. */
const COMMAND_LINE = 2048;
const ROOT_HASH = 64;

async function faultsOfImage(path: string, option: string, architecture: Architecture): Promise<string[]> {
  const unreadable = await (option === '--uki' ? faultsOfFile : faultsOfReading)(path, option);
  if (unreadable.length > 0) return unreadable;
  const machine = peMachine((await readHead(path, HEAD)) ?? new Uint8Array());
  const fits = machine === undefined || machine === architecture;
  return fits ? [] : [`${option} ${path} is for ${machine}, but the release is for ${architecture}`];
}

/** Opened as for packing: no link, no pipe. */
const faultsOfFile = (path: string, option: string): Promise<string[]> =>
  fileSource(path).then(
    async (source) => {
      await source[Symbol.asyncDispose]();
      return source.size === 0 ? [`${option} ${path} is empty`] : [];
    },
    (error: unknown) => [faultOf(option, error)],
  );

/** For files that ukify reads: it follows links. */
const faultsOfReading = (path: string, option: string): Promise<string[]> =>
  readHead(path, 1).then(
    (bytes) => (bytes?.length === 1 ? [] : [`${option} ${path} ${bytes ? 'is empty' : 'does not exist'}`]),
    (error: unknown) => [faultOf(option, error)],
  );

/** The fault as part of a longer sentence. */
const faultOf = (option: string, error: unknown): string =>
  `${option} ${asUpdateError(error).message.replace(/\.$/, '')}`;

async function faultsOfFolder(folder: string): Promise<string[]> {
  return (await statOf(folder))?.isDirectory() ? [] : [`the folder of --output, ${folder}, does not exist`];
}

/** Enough for the superblock that lies furthest from the start. */
const HEAD = 66 * 1024;

const isFileSystem = (head: Uint8Array): boolean =>
  MAGICS.some(([at, magic]) =>
    Buffer.from(head)
      .subarray(at, at + magic.length)
      .equals(Buffer.from(magic, 'latin1')),
  );

const MAGICS: readonly (readonly [at: number, magic: string])[] = [
  [1024, '\xe2\xe1\xf5\xe0'],
  [1080, '\x53\xef'],
  [0, 'hsqs'],
  [0, 'XFSB'],
  [65_600, '_BHRfS_M'],
];
