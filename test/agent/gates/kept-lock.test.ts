/** A lock on rebooting and where it was taken: remembered before it is asked for, given back there, and owed until it is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSamePlace, type LockPlace } from '../../../src/agent/gates/lock-places.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { LockClient } from '../../../src/reboot/gates/locks/lock-client.ts';
import { refusalOf } from '../../support/command-line.ts';
import { keptHere, MemoryPlaces, placeOf } from '../../support/kept-lock.ts';

const DAY = 24 * 3_600_000;

/** A world of locks in several places, in which hosts are started with one configuration after the other. */
class Locks {
  readonly places = new MemoryPlaces();
  /** Which groups this host holds the lock of, by id and group. */
  readonly held = new Set<string>();
  readonly calls: string[] = [];
  readonly failing = new Map<string, UpdateError>();
  nowMs = 0;
  /** What was durable at the moment of each request. */
  readonly durable: string[] = [];

  client({ group, id }: LockPlace, countsFailures = false): LockClient {
    const call = (verb: string): void => {
      this.calls.push(`${verb} ${group}`);
      this.durable.push((this.places.kept ?? []).map((one) => one.group).join());
      const failure = this.failing.get(`${verb} ${group}`) ?? this.failing.get(`${verb} ${id}`);
      if (failure) throw failure;
    };
    return {
      countsFailures,
      take: async () => {
        call('take');
        this.held.add(`${id}@${group}`);
        return { ok: true };
      },
      begin: async () => call('begin'),
      giveBack: async (ended) => {
        call(ended === undefined ? 'give back' : `give back ${ended.failed ?? 'ok'}`);
        this.held.delete(`${id}@${group}`);
      },
    };
  }

  /** The agent, started anew with `group`, or with no lock at all. */
  start(group: string | undefined, more: Readonly<{ countsFailures?: boolean; former?: LockPlace; id?: string }> = {}) {
    const place = group === undefined ? undefined : placeOf(group, more.id);
    return keptHere(this.client(placeOf('unused')), {
      places: this.places,
      here: place && { place, client: this.client(place, more.countsFailures) },
      ...(more.former ? { former: more.former } : {}),
      open: async (one) => this.client(one, more.countsFailures),
      clock: { now: () => new Date(this.nowMs) },
    });
  }
}

const unreachable = new UpdateError('connection-lost');

test('where a lock is asked for is durable before it is asked for', async () => {
  const locks = new Locks();
  await locks.start('web').take('an update');
  assert.deepEqual([locks.calls, locks.durable], [['take web'], ['web']]);
  locks.places.failure = new Error('ENOSPC');
  assert.notEqual(await refusalOf(locks.start('db').take('an update')), 'none');
  assert.ok(!locks.calls.includes('take db'), 'nothing is taken that would be forgotten');
});

for (const group of ['db', undefined])
  test(`a lock is given back where it was taken, though the next start ${group ? 'names another group' : 'has no lock'}`, async () => {
    const locks = new Locks();
    await locks.start('web').take('an update');
    const after = locks.start(group);
    await after.giveBack({ failed: 'no web server' });
    assert.deepEqual(locks.calls, ['take web', 'give back no web server web']);
    assert.deepEqual([[...locks.held], locks.places.kept, after.debt()], [[], [], undefined]);
  });

test('who is about to reboot under another group does not hold the old one as well', async () => {
  const locks = new Locks();
  await locks.start('web').take('an update');
  const after = locks.start('db');
  await after.take('an update');
  await after.take('an update');
  assert.deepEqual(locks.calls, ['take web', 'give back web', 'take db', 'take db']);
  assert.deepEqual([...locks.held], ['aa@db']);
});

test('an old place out of reach keeps nobody from the new one; it is owed, over the next starts as well, until it is given back', async () => {
  const locks = new Locks();
  await locks.start('web').take('an update');
  locks.failing.set('give back web', unreachable);
  const after = locks.start('db');
  assert.deepEqual(await after.take('an update'), { ok: true });
  await after.take('an update');
  assert.equal(locks.calls.filter((one) => one === 'give back web').length, 1, 'tried in its own time');
  assert.equal(after.debt()?.group, 'web');
  assert.equal(await refusalOf(after.giveBack({})), 'connection-lost');
  assert.deepEqual([...locks.held], ['aa@web']);
  const later = locks.start('db');
  assert.equal(await refusalOf(later.giveBackOwed()), 'connection-lost');
  locks.failing.clear();
  await later.giveBackOwed();
  assert.deepEqual([[...locks.held], later.debt(), locks.places.kept], [[], undefined, []]);
});

