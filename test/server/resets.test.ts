/** Clients that hang up: at any byte of a request or an answer, on every route, while files open slowly. `N=50` does it fifty times as often. */

import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../../src/server/access/tokens.ts';
import { serveFiles } from '../../src/system/http/served-file.ts';
import { type FuzzedRequest, requestTo } from '../support/fuzzed-requests.ts';
import { readDescription } from '../support/openapi-answers.ts';
import { hangUp, wire } from '../support/rude-client.ts';
import { OPERATOR_SESSION, TestFleet, TOKEN } from './pages/fleet.ts';

const TIMES = Number(process.env['N'] ?? 1);
const AT_ONCE = 16;
/** Parts that are sent from memory, and parts that are a stream. */
const FILES: Readonly<Record<string, number>> = {
  'metadata/timestamp.json': 600,
  'targets/releases/acme/short.bundle': 90_000,
  'targets/releases/acme/long.bundle': 3_000_000,
  'targets/empty': 0,
};
const KEYS = [
  { authorization: `Bearer ${TOKEN}`, 'fleet-lock-protocol': 'true' },
  { cookie: OPERATOR_SESSION.cookie },
  { authorization: 'Bearer of-a-machine', 'fleet-lock-protocol': 'true' },
];

let site: TestFleet;
let anyRequest: fc.Arbitrary<FuzzedRequest>;
/** Turns of the loop that opening a file takes. */
let slowness = 0;

before(async () => {
  site = await (await new TestFleet().fill(60)).disturb();
  site.tokens = { ...site.tokens, machine: digestOf('of-a-machine') };
  for (const [path, size] of Object.entries(FILES)) site.file(path, 'x'.repeat(size));
  site.serve = serveFiles({
    freshMs: 0,
    opens: async (path) => {
      const handle = await open(path);
      slowness = (slowness + 7) % 40;
      for (let turn = 0; turn < slowness; turn++) await new Promise(setImmediate);
      return handle;
    },
  });
  await site.start();
  const around = { paths: Object.keys(FILES).map((path) => path.replace(/^\w+\//, '')), headers: fc.constant({}) };
  const { operations } = await readDescription(site.app);
  anyRequest = fc.oneof(...operations.map((operation) => requestTo(operation, around)));
});
after(() => site[Symbol.asyncDispose]());

/** Open descriptors of the repository's files. */
const openFiles = (): readonly string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return ['metadata', 'targets'].some((folder) => path.startsWith(join(site.top, folder))) ? [path] : [];
    } catch {
      return [];
    }
  });

async function nothingIsLeftOpen(): Promise<void> {
  for (let turns = 0; openFiles().length > 0 && turns < 100_000; turns++) await new Promise(setImmediate);
  assert.deepEqual(openFiles(), []);
}

/** Every connection asks for some things, one behind the other, and hangs up. */
async function hangUpAll(asked: readonly (readonly FuzzedRequest[])[], seed: number): Promise<number> {
  const port = Number(new URL(site.url).port);
  const left = asked.map((requests, at) => [requests, (seed + at * 7919) % 104_729] as const);
  let answered = 0;
  const rude = async (): Promise<void> => {
    for (let next = left.pop(); next; next = left.pop()) {
      const [requests, chance] = next;
      const request = Buffer.concat(
        requests.map((one, at) =>
          wire({ ...one, headers: { ...KEYS[chance % KEYS.length], ...one.headers } }, at === requests.length - 1),
        ),
      );
      const sends = chance % 3 === 0 ? chance % request.length : request.length;
      // Now and then more than the buffers of the connection hold.
      const reads = chance % 5 === 0 ? 0 : chance % 7 === 0 ? 2_500_000 : chance % 3000;
      if ((await hangUp(port, { request, sends, reads })).answered) answered += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, rude));
  return answered;
}

const alive = async (): Promise<void> => assert.equal((await fetch(`${site.url}/healthz`)).status, 200);

test('clients that hang up at any byte, on any route, leave nothing open, and the server answers', async () => {
  const many = { numRuns: 3000 * TIMES, seed: 20 };
  const asked = fc.sample(fc.array(anyRequest, { minLength: 1, maxLength: 3 }), many);
  const answered = await hangUpAll(asked, 1);
  assert.ok(answered > many.numRuns / 20, `only ${answered} got as far as an answer`);
  await nothingIsLeftOpen();
  await alive();
});

test('a file is closed when whom it was opened for has hung up before, meanwhile or after', async () => {
  const file = (path: string, headers: Record<string, string>): FuzzedRequest =>
    ({ method: 'GET', path: `/${path}`, headers, body: undefined }) as unknown as FuzzedRequest;
  const ranges = [{}, { range: 'bytes=0-99' }, { range: 'bytes=-5' }, { range: 'bytes=999999999-' }];
  const one = fc.tuple(fc.constantFrom(...Object.keys(FILES), 'targets/none'), fc.constantFrom(...ranges));
  const asked = fc.sample(fc.array(one, { minLength: 1, maxLength: 20 }), { numRuns: 1500 * TIMES, seed: 20 });
  const requests = asked.map((all) => all.map(([path, headers]) => file(path, headers as Record<string, string>)));
  assert.ok((await hangUpAll(requests, 2)) > 0);
  await nothingIsLeftOpen();
  await alive();
});
