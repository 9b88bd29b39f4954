/**
 * What check-ins cost `updatectl server` while the fleet grows: simulated agents in a process of their own, the server on one processor, its
 * store in SQLite or in an etcd of three members (which share the other processor with the agents).
 * usage: node bench/load.ts [--store sqlite|etcd] [--hosts 1000,10000,100000] [--seconds N] [--connections N] [--in-flight N] [--bars]
 *        (--bars: exit status 1 when a check-in costs more than half as much again in the largest fleet as in the smallest)
 */

import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EtcdCluster } from '../test/support/etcd-cluster.ts';
import { rollingOut } from '../test/support/rollout-site.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import type { Done, Work } from './load-agents.ts';
import { cpuSeconds, rssBytes } from './process-cost.ts';

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    hosts: { type: 'string', default: '1000,10000,100000' },
    seconds: { type: 'string', default: '15' },
    connections: { type: 'string', default: '32' },
    'in-flight': { type: 'string', default: '1000' },
    bars: { type: 'boolean', default: false },
  },
});
const TOKEN = 'a-token-of-simulated-hosts';
/** What a check-in may cost in the largest fleet, as a multiple of the smallest. */
const BAR = 1.5;
/** The share of what the server can do at most, at which latency is taken once more. */
const QUIET = 0.5;
const HEALTH_REQUESTS = 2000;

using repository = await rollingOut({ inFlight: Number(values['in-flight']), failures: 100 });
await using cluster = values.store === 'etcd' ? await EtcdCluster.start() : undefined;
const tokenFile = join(repository.top, 'machine-token');
writeFileSync(tokenFile, TOKEN);
const store = cluster
  ? cluster.endpoints.flatMap((one) => ['--etcd', one])
  : ['--state', join(repository.top, 'state')];
await using server = await ServerProcess.start([
  '--repository',
  repository.dir,
  '--machine-token',
  tokenFile,
  ...store,
]);
const agents = fork(join(import.meta.dirname, 'load-agents.ts'));
const gone = once(agents, 'exit').then(() => Promise.reject(new Error('the simulated agents have ended')));
gone.catch(() => undefined);
const whom = { port: Number(new URL(server.url).port), token: TOKEN, connections: Number(values.connections) };
pin(server.pid, 0);
pin(agents.pid ?? 0, 1);
try {
  await run();
} finally {
  agents.kill();
}

async function run(): Promise<void> {
  console.log(
    `${values.store}, ${cpus()[0]?.model} × ${cpus().length}, load ${loadavg()[0]?.toFixed(2)} before; ${values.connections} connections, at most ${values['in-flight']} hosts under way`,
  );
  console.log('| hosts | what | requests/s | per s of server CPU | ms of server CPU each | p50 ms | p99 ms | RSS MB |');
  console.log('|---:|---|---:|---:|---:|---:|---:|---:|');
  let registered = 0;
  const steady: number[] = [];
  for (const hosts of values.hosts.split(',').map(Number)) {
    await measure(hosts, 'registering', { kind: 'steady', from: registered, to: hosts });
    registered = hosts;
    const seconds = Number(values.seconds);
    // A server that has just begun is slower: that would make the smallest fleet look dear.
    if (steady.length === 0) await sent({ ...whom, kind: 'steady', from: 0, to: hosts, seconds });
    const full = await measure(hosts, 'steady', { kind: 'steady', from: 0, to: hosts, seconds });
    steady.push(full.cpuMs);
    const perSecond = Math.round(full.perSecond * QUIET);
    await measure(hosts, `steady, ${perSecond}/s asked`, { kind: 'steady', from: 0, to: hosts, seconds, perSecond });
    await measure(hosts, 'asking to begin', { kind: 'asking', from: 0, to: hosts, seconds });
    await measureHealth(hosts);
  }
  const growth = (steady.at(-1) ?? Number.NaN) / (steady[0] ?? Number.NaN);
  console.log(
    `a steady check-in costs ${growth.toFixed(2)} times as much in the largest fleet as in the smallest (bar ${BAR})`,
  );
  console.log(`load ${loadavg()[0]?.toFixed(2)} after`);
  if (values.bars && !(growth <= BAR)) process.exitCode = 1;
}

/** One line of the table. */
async function measure(
  hosts: number,
  what: string,
  part: Omit<Work, 'port' | 'token' | 'connections'>,
): Promise<Readonly<{ perSecond: number; cpuMs: number }>> {
  const before = cpuSeconds(server.pid);
  const { answers, seconds, p50, p99 } = await sent({ ...whom, ...part });
  const cpu = cpuSeconds(server.pid) - before;
  print(hosts, what, { answers, seconds, cpu, p50, p99 });
  return { perSecond: answers / seconds, cpuMs: (1000 * cpu) / answers };
}

/** `seconds` by the clock, `cpu` of the server's processor; latencies in milliseconds. */
type Figures = Readonly<{ answers: number; seconds: number; cpu: number; p50: number; p99: number }>;

function print(hosts: number, what: string, { answers, seconds, cpu, p50, p99 }: Figures): void {
  const figures = [
    hosts,
    what,
    (answers / seconds).toFixed(0),
    (answers / cpu).toFixed(0),
    ((1000 * cpu) / answers).toFixed(3),
    p50.toFixed(1),
    p99.toFixed(1),
    (rssBytes(server.pid) / 1e6).toFixed(0),
  ];
  console.log(`| ${figures.join(' | ')} |`);
}

/** What a monitor pays that asks often: /healthz, one request after the other. */
async function measureHealth(hosts: number): Promise<void> {
  const before = cpuSeconds(server.pid);
  const begun = performance.now();
  const taken: number[] = [];
  for (let at = 0; at < HEALTH_REQUESTS; at += 1) {
    const start = performance.now();
    await (await fetch(`${server.url}/healthz`)).arrayBuffer();
    taken.push(performance.now() - start);
  }
  const seconds = (performance.now() - begun) / 1000;
  const sorted = Float64Array.from(taken).sort();
  const p = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  const cpu = cpuSeconds(server.pid) - before;
  print(hosts, 'GET /healthz', { answers: HEALTH_REQUESTS, seconds, cpu, p50: p(0.5), p99: p(0.99) });
}

async function sent(work: Work): Promise<Done> {
  agents.send(work);
  const [done] = (await Promise.race([once(agents, 'message'), gone])) as [Done];
  return done;
}

function pin(pid: number, processor: number): void {
  execFileSync('taskset', ['-a', '-p', '-c', String(processor), String(pid)], { stdio: 'ignore' });
}
