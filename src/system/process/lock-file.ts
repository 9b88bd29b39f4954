/** An interprocess lock held by the kernel, across containers: it is released whenever its owner ends. */

import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';

/** Takes the lock, or returns its holder. Disposing releases it. */
export async function takeLock(path: string): Promise<AsyncDisposable | Readonly<{ heldBy: string }>> {
  for (;;) {
    await using held = new AsyncDisposableStack();
    const file = held.use(await openLock(path));
    await mustReachEverybody(file, path);
    if (!(await lockNow(file, path))) return { heldBy: await holderIn(file) };
    // The previous holder has removed the file: the next one locks a new file of this name.
    if (!(await isAt(file, path))) continue;
    await nameHolder(file);
    held.defer(() => removeOwn(file, path));
    return held.move();
  }
}

/** NFS locks only writable files. */
const openLock = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o644).catch(
    (error: NodeJS.ErrnoException) => {
      throw unlockable(path, `it cannot be written (${error.code})`);
    },
  );

/**
 * `flock` locks our open file description, which both processes share: the lock outlives that program, and ends when this process closes
 * the file or dies. Node.js has no such call.
 */
async function lockNow(file: FileHandle, path: string): Promise<boolean> {
  const child = spawn('flock', ['-x', '-n', '3'], { stdio: ['ignore', 'ignore', 'pipe', file.fd] });
  let errors = '';
  child.stderr?.on('data', (bytes) => {
    errors += bytes;
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new UpdateError('tool-missing', 'flock is not installed (Debian package util-linux).');
  });
  if (status === 0 || (status === 1 && errors === '')) return status === 0;
  throw unlockable(path, cleanLine(errors, 200) || 'flock was stopped');
}

async function isAt(file: FileHandle, path: string): Promise<boolean> {
  const [mine, there] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return mine.ino === there?.ino && mine.dev === there.dev;
}

async function removeOwn(file: FileHandle, path: string): Promise<void> {
  if (await isAt(file, path)) await unlink(path);
}

/** For information only; the lock does not depend on it. */
async function nameHolder(file: FileHandle): Promise<void> {
  await file
    .truncate(0)
    .then(() => file.write(`process ${process.pid} on ${hostname()}\n`, 0))
    .catch(() => undefined);
}

async function holderIn(file: FileHandle): Promise<string> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(200), 0, 200, 0);
  return cleanLine(buffer.toString('utf8', 0, bytesRead)) || 'another process';
}

async function mustReachEverybody(file: FileHandle, path: string): Promise<void> {
  const [, mount] = /^mnt_id:\s*(\d+)$/m.exec(await readFile(`/proc/self/fdinfo/${file.fd}`, 'utf8')) ?? [];
  const fault = lockFault(await readFile('/proc/self/mountinfo', 'utf8'), mount ?? '');
  if (fault !== undefined) throw unlockable(path, fault);
}

/** Why others might not see a lock on this file system; undefined if they do. */
export function lockFault(mountinfo: string, mountId: string): string | undefined {
  const fields =
    mountinfo
      .split('\n')
      .find((line) => line.startsWith(`${mountId} `))
      ?.split(' ') ?? [];
  const [type = '', , options = ''] = fields.slice(fields.indexOf('-', 6) + 1);
  if (/^nfs4?$/.test(type))
    return options.split(',').includes('local_lock=none')
      ? undefined
      : 'NFS is mounted there with locks of its own on each host';
  const isLocal = LOCAL_FUSE.has(type) || !/^(cifs|smb3|9p|virtiofs|afs|coda|fuse(\..*)?)$/.test(type);
  return isLocal ? undefined : `others do not see locks on ${type}`;
}

const LOCAL_FUSE: ReadonlySet<string> = new Set(['fuseblk', 'fuse.fuse-overlayfs']);

const unlockable = (path: string, why: string): UpdateError =>
  new UpdateError('file-unlockable', `${path} cannot be locked: ${why}.`);
