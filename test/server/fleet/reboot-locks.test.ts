/** FleetLock on the server: our own client and a request as Zincati sends it, against the real thing. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { fleetLock } from '../../../src/reboot/gates/locks/fleetlock.ts';
import type { LockClient } from '../../../src/reboot/gates/locks/lock-client.ts';
import { digestOf } from '../../../src/server/access/tokens.ts';
import { createRebootLocks, type LockDefaults } from '../../../src/server/fleet/reboot-locks.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { noSignal, temporaryFolder } from '../../support/bundles.ts';
import { refusalOf } from '../../support/command-line.ts';
import { type FleetApp, startFleetApp } from '../../support/fleet-app.ts';
import type { GivenTokens } from '../../support/fleet-tokens.ts';
import { testHttp } from '../../support/http-client.ts';

const OPERATOR = { authorization: 'Bearer of-an-operator', 'content-type': 'application/json' };
const START = Date.parse('2030-01-01T00:00:00Z');

type Bench = AsyncDisposable & FleetApp & { now: number };

async function bench(
  locks: Partial<LockDefaults> = {},
  tokens: GivenTokens = { operator: digestOf('of-an-operator') },
): Promise<Bench> {
  const store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const clock = { now: START };
  const app = await startFleetApp({ store, locks, tokens, now: () => new Date(clock.now) });
  return Object.assign(clock, app, {
    [Symbol.asyncDispose]: async () => {
      await app[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  });
}

const hostOf = (url: string, id: string, login?: Readonly<{ user: string; password: string }>): LockClient =>
  fleetLock({
    http: testHttp(),
    url,
    id,
    group: 'default',
    timeoutMs: 5_000,
    askMs: 10_000,
    random: { fraction: () => 0.5, bytes: (length) => new Uint8Array(length) },
    signal: noSignal,
    ...(login ? { login } : {}),
  });

const lockOf = async (url: string, group = 'default') =>
  (await (await fetch(`${url}/v1/locks/${group}`, { headers: OPERATOR })).json()) as Awaited<
    ReturnType<ReturnType<typeof createRebootLocks>['show']>
  >;

/** Bytes, of which fetch does not know the type: nor does it say one. */
const ask = (url: string, verb: string, body: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/${verb}`, {
    method: 'POST',
    headers: { 'fleet-lock-protocol': 'true', ...headers },
    body: new TextEncoder().encode(body),
  });

test('our hosts have it one after the other, may ask twice, and may give back what they do not have', async () => {
  await using server = await bench();
  const [first, second] = [hostOf(server.url, 'aa'), hostOf(server.url, 'bb')];
  assert.deepEqual(await first.take('update'), { ok: true });
  assert.deepEqual(await first.take('update'), { ok: true });
  await first.begin();
  assert.deepEqual(await second.take('update'), {
    ok: false,
    code: 'lock-full',
    reason: 'aa (since 2030-01-01T00:00:00.000Z) holds the lock (failed_lock_semaphore_full)',
    askAgainMs: 10_000,
  });
  await second.giveBack();
  assert.equal((await lockOf(server.url)).holders.length, 1, 'nobody else frees it');
  await first.giveBack({});
  await first.giveBack();
  assert.deepEqual(await second.take('update'), { ok: true });
});

test('the request of Zincati is understood: pretty JSON without a type, and its token in the address', async () => {
  await using server = await bench({}, { machine: digestOf('of-a-machine') });
  const body = '{\n  "client_params": {\n    "id": "c988d2509fdf",\n    "group": "workers.eu-1"\n  }\n}';
  const withToken = { authorization: `Basic ${btoa('zincati:of-a-machine')}` };
  assert.equal((await ask(server.url, 'pre-reboot', body, withToken)).status, 200);
  const other = await ask(server.url, 'pre-reboot', body.replace('c988', 'd988'), withToken);
  assert.equal(other.status, 409);
  assert.equal(((await other.json()) as { kind: string }).kind, 'failed_lock_semaphore_full');
  assert.equal((await ask(server.url, 'steady-state', body, withToken)).status, 200);
});

test('who has no token of a machine is refused in the words of the protocol', async () => {
  await using server = await bench({}, { machine: digestOf('of-a-machine') });
  const reply = await hostOf(server.url, 'aa').take('update');
  assert.match(reply.ok ? '' : reply.reason, /requires the token of a machine\. \(denied\)/);
  const good = hostOf(server.url, 'aa', { user: 'host', password: 'of-a-machine' });
  assert.deepEqual(await good.take('update'), { ok: true });
  const bad = hostOf(server.url, 'aa', { user: 'of-a-machine', password: 'x' });
  assert.equal(await refusalOf(bad.giveBack()), 'lock-refused');
});

test('groups do not hinder each other, and one that holds nothing leaves nothing behind', async () => {
  await using server = await bench();
  const of = (group: string) => JSON.stringify({ client_params: { id: 'aa', group } });
  for (const group of ['a', 'b']) assert.equal((await ask(server.url, 'pre-reboot', of(group))).status, 200);
  const groups = async () => {
    const answer = await fetch(`${server.url}/v1/locks`, { headers: OPERATOR });
    return ((await answer.json()) as { locks: { group: string }[] }).locks.map(({ group }) => group);
  };
  assert.deepEqual(await groups(), ['a', 'b']);
  await ask(server.url, 'steady-state', of('a'));
  assert.deepEqual(await groups(), ['b']);
});

test('a host that does not come back keeps its place, is shown as late, and stops the others of its group', async () => {
  await using server = await bench({ max: 2, deadlineSeconds: 600 });
  const [lost, other] = [hostOf(server.url, 'aa'), hostOf(server.url, 'bb')];
  await lost.take('update');
  server.now += 600_000;
  assert.deepEqual(await other.take('update'), { ok: true }, 'not late yet');
  await other.giveBack();
  server.now += 1;
  const reply = await other.take('update');
  assert.match(reply.ok ? '' : reply.reason, /aa .*failed or did not come back.*failed_lock_failures/);
  const { holders, free } = await lockOf(server.url);
  assert.deepEqual(
    holders.map(({ id, late, since, why }) => ({ id, late, since, why })),
    [{ id: 'aa', late: true, since: '2030-01-01T00:00:00.000Z', why: 'a reboot' }],
  );
  assert.equal(free, 1);
  const freed = await fetch(`${server.url}/v1/locks/default/aa`, {
    method: 'DELETE',
    headers: { authorization: OPERATOR.authorization },
  });
  assert.equal(freed.status, 200);
  assert.deepEqual(await other.take('update'), { ok: true });
  const again = await fetch(`${server.url}/v1/locks/default/aa`, {
    method: 'DELETE',
    headers: { authorization: OPERATOR.authorization },
  });
  assert.equal(again.status, 404);
});

test('an operator sets the size of a group, which stays when nobody holds it', async () => {
  await using server = await bench();
  const set = await fetch(`${server.url}/v1/locks/default`, { method: 'PUT', headers: OPERATOR, body: '{"max":2}' });
  assert.equal(set.status, 200);
  const hosts = ['aa', 'bb', 'cc'].map((id) => hostOf(server.url, id));
  const held = [];
  for (const host of hosts) held.push((await host.take('update')).ok);
  assert.deepEqual(held, [true, true, false]);
  for (const host of hosts) await host.giveBack();
  assert.equal((await lockOf(server.url)).max, 2);
  assert.equal((await fetch(`${server.url}/v1/locks`)).status, 401);
});

test('of fifty hosts that ask at once, as many have it as there are places', async () => {
  await using server = await bench({ max: 7 });
  const asked = Array.from({ length: 50 }, (_, at) => hostOf(server.url, `${at}`).take('update'));
  const held = (await Promise.all(asked)).filter((one) => one.ok);
  assert.equal(held.length, 7);
  assert.equal((await lockOf(server.url)).holders.length, 7);
});

test('whatever is sent is answered in the words of the protocol, and only a well-formed request gets the lock', async () => {
  await using server = await bench({ max: 0 });
  const field = fc.oneof(fc.jsonValue(), fc.constantFrom('', 'AB', '../x', 'a'.repeat(100), '__proto__', 7));
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({ client_params: fc.oneof(fc.jsonValue(), fc.record({ id: field, group: field })) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('pre-reboot', 'steady-state'), body, async (verb, given) => {
      const answer = await ask(server.url, verb, JSON.stringify(given));
      if (verb === 'steady-state' && answer.status === 200) return;
      assert.ok([400, 409].includes(answer.status), `${answer.status} for ${JSON.stringify(given)}`);
      const said = (await answer.json()) as { kind: unknown; value: unknown };
      assert.deepEqual([typeof said.kind, typeof said.value], ['string', 'string']);
    }),
    { numRuns: 150 },
  );
  const good = '{"client_params":{"id":"aa","group":"default"}}';
  const bare = await fetch(`${server.url}/v1/pre-reboot`, { method: 'POST', body: good });
  assert.deepEqual([bare.status, ((await bare.json()) as { kind: string }).kind], [400, 'missing_header']);
  for (const text of ['', '{', '[]', good + good, `${good.slice(0, -1)},"x":"${'y'.repeat(5000)}"}`])
    assert.ok([400, 413].includes((await ask(server.url, 'pre-reboot', text)).status), text.slice(0, 60));
});

test('holders are still there after the server was started anew', async () => {
  await using folder = await temporaryFolder();
  const open = () => sqliteStore(openDatabase(join(folder.path, 'fleet.db')));
  const defaults = { max: 1, maxFailures: 0, deadlineSeconds: 60 };
  await using before = open();
  assert.equal(await createRebootLocks(before, defaults).take('web', 'aa', new Date(START)), undefined);
  await before[Symbol.asyncDispose]();
  await using store = open();
  const refusal = await createRebootLocks(store, defaults).take('web', 'bb', new Date(START));
  assert.equal(refusal?.code, 'lock-full');
});

test('a lock that is not understood is granted to nobody, and left as it is', async () => {
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const locks = createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 60 });
  for (const strange of [[], 'x', { schema: 1 }, { schema: 1, max: 1, maxFailures: 0, holders: [{}], failures: [] }]) {
    await store.update([{ kind: 'lock', id: 'web' }], () => ({ write: [strange], result: undefined }));
    const attempts = [locks.take('web', 'aa', new Date(START)), locks.giveBack('web', 'aa'), locks.setMax('web', 2)];
    for (const attempt of attempts) assert.equal(await refusalOf(attempt), 'lock-document-invalid');
    assert.deepEqual(await store.read({ kind: 'lock', id: 'web' }), strange);
  }
});

test('the list of locks goes on after its first page, and names each group once', async () => {
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const locks = createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 60 });
  const groups = ['a', 'b', 'c', 'd', 'e'];
  for (const group of groups) await locks.take(group, 'aa', new Date(START));
  const pages: string[][] = [];
  let after: string | undefined;
  do {
    const page = await locks.all(2, new Date(START), after);
    pages.push(page.locks.map(({ group }) => group));
    after = page.next;
  } while (after !== undefined && pages.length < 9);
  assert.deepEqual(pages, [['a', 'b'], ['c', 'd'], ['e']]);
});
