/** The web server: a repository that clients can follow, and check-ins that no request can break. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { digestOf } from '../../src/server/access/tokens.ts';
import { createChannels } from '../../src/server/fleet/channels.ts';
import { createFleet } from '../../src/server/fleet/fleet.ts';
import { createRebootLocks } from '../../src/server/fleet/reboot-locks.ts';
import { createApp } from '../../src/server/http/app.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import type { Store } from '../../src/server/store/store.ts';
import { realFiles } from '../../src/system/files.ts';
import { serveFiles } from '../../src/system/http/served-file.ts';
import { silentLog } from '../../src/system/log.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { accessWith } from '../support/fleet-tokens.ts';
import { NOW, TestRepository } from '../support/tuf-repository.ts';

const MACHINE = { authorization: 'Bearer of-a-machine' };
const OPERATOR = { authorization: 'Bearer of-an-operator' };
const CHECK_IN = {
  schema: 1,
  machine: '0123456789abcdef0123456789abcdef',
  group: 'default',
  product: 'acme',
  channel: 'stable',
  agent: '0.1.0',
  running: { version: '1.0', counter: 1 },
  confirmed: true,
  state: 'idle',
  since: '2029-12-31T00:00:00Z',
};

let repository: TestRepository;
let store: Store;
let app: FastifyInstance;
let url: string;

before(async () => {
  repository = await new TestRepository().init();
  await repository.add('1.0');
  await repository.promote('1.0');
  store = sqliteStore(openDatabase(join(repository.top, 'fleet.db'), { durable: false }));
  const channels = createChannels(realFiles, repository.dir);
  app = await createApp({
    fleet: createFleet(store, async (name) => (await channels()).get(name)),
    locks: createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 3600 }),
    repository: repository.dir,
    serve: serveFiles(),
    store,
    access: await accessWith(store, { machine: digestOf('of-a-machine'), operator: digestOf('of-an-operator') }),
    channels,
    now: () => NOW,
    log: silentLog,
  });
  url = await app.listen({ host: '127.0.0.1', port: 0 });
});

after(async () => {
  await app.close();
  await store[Symbol.asyncDispose]();
  repository[Symbol.dispose]();
});

const checkIn = (body: unknown, headers: Record<string, string> = MACHINE) =>
  fetch(`${url}/v1/check-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/** A target of the repository: its path and its bytes. */
function someTarget(): Readonly<{ path: string; bytes: Buffer }> {
  const folder = 'targets/releases/acme';
  const [name] = readdirSync(join(repository.dir, folder));
  const path = `${folder}/${name}`;
  return { path, bytes: readFileSync(join(repository.dir, path)) };
}

test('a client follows the repository as from any web server', async () => {
  const fetchFile = async (path: string, limit: number): Promise<Uint8Array | undefined> => {
    const answer = await fetch(`${url}/${path}`);
    if (answer.status === 404) return undefined;
    return new Uint8Array(await answer.arrayBuffer()).subarray(0, limit);
  };
  const trusted = await repository.host('follower', { fetch: fetchFile }).poll();
  assert.equal((await trusted.channel('stable')).version, '1.0');
});

test('any range of a file is the bytes that it names', async () => {
  const { path, bytes } = someTarget();
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length + 5), fc.option(fc.nat(bytes.length + 5)), async (first, last) => {
      const answer = await fetch(`${url}/${path}`, { headers: { range: `bytes=${first}-${last ?? ''}` } });
      const body = Buffer.from(await answer.arrayBuffer());
      if (last !== null && last < first) return assert.equal(answer.status, 200);
      if (first >= bytes.length) return assert.equal(answer.status, 416);
      const wanted = bytes.subarray(first, last === null ? undefined : last + 1);
      assert.equal(answer.status, 206);
      assert.deepEqual(body, wanted);
      const end = first + wanted.length - 1;
      assert.equal(answer.headers.get('content-range'), `bytes ${first}-${end}/${bytes.length}`);
    }),
    { numRuns: 60 },
  );
});