test('how an attempt ended is remembered until it was told, also over a start', async () => {
  const locks = new Locks();
  await locks.start('web').take('an update');
  locks.failing.set('give back no web server web', unreachable);
  assert.equal(await refusalOf(locks.start('web').giveBack({ failed: 'no web server' })), 'connection-lost');
  // A start that has nothing to tell does not take it back.
  assert.equal(await refusalOf(locks.start('web').giveBack()), 'connection-lost');
  locks.failing.clear();
  await locks.start('web').giveBackOwed();
  assert.equal(locks.calls.at(-1), 'give back no web server web');
});

test('a lock that counts failures hears of the last one before it is asked for the next attempt', async () => {
  const locks = new Locks();
  locks.failing.set('give back no web server web', unreachable);
  const counting = locks.start('web', { countsFailures: true });
  await counting.take('an update');
  assert.equal(await refusalOf(counting.giveBack({ failed: 'no web server' })), 'connection-lost');
  assert.equal(await refusalOf(counting.take('an update')), 'connection-lost', 'it is not asked');
  locks.failing.clear();
  await counting.take('an update');
  assert.deepEqual(locks.calls.slice(-2), ['give back no web server web', 'take web']);
});

test('a lock that hears of no failures is asked again though it was never given back: its server decides', async () => {
  const locks = new Locks();
  locks.failing.set('give back no web server web', new UpdateError('server-failed'));
  const lock = locks.start('web');
  await lock.take('an update');
  assert.equal(await refusalOf(lock.giveBack({ failed: 'no web server' })), 'server-failed');
  assert.deepEqual(await lock.take('an update'), { ok: true });
  assert.equal(lock.debt(), undefined, 'what is held again is not owed');
});

test('what cannot be written down is given back all the same, and owed while the agent runs', async () => {
  const locks = new Locks();
  await locks.start('web').take('an update');
  locks.places.failure = new Error('ENOSPC');
  const after = locks.start('web');
  locks.failing.set('give back web', unreachable);
  assert.equal(await refusalOf(after.giveBack()), 'connection-lost');
  locks.failing.clear();
  await after.giveBackOwed();
  assert.deepEqual([...locks.held], []);
});

test('a place that this host has left is given up after a week; the one that counts now never is', async () => {
  const locks = new Locks();
  for (const [group, then] of [['web', 'none'] as const, ['db', 'connection-lost'] as const]) {
    locks.failing.set(`give back ${group}`, unreachable);
    await locks.start(group).take('an update');
    await refusalOf(locks.start(group).giveBack());
    const after = locks.start('db');
    assert.equal(await refusalOf(after.giveBackOwed()), 'connection-lost');
    locks.nowMs += 8 * DAY;
    assert.equal(await refusalOf(after.giveBackOwed()), then, group);
  }
});

test('what a version before this one took under another id is given back once, and nothing is owed for a server that does not know it', async () => {
  const former = placeOf('web', 'old');
  const answered = new UpdateError('server-failed');
  for (const [failure, owed] of [
    [undefined, undefined],
    [answered, undefined],
    [unreachable, 'web'],
  ] as const) {
    const locks = new Locks();
    locks.held.add('old@web');
    if (failure) locks.failing.set('give back old', failure);
    const first = locks.start('web', { former, id: 'new' });
    await first.take('an update');
    assert.equal(first.debt()?.group, owed);
    locks.failing.clear();
    await first.giveBackOwed();
    assert.equal(locks.held.has('old@web'), failure === answered);
    const many = locks.calls.length;
    await locks.start('web', { former, id: 'new' }).giveBack({});
    assert.deepEqual(locks.calls.slice(many), ['give back ok web'], 'looked back once');
  }
});

test('an update from such a version ends with nothing held under either id', async () => {
  const locks = new Locks();
  locks.held.add('old@web');
  await locks.start('web', { former: placeOf('web', 'old'), id: 'new' }).giveBack({});
  assert.deepEqual([[...locks.held], locks.calls], [[], ['give back web', 'give back ok web']]);
});

test('places differ by what is asked, as whom and for which group, not by how one logs in or the order of addresses', () => {
  const one = { ...placeOf('web'), addresses: ['http://a/', 'http://b/'] };
  for (const same of [{ user: 'x' }, { caFile: '/ca' }, { addresses: ['http://b/', 'http://a/'] }])
    assert.ok(isSamePlace(one, { ...one, ...same }), JSON.stringify(same));
  for (const other of [{ id: 'b' }, { group: 'db' }, { kind: 'etcd' as const }, { addresses: ['http://a/'] }])
    assert.ok(!isSamePlace(one, { ...one, ...other }), JSON.stringify(other));
});
