/**
 * How fast `updatectl server` gives an image away, as a share of what nginx does with the same file: alternately in one run, whole and by
 * ranges of 64 KiB at random places, over connections that stay open. Each of the two has one processor, the client the other one.
 * usage: node bench/serving.ts [--rounds N] [--size MIB] [--seconds N] [--bars]   (--bars: exit status 1 when a bar is missed)
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ServerProcess } from '../test/support/server-process.ts';
import { median, range } from './figures.ts';
import { makeImage } from './image.ts';
import { serveDirectory } from './nginx.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    size: { type: 'string', default: '512' },
    seconds: { type: 'string', default: '5' },
    bars: { type: 'boolean', default: false },
  },
});
const BAR = 0.5;
const MIB = 1024 * 1024;
const bytes = Number(values.size) * MIB;
const LOADS = ['whole', 'ranges'] as const;
type Load = (typeof LOADS)[number];
/** `busy`: which share of one processor the server took. Far below 1, something else was the limit, like the client. */
type Rate = Readonly<{ mbPerSecond: number; requestsPerSecond: number; cpuSecondsPerGb: number; busy: number }>;

const dir = mkdtempSync(join(tmpdir(), 'tandem-serving-'));
try {
  mkdirSync(join(dir, 'repository', 'targets'), { recursive: true });
  makeImage(join(dir, 'repository', 'targets', 'image'), bytes);
  writeFileSync(join(dir, 'ranges.lua'), rangesOf(bytes));
  using nginx = await serveDirectory(join(dir, 'repository'));
  await using server = await ServerProcess.start([
    '--repository',
    join(dir, 'repository'),
    '--state',
    join(dir, 'state'),
  ]);
  const contenders = { nginx: { url: nginx.url, pids: nginx.pids }, tandem: { url: server.url, pids: [server.pid] } };
  for (const { pids } of Object.values(contenders)) for (const pid of pids) pin(pid);
  const taken: Record<Load, Record<keyof typeof contenders, Rate[]>> = {
    whole: { nginx: [], tandem: [] },
    ranges: { nginx: [], tandem: [] },
  };
  for (let round = 1; round <= Number(values.rounds); round += 1)
    for (const load of LOADS)
      for (const name of ['nginx', 'tandem'] as const) {
        const rate = measure(load, contenders[name]);
        taken[load][name].push(rate);
        console.log(`round ${round}: ${load.padEnd(6)} ${name.padEnd(6)} ${told(rate)}`);
      }
  let isMissed = false;
  for (const load of LOADS) {
    const { nginx: theirs, tandem: ours } = taken[load];
    const ratio = median(ours.map((rate) => rate.mbPerSecond)) / median(theirs.map((rate) => rate.mbPerSecond));
    isMissed ||= ratio < BAR;
    for (const [name, rates] of Object.entries(taken[load]))
      console.log(`${load.padEnd(6)} ${name.padEnd(6)} ${summary(rates)}`);
    console.log(`${load.padEnd(6)} ${ratio.toFixed(2)} of nginx (bar ${BAR})`);
  }
  console.log(`load ${loadavg()[0]?.toFixed(2)}`);
  if (isMissed && values.bars) process.exitCode = 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** The client's own processor is the second one. */
function measure(load: Load, { url, pids }: Readonly<{ url: string; pids: readonly number[] }>): Rate {
  const script = load === 'ranges' ? ['-s', join(dir, 'ranges.lua')] : [];
  const args = [
    '-c',
    '1',
    'wrk',
    '-t',
    '1',
    '-c',
    '8',
    '-d',
    `${values.seconds}s`,
    '--timeout',
    '60s',
    ...script,
    `${url}/targets/image`,
  ];
  const before = cpuSeconds(pids);
  const said = execFileSync('taskset', args, { encoding: 'utf8' });
  const cpu = cpuSeconds(pids) - before;
  const faults = /Socket errors:.*|Non-2xx.*/.exec(said)?.[0];
  if (faults !== undefined) throw new Error(`${url}: ${faults}`);
  const [, amount = '', unit = ''] = /Transfer\/sec:\s+([\d.]+)([KMG])B/.exec(said) ?? [];
  const perSecond = Number(amount) * 1024 ** ('KMG'.indexOf(unit) + 1);
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1]);
  return {
    mbPerSecond: perSecond / 1e6,
    requestsPerSecond,
    cpuSecondsPerGb: cpu / ((perSecond * Number(values.seconds)) / 1e9),
    busy: cpu / Number(values.seconds),
  };
}

/** User and system, of all threads. */
function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    const [user = 0, system = 0] = fields.split(' ').slice(11, 13).map(Number);
    return user + system;
  });
  return ticks.reduce((sum, one) => sum + one, 0) / 100;
}

function pin(pid: number): void {
  execFileSync('taskset', ['-a', '-p', '-c', '0', String(pid)], { stdio: 'ignore' });
}

function told({ mbPerSecond, requestsPerSecond, cpuSecondsPerGb, busy }: Rate): string {
  const rate = `${mbPerSecond.toFixed(0).padStart(5)} MB/s, ${requestsPerSecond.toFixed(0).padStart(6)} requests/s`;
  return `${rate}, ${cpuSecondsPerGb.toFixed(2)} s of its processor per GB, ${(100 * busy).toFixed(0)} % busy`;
}

function summary(rates: readonly Rate[]): string {
  const { least, middle, most } = range(rates.map(({ mbPerSecond }) => mbPerSecond));
  return `${middle.toFixed(0)} MB/s (${least.toFixed(0)} to ${most.toFixed(0)}), ${median(rates.map((rate) => rate.cpuSecondsPerGb)).toFixed(2)} s per GB, ${(100 * median(rates.map(({ busy }) => busy))).toFixed(0)} % busy`;
}

/** For wrk: another place each time. */
function rangesOf(size: number): string {
  return `local last = ${Math.floor(size / 65536) - 1}
request = function()
  local first = math.random(0, last) * 65536
  wrk.headers["Range"] = string.format("bytes=%d-%d", first, first + 65535)
  return wrk.format()
end
`;
}
