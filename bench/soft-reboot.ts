/**
 * How long a service is away over a soft reboot at native speed: systemd in namespaces, two images, no virtual machine.
 * usage: node bench/soft-reboot.ts [--rounds N]   (as root: loop devices, namespaces)
 */

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { range } from './figures.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10' } } });
const HERE = join(import.meta.dirname, 'soft');
const PATIENCE_MS = 30_000;

const work = mkdtempSync(join(tmpdir(), 'tandem-soft-'));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rmSync(work, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop(130));

console.log('making two images of the reference system');
run(join(HERE, 'tree'), work);
const loops = ['a', 'b'].map((slot) => {
  const loop = run('losetup', '--read-only', '--find', '--show', join(work, `root-${slot}.img`));
  cleanup.defer(() => void run('losetup', '--detach', loop));
  return loop;
});
const machine = spawn(join(HERE, 'machine'), [...loops, work], { stdio: ['ignore', 'inherit', 'inherit'] });
cleanup.defer(stopMachine);
const pid = await firstProcess();
await beatOf('a', 0);

const rounds: Round[] = [];
for (let round = 1; round <= Number(values.rounds); round += 1) {
  const taken = await softReboot(round % 2 === 1 ? 'b' : 'a');
  rounds.push(taken);
  console.log(
    `round ${round}: away ${ms(taken.away)} (until services are stopped and the root is changed ${ms(taken.stopping)}, until it answers again ${ms(taken.starting)})`,
  );
}
const away = range(rounds.map((one) => one.away));
const parts = [range(rounds.map((one) => one.stopping)), range(rounds.map((one) => one.starting))];
console.log(`a service is away over a soft reboot: median ${ms(away.middle)}, ${ms(away.least)} to ${ms(away.most)}`);
console.log(`  of it stopping ${ms(parts[0]?.middle ?? 0)}, starting ${ms(parts[1]?.middle ?? 0)} (medians)`);
console.log(`systemd ${inside('systemctl', '--version').split(' ')[1]}, load ${loadavg()[0]?.toFixed(2)}`);

/** Seconds: from the last beat before to the first one after, and where in it the new service manager began. */
type Round = Readonly<{ away: number; stopping: number; starting: number }>;

async function softReboot(slot: 'a' | 'b'): Promise<Round> {
  inside('sh', '-c', `mkdir -p /run/nextroot && mount -t erofs -o ro /dev/slot-${slot} /run/nextroot`);
  for (const dir of ['tmp', 'var']) inside('mount', '--bind', `/${dir}`, `/run/nextroot/${dir}`);
  const known = beats().length;
  inside('systemctl', 'soft-reboot', '--no-block');
  const first = await beatOf(slot, known);
  const last = beats()
    .filter((beat) => beat.slot !== slot && beat.at < first)
    .at(-1);
  if (!last) throw new Error('the service was never there before');
  const began = userspaceBegan();
  // Long enough that systemd has finished starting, and that its own start limit is not met.
  await sleep(2500);
  return { away: first - last.at, stopping: began - last.at, starting: first - began };
}

type Beat = Readonly<{ slot: string; at: number }>;

function beats(): Beat[] {
  const lines = readFileSync(`/proc/${pid}/root/run/beats`, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const [slot = '', at = ''] = line.split(' ');
    return { slot, at: Number(at) };
  });
}

/** When a slot first beats after so many beats. */
async function beatOf(slot: string, known: number): Promise<number> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(20)) {
    const found = existsSync(`/proc/${pid}/root/run/beats`)
      ? beats()
          .slice(known)
          .find((beat) => beat.slot === slot)
      : undefined;
    if (found) return found.at;
  }
  throw new Error(`slot ${slot} does not come up`);
}

/** When systemd began with the new root, in seconds since 1970. */
function userspaceBegan(): number {
  const [, text = ''] =
    /=(.*)/.exec(inside('systemctl', 'show', '--timestamp=us+utc', '-p', 'UserspaceTimestamp')) ?? [];
  const [, date, time, micro] = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\.(\d{6})/.exec(text) ?? [];
  return Date.parse(`${date}T${time}Z`) / 1000 + Number(micro) / 1e6;
}

async function firstProcess(): Promise<number> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(50)) {
    const path = `/proc/${machine.pid}/task/${machine.pid}/children`;
    const [child] = existsSync(path) ? readFileSync(path, 'utf8').split(' ') : [];
    if (child && readFileSync(`/proc/${child}/comm`, 'utf8').trim() === 'systemd') return Number(child);
  }
  throw new Error('systemd does not start');
}

/** Runs a program inside of the machine. */
function inside(...command: readonly string[]): string {
  const entered = [
    '--target',
    String(pid),
    '--mount',
    '--uts',
    '--ipc',
    '--net',
    '--pid',
    '--cgroup',
    '--root',
    '--wd',
  ];
  return run('nsenter', ...entered, 'env', '-i', 'PATH=/usr/sbin:/usr/bin', ...command);
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    .toString()
    .trim();
}

async function stopMachine(): Promise<void> {
  const ended = new Promise((done) => machine.once('exit', done));
  if (machine.exitCode === null && machine.kill('SIGKILL')) await ended;
  const cgroup = join(work, 'cgroup');
  // What has just been killed leaves its groups a moment later.
  for (let tries = 0; tries < 50; tries += 1) {
    try {
      run(
        'sh',
        '-c',
        `find ${cgroup}/tandem-bench-* -depth -type d -exec rmdir {} + 2>/dev/null; ! ls -d ${cgroup}/tandem-bench-* 2>/dev/null`,
      );
      break;
    } catch {
      await sleep(100);
    }
  }
  run('umount', cgroup);
}

async function stop(code: number): Promise<void> {
  await cleanup.disposeAsync();
  process.exit(code);
}

function ms(seconds: number): string {
  return `${(seconds * 1000).toFixed(0)} ms`;
}
