/** What servers of FleetLock answered when they were recorded, and what a host makes of it: airlock (two versions), poseidon/fleetlock, our own. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LockGate, lockGate } from '../../../src/agent/gates/lock-gate.ts';
import type { Product } from '../../../src/model.ts';
import { fleetLock } from '../../../src/reboot/gates/locks/fleetlock.ts';
import type { LockClient } from '../../../src/reboot/gates/locks/lock-client.ts';
import { silentLog } from '../../../src/system/log.ts';
import { noSignal } from '../../support/bundles.ts';
import { refusalOf } from '../../support/command-line.ts';
import { answer, HostileServer } from '../../support/hostile-server.ts';
import { testHttp } from '../../support/http-client.ts';
import { keptHere } from '../../support/kept-lock.ts';

const random = { fraction: () => 0.5, bytes: (length: number) => new Uint8Array(length) };
const clock = { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => {} };

const lockOf = (url: string): LockClient =>
  fleetLock({
    ...{ http: testHttp(), url, id: 'aa', group: 'default', timeoutMs: 5_000, askMs: 30_000 },
    ...{ random, signal: noSignal },
  });

type Verb = 'take' | 'give back';
/** What the host then says: that the lock is held or given back, or the name of its objection. */
type Exchange = Readonly<{ who: string; when: string; verb: Verb; status: string; body: string; so: string }>;

const said = (kind: string, value: string): string => JSON.stringify({ kind, value });
const AIRLOCK = { who: 'airlock', verb: 'take', status: '500 Internal Server Error' } as const;
const POSEIDON = { who: 'poseidon/fleetlock', verb: 'take', status: '423 Locked' } as const;
const OURS = { who: 'our server', verb: 'take', status: '409 Conflict' } as const;
const HELD = 'reboot lease lock unavailable, held by 5ab15bb5d62546d0a1b2f2e4f0a4b0aa';

const EXCHANGES: readonly Exchange[] = [
  { ...AIRLOCK, when: 'it is free', status: '200 OK', body: '', so: 'held' },
  {
    ...AIRLOCK,
    when: 'it is full',
    body: said('failed_lock', 'all 1 semaphore slots currently locked'),
    so: 'lock-full',
  },
  { ...AIRLOCK, when: 'an early one is full', body: 'all 1 semaphore slots currently locked\n', so: 'lock-full' },
  {
    ...{ ...AIRLOCK, when: 'two ask at the same moment' },
    ...{ body: said('failed_lock', 'conflict on semaphore detected, aborting'), so: 'lock-contended' },
  },
  {
    ...{ ...AIRLOCK, when: 'its etcd is away', so: 'lock-unreachable' },
    body: said('failed_sem_init', 'failed to initialize semaphore manager: context deadline exceeded'),
  },
  {
    ...{ ...AIRLOCK, when: 'its etcd goes away meanwhile' },
    ...{ body: said('failed_lock', 'context deadline exceeded'), so: 'lock-unreachable' },
  },
  {
    ...{ ...AIRLOCK, when: 'the group is none of its own', status: '400 Bad Request' },
    ...{ body: said('unknown_group', 'unknown group "default"'), so: 'lock-refused' },
  },
  { ...AIRLOCK, verb: 'give back', when: 'all is well', status: '200 OK', body: '', so: 'given back' },
  {
    ...{ ...AIRLOCK, verb: 'give back', when: 'two ask at the same moment' },
    ...{ body: said('failed_lock', 'conflict on semaphore detected, aborting'), so: 'lock-contended' },
  },
  { ...POSEIDON, when: 'it is free', status: '200 OK', body: 'obtained reboot lease', so: 'held' },
  { ...POSEIDON, when: 'another holds it', body: said('lock_held', HELD), so: 'lock-full' },
  { ...POSEIDON, when: 'another holds it, in an early one', body: said('locked', HELD), so: 'lock-full' },
  {
    ...{ ...POSEIDON, verb: 'give back', when: 'another holds it, so we do not' },
    ...{ body: said('lock_held', HELD.replace('lock un', 'unlock un')), so: 'given back' },
  },
  {
    ...{ ...POSEIDON, verb: 'give back', when: 'it knows no node with our id', status: '500 Internal Server Error' },
    ...{ body: said('internal_error', 'error uncordoning node'), so: 'server-failed' },
  },
  { ...OURS, when: 'it is full', body: said('failed_lock_semaphore_full', 'web-1 holds the lock'), so: 'lock-full' },
  { ...OURS, when: 'too many failed', body: said('failed_lock_failures', 'web-1 failed'), so: 'lock-failures' },
  {
    ...OURS,
    when: 'others are first',
    body: said('failed_lock_turn', '2 hosts are ahead in the queue'),
    so: 'lock-turn',
  },
  {
    ...{ ...OURS, when: 'our token is wrong', status: '401 Unauthorized' },
    ...{ body: said('denied', 'This requires the token of a machine.'), so: 'lock-refused' },
  },
  {
    ...{ ...OURS, when: 'too many ask', status: '429 Too Many Requests' },
    ...{ body: said('too-many-requests', 'try again in 2 s'), so: 'lock-unreachable' },
  },
  {
    ...{ ...OURS, when: 'its store is away', status: '503 Service Unavailable' },
    ...{ body: said('etcd-unavailable', 'The server failed to process this request'), so: 'lock-unreachable' },
  },
];

