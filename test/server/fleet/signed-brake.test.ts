/** A brake that is signed: hosts obey it without asking the server, and no operator is contradicted. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { offerOf } from '../../../src/cli/rollout/channel.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Version } from '../../../src/model.ts';
import { writeRollout } from '../../../src/rollout/document.ts';
import { type Offer, paused, resumed, started } from '../../../src/rollout/operate.ts';
import { createChannels } from '../../../src/server/fleet/channels.ts';
import { createFleet } from '../../../src/server/fleet/fleet.ts';
import { createSignedBrake } from '../../../src/server/fleet/signed-brake.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import { realFiles } from '../../../src/system/files.ts';
import { type Log, silentLog } from '../../../src/system/log.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { reviseRollout, rollOut } from '../../../src/verify/publish/channels.ts';
import { NOW, TestRepository } from '../../support/tuf-repository.ts';

type Change = (offer: Offer) => Parameters<typeof writeRollout>[0];

/** A repository whose channel rolls 2.0 out, a server that has its keys, and a clock that the test sets. */
async function site() {
  const repository = await new TestRepository().init();
  for (const version of ['1.0', '2.0']) await repository.add(version);
  const store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const at = { now: NOW, fault: undefined as UpdateError | undefined, signings: 0, lines: [] as string[] };
  const draft = { start: '2030-01-01T00:00:00Z', limits: { inFlight: 5, failures: 0, patienceMinutes: 600 } };
  const begin = (version: string, counter: number) =>
    rollOut(
      repository.publisher({ now: at.now }),
      { channel: 'stable', version: version as Version, allowDowngrade: true },
      () => writeRollout(started(draft, { version: version as Version, counter }, undefined, at.now)),
    );
  await begin('2.0', 2);
  const channels = createChannels(realFiles, repository.dir);
  const fleet = createFleet(store, async (name) => (await channels()).get(name));
  const sign = (channel: string, change: Change) =>
    reviseRollout(repository.publisher({ now: at.now }), channel, (before) => ({
      rollout: writeRollout(change(offerOf(before))),
    }));
  const log = {
    ...silentLog,
    info: (_: object, text: string) => void at.lines.push(text),
    error: ({ code }: { code: string }) => void at.lines.push(code),
  } as unknown as Log;
  const settle = createSignedBrake({
    fleet,
    channels,
    now: () => at.now,
    log,
    revise: async (channel, change) => {
      if (at.fault) throw at.fault;
      await sign(channel, change);
      at.signings += 1;
    },
  });
  return Object.assign(at, {
    fleet,
    settle,
    begin,
    sign: (change: Change) => sign('stable', change),
    pass: (minutes: number) => {
      at.now = new Date(at.now.getTime() + minutes * 60_000);
    },
    /** Why hosts that only read the channel do not begin. */
    pause: async () => (await channels()).get('stable')?.offered?.policy.pause?.reason,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      repository[Symbol.dispose]();
    },
  });
}

test('a brake that is pulled is signed once, and so is its end', async () => {
  await using at = await site();
  await at.settle();
  assert.deepEqual([await at.pause(), at.signings], [undefined, 0]);
  await at.fleet.pullBrake('stable', `disk errors ${'x'.repeat(300)}`, at.now);
  for (let times = 0; times < 3; times += 1) await at.settle();
  assert.match((await at.pause()) ?? '', /^the fleet server: disk errors x+$/);
  assert.equal(at.signings, 1);
  assert.ok((await at.fleet.ledger('stable', at.now)).braked, 'the pause belongs to the same rollout');
  at.pass(60);
  await at.fleet.releaseBrake('stable');
  for (let times = 0; times < 3; times += 1) await at.settle();
  assert.deepEqual([await at.pause(), at.signings], [undefined, 2]);
  at.pass(1);
  await at.fleet.pullBrake('stable', 'again', at.now);
  await at.settle();
  assert.equal(await at.pause(), 'the fleet server: again');
  assert.deepEqual(at.lines, ['the pause is signed', 'the end of the pause is signed', 'the pause is signed']);
});

test('what an operator pauses with his own keys stays paused, and what he resumes goes on', async () => {
  await using at = await site();
  await at.sign((offer) => paused(offer, 'lunch', at.now));
  await at.settle();
  assert.deepEqual([await at.pause(), at.signings], ['lunch', 0]);
  await at.fleet.pullBrake('stable', 'tea', at.now);
  await at.settle();
  await at.fleet.releaseBrake('stable');
  await at.settle();
  assert.deepEqual([await at.pause(), at.signings], ['lunch', 0]);
  await at.sign((offer) => resumed(offer, at.now));
  at.pass(1);
  await at.fleet.pullBrake('stable', 'tea', at.now);
  await at.settle();
  assert.equal(await at.pause(), 'the fleet server: tea');
  at.pass(1);
  await at.sign((offer) => resumed(offer, at.now));
  for (let times = 0; times < 2; times += 1) await at.settle();
  assert.deepEqual([await at.pause(), at.signings], [undefined, 1]);
});

test('another rollout is not paused for the failures of the one before', async () => {
  await using at = await site();
  await at.fleet.pullBrake('stable', 'broken', at.now);
  at.pass(1);
  await at.begin('1.0', 1);
  await at.settle();
  assert.deepEqual([await at.pause(), at.signings], [undefined, 0]);
});

test('a signature that cannot be made is told once, tried again, and made when it can be', async () => {
  await using at = await site();
  await at.fleet.pullBrake('stable', 'broken', at.now);
  at.fault = new UpdateError('repository-locked');
  for (let times = 0; times < 3; times += 1) await at.settle();
  assert.deepEqual(at.lines, ['repository-locked']);
  at.fault = undefined;
  await at.settle();
  assert.equal(await at.pause(), 'the fleet server: broken');
});
