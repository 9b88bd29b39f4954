/**
 * How long a service in the reference machine is away when Tandem restarts it by each of its methods, alternately in one run.
 * usage: node bench/outage.ts [--rounds N] [--bars]   (--bars: exit status 1 when a bar is missed)
 */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Method } from '../src/model.ts';
import type { HistoryReply } from '../src/protocol.ts';
import { awaitState, UPDATE_MS, update } from '../test/vm/guest.ts';
import { inLab } from '../test/vm/lab.ts';
import type { Machine } from '../test/vm/machine.ts';
import { median, range } from './figures.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, bars: { type: 'boolean', default: false } },
});
const METHODS: readonly Method[] = ['firmware', 'kexec', 'soft'];
/** The most of a firmware reboot's outage that a method may take. */
const BARS: Readonly<Partial<Record<Method, number>>> = { kexec: 0.8, soft: 0.4 };
const PATIENCE_MS = 300_000;

const taken = new Map<Method, number[]>(METHODS.map((method) => [method, []]));
await inLab('outage', { patient: true, keepsEmulator: true, processors: 2 }, async (lab) => {
  const { machine } = lab;
  await using heart = await listen();
  await machine.run(`mkdir -p /var/lib/reference && echo ${heart.port} >/var/lib/reference/beat`);
  // The way back and forth between two releases with the same kernel.
  await update(lab, '2');
  await awaitState(machine, 'idle', UPDATE_MS);
  console.log(`accelerator ${machine.options.accelerator}; going back and forth between two releases:`);
  for (let round = 1; round <= Number(values.rounds); round += 1)
    for (const method of METHODS) {
      const outage = await restart(machine, heart, method);
      taken.get(method)?.push(outage);
      console.log(`round ${round}: ${method.padEnd(8)} ${seconds(outage)}`);
    }
});

const firmware = median(taken.get('firmware') ?? []);
let isMissed = false;
for (const [method, all] of taken) {
  const { least, middle, most } = range(all);
  const bar = BARS[method];
  const ratio = middle / firmware;
  isMissed ||= bar !== undefined && ratio > bar;
  const judged = bar === undefined ? '' : `, ${ratio.toFixed(2)} of firmware's (bar ${bar.toFixed(2)})`;
  console.log(`${method.padEnd(8)} median ${seconds(middle)}, ${seconds(least)} to ${seconds(most)}${judged}`);
}
console.log(`load ${loadavg()[0]?.toFixed(2)}`);
if (isMissed && values.bars) process.exitCode = 1;

type Beat = Readonly<{ start: string; at: number }>;
type Heart = AsyncDisposable & Readonly<{ port: number; beats: readonly Beat[] }>;

/** Hears the guest's service; the host's clock dates every beat. */
async function listen(): Promise<Heart> {
  const beats: Beat[] = [];
  const socket = createSocket('udp4', (message) => {
    beats.push({ start: message.toString().trim(), at: performance.now() });
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    beats,
    [Symbol.asyncDispose]: async () => {
      socket.close();
    },
  };
}

/** Into the other slot as an operator would go; milliseconds from the service's last beat there to the first one here. */
async function restart(machine: Machine, { beats }: Heart, method: Method): Promise<number> {
  await machine.run(
    `printf '[reboot]\\nmethod = "${method}"\\n' >/run/tandem/config.d/30-method.toml; systemctl restart tandem-agent.service`,
  );
  const [before] = beats.slice(-1);
  if (!before) throw new Error('the service in the guest is not heard');
  machine.forgetOutput();
  await machine.run('(updatectl rollback </dev/null >/run/rollback.log 2>&1 &)');
  await machine.awaitReady(UPDATE_MS);
  await awaitState(machine, 'idle', PATIENCE_MS);
  const entries = (JSON.parse(await machine.run('updatectl history --json --limit 1')) as HistoryReply).entries;
  if (entries[0]?.method !== method) throw new Error(`the machine went by ${entries[0]?.method}, not by ${method}`);
  return gapAfter(beats, before.start);
}

/** The restart is over by now; what was said between two beats of the new start does not count. */
async function gapAfter(beats: readonly Beat[], start: string): Promise<number> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(50)) {
    const last = beats.findLast((beat) => beat.start === start);
    const first = last && beats.find((beat) => beat.at > last.at);
    if (last && first) return first.at - last.at;
  }
  throw new Error('the service did not come back');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