/** As the gate of the host has it. */
async function verdictOf(client: LockClient, verb: Verb): Promise<string> {
  const lock = keptHere(client);
  if (verb === 'give back') {
    const refusal = await refusalOf(lock.giveBack({}));
    return refusal === 'none' ? 'given back' : refusal;
  }
  const verdict = await gateOf(client).verdict(true);
  return verdict.ok ? 'held' : verdict.code;
}

const gateOf = (client: LockClient): LockGate =>
  lockGate(keptHere(client), { product: 'shop' as Product, clock, random, log: silentLog });

for (const { who, when, verb, status, body, so } of EXCHANGES)
  test(`${who}, to ${verb} when ${when}: ${so}`, async () => {
    await using server = await HostileServer.start(answer(status, { 'content-length': Buffer.byteLength(body) }, body));
    assert.equal(await verdictOf(lockOf(server.url('')), verb), so);
  });

test('who collided with another asks again soon, who found it full later', async () => {
  const pauseAfter = async (body: string): Promise<number> => {
    await using server = await HostileServer.start(
      answer('500 X', { 'content-length': Buffer.byteLength(body) }, body),
    );
    const reply = await lockOf(server.url('')).take('update');
    return reply.ok ? 0 : reply.askAgainMs;
  };
  assert.equal(await pauseAfter(said('failed_lock', 'conflict on semaphore detected, aborting')), 3_000);
  assert.equal(await pauseAfter(said('failed_lock', 'all 1 semaphore slots currently locked')), 30_000);
});

test('a server that asks to be left alone for a while is', async () => {
  const busy = said('too-many-requests', 'slowly');
  const headers = { 'content-length': Buffer.byteLength(busy), 'retry-after': 90 };
  await using server = await HostileServer.start(answer('429 Too Many Requests', headers, busy));
  const verdict = await gateOf(lockOf(server.url(''))).verdict(true);
  assert.deepEqual(verdict.ok ? [] : [verdict.code, verdict.next], ['lock-unreachable', new Date(90_000)]);
});

test('a login in the address is sent as Zincati sends it, and the path of the address stays', async () => {
  await using server = await HostileServer.start(answer('200 OK', { 'content-length': 0 }));
  const url = server.url('/base/').replace('http://', 'http://zincati:of-a%20machine@');
  assert.deepEqual(await lockOf(url).take('update'), { ok: true });
  const [request = ''] = server.requests;
  assert.match(request, /^POST \/base\/v1\/pre-reboot HTTP\/1\.1\r\n/);
  assert.match(request, new RegExp(`\r\nauthorization: Basic ${btoa('zincati:of-a machine')}\r\n`, 'i'));
});
