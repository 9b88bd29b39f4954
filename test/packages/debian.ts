/** A Debian system in which packages are installed, in namespaces of its own. Nothing of it reaches the machine that tests. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROJECT, run } from '../vm/programs.ts';

export type Suite = 'bookworm' | 'trixie';
export const SUITES: readonly Suite[] = ['bookworm', 'trixie'];
/** Where the packages are that were built, and those that a test has made, as seen from inside. */
export const INSIDE = '/mnt';

/** What a small machine has, and what the packages depend on: nothing is fetched while they are installed. */
const PACKAGES = 'systemd,systemd-sysv,dbus,libatomic1,libstdc++6,ca-certificates,curl,procps,util-linux,nginx-light';

export type Debian = Readonly<{
  /** Standard output and standard error of a script that has to succeed, run by root. */
  run(script: string): Promise<string>;
  /** Whether a script succeeds. */
  succeeds(script: string): Promise<boolean>;
}>;

/** With the service manager running, or without, as where an image is built. */
export async function inDebian(
  suite: Suite,
  kind: 'live' | 'still',
  packages: string,
  story: (debian: Debian) => Promise<void>,
): Promise<void> {
  const root = await run(join(PROJECT, 'test/packages/root'), [suite, PACKAGES]);
  const work = await mkdtemp(join(tmpdir(), 'tandem-packages-'));
  const args = ['unshare', '--mount', join(PROJECT, 'test/packages/machine'), root, work, packages, kind];
  const machine = spawn('setpriv', ['--pdeathsig', 'KILL', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  machine.stderr.on('data', (bytes) => {
    said = `${said}${bytes}`.slice(-4000);
  });
  const ended = once(machine, 'exit');
  let first: number | undefined;
  try {
    first = await firstProcess(machine, kind === 'live' ? 'systemd' : 'sleep');
    if (first === undefined) throw new Error(`the system does not start: ${said}`);
    const debian = entered(first);
    if (kind === 'live') await debian.run(STARTED);
    await story(debian);
  } finally {
    if (first === undefined || !wasKilled(first)) machine.kill('SIGKILL');
    await ended;
    await rm(work, { recursive: true, force: true });
  }
}

function wasKilled(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

/** Some units of a whole system fail in namespaces. */
const STARTED =
  'timeout 120 sh -c "until systemctl is-system-running | grep -E \'running|degraded\'; do sleep 0.2; done"';

function entered(first: number): Debian {
  const spaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd'];
  const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive'];
  const call = (script: string) =>
    new Promise<Readonly<{ failure: Error | null; said: string }>>((resolve) =>
      execFile(
        'nsenter',
        ['--target', String(first), ...spaces, ...env, 'sh', '-euc', script],
        { maxBuffer: 64 * 1024 * 1024 },
        (failure, stdout, stderr) => resolve({ failure, said: stdout + stderr }),
      ),
    );
  return {
    run: async (script) => {
      const { failure, said } = await call(script);
      if (failure) throw new Error(`${script}\n${said}`, { cause: failure });
      return said;
    },
    succeeds: async (script) => (await call(script)).failure === null,
  };
}

/** The first process of the namespaces, once it is what it becomes. */
async function firstProcess(machine: ChildProcess, name: string): Promise<number | undefined> {
  while (machine.exitCode === null && machine.signalCode === null) {
    for (const child of await descendants(machine.pid ?? 0)) {
      const about = await readFile(`/proc/${child}/status`, 'utf8').catch(() => '');
      const isFirst = /^NSpid:.*\t1$/m.test(about);
      if (isFirst && about.startsWith(`Name:\t${name}\n`)) return child;
    }
    await sleep(20);
  }
  return undefined;
}

async function descendants(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const children = text.trim().split(' ').filter(Boolean).map(Number);
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}
