/** A host asks the real server before it begins a rollout, over real HTTP. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type FleetServer, withFleetServer } from '../../../src/agent/find/fleet-client.ts';
import type { Offered, Releases } from '../../../src/agent/find/releases.ts';
import type { EndedEntry } from '../../../src/agent/loop/journal.ts';
import type { MachineId, Product, Release, Version } from '../../../src/model.ts';
import type { Rollout } from '../../../src/rollout/rollout.ts';
import { digestOf } from '../../../src/server/access/tokens.ts';
import { createFleet, type Fleet } from '../../../src/server/fleet/fleet.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import type { Store } from '../../../src/server/store/store.ts';
import { realClock } from '../../../src/system/clock.ts';
import { createHttp } from '../../../src/system/http/http.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { noSignal, temporaryFolder } from '../../support/bundles.ts';
import { type FleetApp, startFleetApp } from '../../support/fleet-app.ts';

const NOW = new Date('2030-01-01T12:00:00Z');
const release = (counter: number): Release => ({
  product: 'shop' as Product,
  version: `${counter}.0` as Version,
  counter,
});
const policy: Rollout = {
  release: { version: '2.0' as Version, counter: 2 },
  start: NOW.getTime(),
  canaries: { groups: ['lab'], soakMs: 3_600_000 },
  ramp: { durationMs: 0, steps: 0 },
  groups: new Map(),
  barriers: [],
  deadEnds: [],
  urgent: false,
  allowDowngrade: false,
};
const limits = { maxInFlight: 1, maxFailures: 0, patienceMs: 86_400_000 };
const failure: EndedEntry = {
  at: '2030-01-01T11:00:00.000Z',
  result: 'rolled-back',
  version: '2.0' as Version,
  code: 'unhealthy',
  reason: `the probe said\n${'no '.repeat(400)}`,
};

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let store: Store;
let fleet: Fleet;
let app: FleetApp;

before(async () => {
  folder = await temporaryFolder();
  store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  const state = { id: '2.0', version: '2.0', offered: { policy, limits } };
  fleet = createFleet(store, async () => state);
  app = await startFleetApp({ store, channel: state, tokens: { machine: digestOf('secret') }, now: () => NOW });
});
after(async () => {
  await app[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const http = createHttp({ connectTimeoutMs: 2000, idleTimeoutMs: 2000, userAgent: 'test', clock: realClock });

const offered: Offered = { trusted: { release: release(2) } as never, allowDowngrade: false };
const CHANNEL: Releases = { find: async () => offered, open: () => assert.fail('not asked') };

function hostIn(
  group: string,
  machine: string,
  change: Partial<FleetServer> = {},
  last?: EndedEntry,
  channel = CHANNEL,
): Releases {
  return withFleetServer(channel, {
    http,
    url: app.url,
    token: async () => 'secret',
    host: { group, product: 'shop' as Product, channel: 'stable', agent: '0.1.0' },
    machine: async () => machine.repeat(32) as MachineId,
    identity: async () => ({}),
    stance: async () => ({ wants: '2.0' as Version }),
    forgive: async () => assert.fail('nobody has let it in again'),
    facts: async () => ({ host: { name: `web-${machine}`, os: 'Acme\nLinux' } }),
    situation: async () => ({
      saved: { state: { kind: 'idle' }, since: '2030-01-01T00:00:00.000Z', slots: {} },
      confirmed: true,
      last,
    }),
    ...change,
  });
}

const found = async (host: Releases, asked = {}): Promise<string> => {
  const offered = await host.find(asked, release(1), NOW, noSignal);
  return 'hold' in offered ? `${offered.hold.code}: ${offered.hold.reason}` : offered.trusted.release.version;
};

test('a host begins when the server agrees, and is told in its words when it does not', async () => {
  assert.equal(await found(hostIn('lab', 'a')), '2.0');
  assert.equal(await found(hostIn('lab', 'b')), 'full: the fleet server says: 1 host under way, which is the limit');
  const early = await hostIn('default', 'c').find({}, release(1), NOW, noSignal);
  assert.ok('hold' in early && early.hold.until === NOW.getTime() + 3_600_000);
});

test('a host that refuses the release takes no place, and asks for one when an operator has let it in again', async () => {
  const asked: string[] = [];
  let refuses = true;
  const host = () =>
    hostIn('lab', 'f', {
      stance: async () => (refuses ? { refuses: '2.0' as Version } : { wants: '2.0' as Version }),
      forgive: async () => {
        asked.push('forgive');
        refuses = false;
        return true;
      },
    });
  await fleet.forget('a'.repeat(32));
  await found(host());
  assert.deepEqual([(await fleet.ledger('stable', NOW)).inFlight.size, asked], [0, []]);
  await fleet.readmit('stable', 'f'.repeat(32) as MachineId);
  assert.equal(await found(host()), '2.0');
  assert.deepEqual(asked, ['forgive']);
  const { inFlight, readmitted } = await fleet.ledger('stable', NOW);
  assert.deepEqual([[...inFlight.keys()], readmitted.size], [['f'.repeat(32)], 0]);
  await fleet.forget('f'.repeat(32));
  assert.equal(await found(hostIn('lab', 'a')), '2.0');
});

test('a failed attempt is reported with its reason, and pulls the brake for all', async () => {
  const long = { ...failure, reason: failure.reason?.replace('\n', ' ') ?? '' };
  assert.match(await found(hostIn('lab', 'a', {}, long)), /^braked: .*1 host failed, 0 allowed/);
  assert.match(await found(hostIn('lab', 'd')), /^braked/);
  assert.equal((await fleet.machine('a'.repeat(32)))?.events.at(-1)?.what, 'rolled-back');
});

test('what an operator names by hand is not asked for', async () => {
  assert.equal(
    await found(hostIn('default', 'e', { http: { post: () => assert.fail('asked') } }), { version: '2.0' }),
    '2.0',
  );
});

test('a server that does not know the host, or cannot be reached, is a failed check with a name', async () => {
  await assert.rejects(found(hostIn('lab', 'f', { token: async () => 'wrong' })), { code: 'server-denied' });
  await assert.rejects(found(hostIn('lab', 'f', { url: 'http://127.0.0.1:1' })), { code: 'server-unreachable' });
});

test('a host that gets its token later is accepted without a restart', async () => {
  let token: string | undefined;
  const host = hostIn('lab', 'd', { token: async () => token });
  await assert.rejects(found(host), { code: 'server-denied', message: /requires a token, and this host has none/ });
  token = 'secret';
  await assert.doesNotReject(found(host));
});

test('a server that is busy says when to ask again, and the host waits for so long', async () => {
  const busy = createServer((_request, answer) => answer.writeHead(429, { 'retry-after': '120' }).end('{}'));
  await once(busy.listen(0, '127.0.0.1'), 'listening');
  try {
    const url = `http://127.0.0.1:${(busy.address() as AddressInfo).port}`;
    await assert.rejects(found(hostIn('lab', 'f', { url })), {
      code: 'server-busy',
      details: { status: 429, retryAfterMs: 120_000 },
    });
  } finally {
    busy.close();
  }
});

test('a host whose id belongs to another secret, or to two machines, says so by name', async () => {
  const says = (status: number, body: object) => ({
    post: async () => ({ status, body: Buffer.from(JSON.stringify(body)) }),
  });
  for (const code of ['machine-secret-wrong', 'machine-secret-missing'])
    await assert.rejects(found(hostIn('lab', 'f', { http: says(403, { code, message: 'no' }) })), { code });
  await assert.rejects(found(hostIn('lab', 'f', { http: says(403, { code: 'forbidden' }) })), {
    code: 'server-denied',
  });
  const cloned = { schema: 1, go: false, code: 'machine-cloned', reason: 'two machines share one id' };
  const held: Releases = {
    find: async () => ({ hold: { result: 'hold', code: 'not-your-turn', reason: 'later', step: release(2) } as never }),
    open: () => assert.fail('not asked'),
  };
  assert.match(await found(hostIn('lab', 'f', { http: says(200, cloned) })), /^machine-cloned: /);
  assert.match(await found(hostIn('lab', 'f', { http: says(200, cloned) }, undefined, held)), /^machine-cloned: /);
});

test('what a host shows of itself goes with every check-in', async () => {
  const sent: unknown[] = [];
  const http: FleetServer['http'] = {
    post: async (_url, { headers }) => {
      sent.push(headers);
      return { status: 200, body: Buffer.from('{"schema":1,"go":true}') };
    },
  };
  await found(hostIn('lab', 'f', { http, identity: async () => ({ 'tandem-secret': 'mine' }) }));
  assert.deepEqual(sent, [{ 'tandem-secret': 'mine', authorization: 'Bearer secret' }]);
});

test('an answer that is not one is refused', async () => {
  const saying = (text: string, status = 200) => ({ post: async () => ({ status, body: Buffer.from(text) }) });
  for (const text of [
    '',
    '{}',
    '{"schema":1,"go":false}',
    '{"schema":2,"go":true}',
    '[true]',
    '{"schema":1,"go":"yes"}',
  ])
    await assert.rejects(found(hostIn('lab', 'f', { http: saying(text) })), { code: 'server-protocol' }, text);
  await assert.rejects(found(hostIn('lab', 'f', { http: saying('', 500) })), { code: 'server-failed' });
});
