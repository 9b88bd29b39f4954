/**
 * What clients that hang up do to `updatectl server`: connections are reset at random bytes of requests and answers, over all routes, while hosts
 * check in. The server has a single thread for its files, so that they open slowly under this load.
 * usage: node bench/resets.ts [--resets N] [--at-once N]
 */

import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CheckInLine, checkInOf } from '../test/support/check-in-line.ts';
import { rollingOut } from '../test/support/rollout-site.ts';
import { hangUp, wire } from '../test/support/rude-client.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { rssBytes } from './process-cost.ts';

const { values } = parseArgs({
  options: { resets: { type: 'string', default: '100000' }, 'at-once': { type: 'string', default: '24' } },
});
const RESETS = Number(values.resets);

using repository = await rollingOut({ inFlight: 1000, failures: 100 });
for (const [name, size] of [
  ['long', 4_000_000],
  ['short', 90_000],
] as const)
  writeFileSync(join(repository.dir, `targets/${name}.bundle`), Buffer.alloc(size, name));
await using server = await ServerProcess.start(
  ['--repository', repository.dir, '--state', join(repository.top, 'state')],
  { UV_THREADPOOL_SIZE: '1' },
);
const port = Number(new URL(server.url).port);
const operator = { authorization: `Bearer ${server.operatorToken}`, 'fleet-lock-protocol': 'true' };
const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
  paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};
const files = ['metadata/timestamp.json', 'targets/long.bundle', 'targets/short.bundle', 'targets/none'];
const lock = JSON.stringify({ client_params: { id: '0'.repeat(32), group: 'default' } });
const routes = Object.entries(paths).flatMap(([path, methods]) =>
  path.endsWith('{path}')
    ? []
    : Object.keys(methods).map((method) => ({
        method: method.toUpperCase(),
        path: path.replace(/\{\w+\}/g, 'stable'),
      })),
);
const requests = [
  ...routes.map(({ method, path }) => {
    const body =
      method === 'POST' ? Buffer.from(path === '/v1/check-in' ? JSON.stringify(checkInOf(7)) : lock) : undefined;
    return { method, path, headers: { ...operator, ...(body ? { 'content-type': 'application/json' } : {}) }, body };
  }),
  ...files.flatMap((file) =>
    [{}, { range: 'bytes=0-99' }, { range: 'bytes=70000-' }].map((headers) => ({
      method: 'GET',
      path: `/${file}`,
      headers,
      body: undefined,
    })),
  ),
];

const openOfServer = (): readonly string[] => readdirSync(`/proc/${server.pid}/fd`);
const before = openOfServer().length;
const times: number[] = [];
let [done, answered] = [0, 0];

/** Files are asked for as often as all the rest together. */
function anyRequest(isLast: boolean): Buffer {
  const at = randomInt(2) === 0 ? randomInt(requests.length) : requests.length - 1 - randomInt(files.length * 3);
  return wire(requests[at] ?? { method: 'GET', path: '/', headers: {} }, isLast);
}

async function rude(): Promise<void> {
  while (done < RESETS) {
    done += 1;
    const many = 1 + randomInt(3);
    const request = Buffer.concat(Array.from({ length: many }, (_, at) => anyRequest(at === many - 1)));
    const sends = randomInt(3) === 0 ? randomInt(request.length) : request.length;
    const reads = [0, 1 + randomInt(3000), randomInt(100_000), randomInt(3_000_000)][randomInt(4)] ?? 0;
    if ((await hangUp(port, { request, sends, reads })).answered) answered += 1;
  }
}

async function polite(): Promise<void> {
  const line = new CheckInLine(port);
  while (done < RESETS) {
    const begun = performance.now();
    await line.ask(checkInOf(100 + (times.length % 500)));
    times.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  line.close();
}

const begun = performance.now();
await Promise.all([polite(), ...Array.from({ length: Number(values['at-once']) }, rude)]);
const seconds = (performance.now() - begun) / 1000;
const health = await fetch(`${server.url}/healthz`);
await new Promise((resolve) => setTimeout(resolve, 3000));
const sorted = times.toSorted((one, other) => one - other);
const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(1);
const left = openOfServer().length - before;
const metrics = await (await fetch(`${server.url}/metrics`, { headers: operator })).text();
const [, strays] = /^tandem_server_strays_total (\d+)$/m.exec(metrics) ?? [];
console.log(
  `${RESETS} resets over ${requests.length} requests in ${seconds.toFixed(0)} s, ${answered} of them within an answer`,
);
console.log(
  `alive: ${health.status}; ${left} more descriptors than before; strays: ${strays}; RSS ${(rssBytes(server.pid) / 1e6).toFixed(0)} MB`,
);
console.log(`${times.length} check-ins meanwhile: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`);
console.log(`threads for files: 1; load ${readFileSync('/proc/loadavg', 'utf8').slice(0, 14)}`);
if (health.status !== 200 || left > 2) process.exitCode = 1;
