/**
 * A whole rollout to a fleet of simulated hosts of which some fail, against the server in a process of its own: every check-in and report goes
 * over HTTP into a durable SQLite file, only the clock is set from minute to minute. Once with a budget that does not last, once with one that does.
 * In every minute what the server has kept is held against the limit and against what the hosts were told.
 * usage: node bench/rollout.ts [--hosts N] [--in-flight N] [--budgets N,N] [--poll MINUTES] [--install MINUTES] [--failure-rate SHARE]
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seeded } from '../src/rollout/dice.ts';
import { CheckInLine } from '../test/support/check-in-line.ts';
import { START } from '../test/support/virtual-channel.ts';
import { type Kept, type WholeRollout, wholeRollout } from '../test/support/whole-rollout.ts';
import { cpuSeconds, rssBytes } from './process-cost.ts';
import type { Told } from './rollout-server.ts';

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '100000' },
    'in-flight': { type: 'string', default: '1000' },
    budgets: { type: 'string', default: '500,100000' },
    poll: { type: 'string', default: '240' },
    install: { type: 'string', default: '10' },
    'failure-rate': { type: 'string', default: '0.02' },
  },
});
const fleet = {
  hosts: Number(values.hosts),
  poll: Number(values.poll),
  install: Number(values.install),
  failureRate: Number(values['failure-rate']),
  inFlight: Number(values['in-flight']),
};
const CONNECTIONS = 32;

console.log(
  `${fleet.hosts} hosts, ${100 * fleet.failureRate} % fail, at most ${fleet.inFlight} under way, polls every ${fleet.poll} min, ${fleet.install} min to install; load ${loadavg()[0]?.toFixed(2)}`,
);
for (const budget of values.budgets.split(',').map(Number)) await run(budget);

async function run(budget: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-rollout-'));
  const child = fork(join(import.meta.dirname, 'rollout-server.ts'), [
    join(dir, 'fleet.db'),
    String(fleet.inFlight),
    String(budget),
  ]);
  try {
    const [port] = (await once(child, 'message')) as [number];
    const lines = Array.from({ length: CONNECTIONS }, () => new CheckInLine(port));
    const begun = performance.now();
    const server = {
      lines,
      setClock: async (clock: number): Promise<void> => void (await asked(child, { clock })),
      kept: async () => (await asked(child, 'kept')) as Kept,
    };
    const played = await wholeRollout(fleet, server, seeded(1), START);
    const seconds = (performance.now() - begun) / 1000;
    const pid = child.pid ?? 0;
    tell(budget, played, seconds, cpuSeconds(pid), rssBytes(pid));
    for (const line of lines) line.close();
  } finally {
    child.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function asked(child: ChildProcess, told: Told): Promise<unknown> {
  child.send(told);
  const [answer] = (await once(child, 'message')) as [unknown];
  return answer;
}

function tell(budget: number, played: WholeRollout, seconds: number, cpu: number, rss: number): void {
  const { minutes, checkIns, mostKept, mostUnderWay, braked, begunAfterBrake, last } = played;
  console.log(`\nbudget of ${budget} failures:`);
  console.log(
    braked
      ? `  brake pulled in minute ${braked.minute}: “${braked.reason}”; ${begunAfterBrake} have begun since`
      : '  brake not pulled',
  );
  console.log(
    `  ${last.updated} updated, ${last.failed} failed, ${last.inFlight} under way at the end, after ${minutes} min of its clock; sampled in each of them`,
  );
  console.log(`  most under way: ${mostKept} as kept, ${mostUnderWay} as the hosts saw it; limit ${fleet.inFlight}`);
  console.log(
    `  ${checkIns} check-ins in ${seconds.toFixed(1)} s (${(checkIns / seconds).toFixed(0)}/s), ${cpu.toFixed(1)} s of the server's processor (${((1000 * cpu) / checkIns).toFixed(3)} ms each), ${(rss / 1e6).toFixed(0)} MB`,
  );
}