test('the last bytes, the head alone, and a file that has not changed cost what they should', async () => {
  const { path, bytes } = someTarget();
  const tail = await fetch(`${url}/${path}`, { headers: { range: 'bytes=-4' } });
  assert.deepEqual(Buffer.from(await tail.arrayBuffer()), bytes.subarray(-4));
  const head = await fetch(`${url}/${path}`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), String(bytes.length));
  assert.match(head.headers.get('cache-control') ?? '', /immutable/);
  const tag = head.headers.get('etag') ?? '';
  assert.equal((await fetch(`${url}/${path}`, { headers: { 'if-none-match': tag } })).status, 304);
  const stale = await fetch(`${url}/${path}`, { headers: { range: 'bytes=0-1', 'if-range': '"another"' } });
  assert.equal(stale.status, 200);
});

test('caches may keep what is named by a version or a digest, and nothing else', async () => {
  writeFileSync(join(repository.dir, 'targets/notes.txt'), 'changes now and then');
  const cacheControl = async (path: string) => (await fetch(`${url}/${path}`)).headers.get('cache-control') ?? '';
  for (const path of [someTarget().path, 'metadata/1.root.json', 'metadata/2.snapshot.json'])
    assert.match(await cacheControl(path), /immutable/, path);
  for (const path of ['metadata/timestamp.json', 'targets/notes.txt'])
    assert.equal(await cacheControl(path), 'no-cache', path);
  assert.equal(await cacheControl('metadata/99.root.json'), 'no-store');
});

test('only the repository is given away', async () => {
  writeFileSync(join(repository.dir, '.publisher.lock'), 'secret');
  writeFileSync(join(repository.dir, 'targets/.incoming'), 'secret');
  const paths = [
    '.publisher.lock',
    'targets/.incoming',
    'targets/../.publisher.lock',
    'targets/%2e%2e/.publisher.lock',
  ];
  for (const path of [...paths, 'targets/..%2f.publisher.lock', 'targets/', 'targets', 'metadata/7.root.json']) {
    const { statusCode, body } = await app.inject({ url: `/${path}` });
    assert.equal(statusCode, 404, path);
    assert.doesNotMatch(body, /secret/);
  }
});

test('a check-in needs the token of a machine, and reading the fleet that of an operator', async () => {
  assert.equal((await checkIn(CHECK_IN, {})).status, 401);
  assert.equal((await checkIn(CHECK_IN, { authorization: 'Bearer wrong' })).status, 401);
  assert.equal((await checkIn(CHECK_IN, OPERATOR)).status, 200);
  for (const path of ['v1/machines', `v1/machines/${CHECK_IN.machine}`, 'metrics']) {
    assert.equal((await fetch(`${url}/${path}`, { headers: MACHINE })).status, 403, path);
    assert.equal((await fetch(`${url}/${path}`, { headers: OPERATOR })).status, 200, path);
  }
});

test('a machine that has checked in is known, and the figures count it', async () => {
  assert.deepEqual(await (await checkIn(CHECK_IN)).json(), { schema: 1, go: true });
  const known = (await (await fetch(`${url}/v1/machines/${CHECK_IN.machine}`, { headers: OPERATOR })).json()) as {
    lastSeen: string;
  };
  assert.equal(known.lastSeen, NOW.toISOString());
  const metrics = await (await fetch(`${url}/metrics`, { headers: OPERATOR })).text();
  assert.match(metrics, /^tandem_machines [1-9]\d*$/m);
  assert.match(metrics, /^tandem_rollout_in_flight\{channel="stable"\} 0$/m);
});

test('whatever is sent as a check-in is answered with a reason, never with a failure of the server', async () => {
  const anyField = fc.oneof(fc.jsonValue(), fc.constantFrom('a'.repeat(70_000), '\u0000', '2030', -1));
  const anyBody = fc.oneof(
    fc.jsonValue(),
    fc.tuple(fc.constantFrom(...Object.keys(CHECK_IN), 'other', '__proto__'), anyField).map(([name, value]) => ({
      ...CHECK_IN,
      [name]: value,
    })),
  );
  await fc.assert(
    fc.asyncProperty(anyBody, async (body) => {
      const { status } = await checkIn(body);
      assert.ok([200, 400, 413].includes(status), `${status} for ${JSON.stringify(body).slice(0, 200)}`);
    }),
    { numRuns: 200 },
  );
  for (const text of ['', '{', '[]', 'null', '"', '{"schema":1,"schema":1}'])
    assert.equal((await checkIn(text)).status, 400, text);
});
