/** What a box keeps while its power is off: a network card, its mounted disk, a control group. All of it ends with the process that began it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../vm/programs.ts';
import type { BoxDisk } from './disk.ts';

export type Chassis = AsyncDisposable &
  Readonly<{
    /** A process in its namespaces. */
    pid: number;
    group: string;
    /** The box reaches this machine by that address. */
    address: string;
    /** A path in its mounts, as this process opens it. */
    path(inside: string): string;
  }>;

/** The process that a signal can end is ended by our own death, too. */
export const MORTAL = ['setpriv', '--pdeathsig', 'KILL'] as const;

/** Opens it; `work` is a folder of its own. */
export async function openChassis(disk: BoxDisk, work: string): Promise<Chassis> {
  for (const dir of ['esp', 'var', 'root', 'cgroup']) await mkdir(join(work, dir));
  const group = `tandem-box-${process.pid}-${disk.number}`;
  const script = [join(import.meta.dirname, 'chassis'), disk.path, work, group];
  const [program, ...args] = [...MORTAL, 'unshare', '--mount', '--net', ...script];
  const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const pid = await ready(child);
  const path = (inside: string): string => `/proc/${pid}/root${inside}`;
  const close = async (): Promise<void> => {
    await emptyGroup(path(join(work, 'cgroup', group)));
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  try {
    return { pid, group, path, address: await plug(pid, disk.number), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function ready(child: ChildProcess): Promise<number> {
  let said = '';
  child.stderr?.on('data', (bytes) => {
    said += bytes;
  });
  const outcome = await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, 'data').then(() => true),
    once(child, 'exit').then(() => false),
  ]);
  if (!outcome || child.pid === undefined) throw new Error(`the chassis of a box cannot be made: ${said}`);
  return child.pid;
}

/** A cable from its network card to this machine. It is gone as soon as the card is. */
async function plug(pid: number, number: number): Promise<string> {
  const [ours, theirs] = [`10.214.${number % 256}.1`, `10.214.${number % 256}.2`];
  const cable = `tbox${number}`;
  await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)]);
  await run('ip', ['addr', 'add', `${ours}/30`, 'dev', cable]);
  await run('ip', ['link', 'set', cable, 'up']);
  const inside = 'ip addr add "$1/30" dev eth0 && ip link set eth0 up && ip route add default via "$2"';
  await run('nsenter', ['--target', String(pid), '--net', 'sh', '-c', inside, 'sh', theirs, ours]);
  return ours;
}

/** What has been killed leaves its groups a moment later. */
async function emptyGroup(group: string): Promise<void> {
  await writeFile(join(group, 'cgroup.kill'), '1').catch(() => {});
  for (let tries = 0; tries < 100; tries += 1) {
    if (await removed(group)) return;
    await sleep(20);
  }
}

async function removed(group: string): Promise<boolean> {
  const below = await readdir(group, { recursive: true, withFileTypes: true }).catch(() => []);
  const dirs = below.filter((one) => one.isDirectory()).map((one) => join(one.parentPath, one.name));
  for (const dir of [...dirs.sort((one, two) => two.length - one.length), group]) await rmdir(dir).catch(() => {});
  return readdir(group).then(
    () => false,
    () => true,
  );
}
