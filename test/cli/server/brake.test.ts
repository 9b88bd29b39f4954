/** A server that was given the keys of the channels signs its brake, as a process on a real repository. */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Context } from '../../../src/cli/command.ts';
import { makeKey } from '../../../src/cli/publish/key-files.ts';
import { aborting, signingIn } from '../../../src/cli/server/brake.ts';
import { server } from '../../../src/cli/server/server.ts';
import type { Version } from '../../../src/model.ts';
import { createChannels } from '../../../src/server/fleet/channels.ts';
import { realClock } from '../../../src/system/clock.ts';
import { realFiles } from '../../../src/system/files.ts';
import { keyFileSigner } from '../../../src/verify/key-file.ts';
import { rollOut } from '../../../src/verify/publish/channels.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { refusalOf, runCommand } from '../../support/command-line.ts';
import { ServerProcess } from '../../support/server-process.ts';
import { NOW, TestRepository } from '../../support/tuf-repository.ts';

/** A repository, signed at `now`, that rolls 2.0 out and puts up with no failure; `keys` holds what the brake needs. */
async function rollingOut(now = NOW): Promise<TestRepository & { keyFolder: string }> {
  const repository = new TestRepository();
  const keyFolder = join(repository.top, 'keys');
  mkdirSync(keyFolder);
  for (const role of ['channels', 'snapshot', 'timestamp'] as const) {
    await makeKey(join(keyFolder, role), undefined);
    repository.keys[role] = [keyFileSigner(readFileSync(join(keyFolder, `${role}.pem`), 'utf8'), role)];
  }
  await repository.init(undefined, now);
  for (const version of ['1.0', '2.0']) await repository.add(version, {}, { now });
  const limits = { inFlight: 5, failures: 0, patienceMinutes: 600 };
  const publisher = repository.publisher({ now });
  await rollOut(publisher, { channel: 'stable', version: '2.0' as Version }, () => ({
    schema: 1,
    start: '2020-01-01T00:00:00Z',
    limits,
    before: { version: '1.0', counter: 1 },
  }));
  return Object.assign(repository, { keyFolder });
}

test('failures over the budget pause the channel itself', async () => {
  using repository = await rollingOut(new Date());
  const channels = createChannels(realFiles, repository.dir);
  const pauseNow = async () => (await channels()).get('stable')?.offered?.policy.pause?.reason;
  const signed = Promise.withResolvers<void>();
  const look = async () => (await pauseNow()) !== undefined && signed.resolve();
  // Between two files of one publication the repository contradicts itself.
  const watcher = watch(join(repository.dir, 'metadata'), () => void look().catch(() => undefined));
  using _ = { [Symbol.dispose]: () => watcher.close() };
  await using one = await ServerProcess.start([
    ...['--repository', repository.dir, '--state', join(repository.top, 'state'), '--keys', repository.keyFolder],
  ]);
  const checkIn = async (more: object): Promise<unknown> => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ ...checkInOf(0), ...more });
    return (await fetch(`${one.url}/v1/check-in`, { method: 'POST', headers, body })).json();
  };
  assert.deepEqual(await checkIn({ wants: '2.0' }), { schema: 1, go: true });
  await checkIn({ outcome: { at: '2030-01-01T00:00:00Z', result: 'rolled-back', version: '2.0', reason: 'ill' } });
  await signed.promise;
  assert.equal(await pauseNow(), 'the fleet server: 1 host failed, 0 allowed');
});

test('a rollout is aborted as the operator has seen it, and only once', async () => {
  using repository = await rollingOut();
  const channels = createChannels(realFiles, repository.dir);
  const context = {
    cwd: () => repository.top,
    files: realFiles,
    clock: { ...realClock, now: () => NOW },
  } as unknown as Context;
  const abort = aborting(signingIn(context, repository.dir, repository.publisher().signers), () => NOW);
  const offered = async () => (await channels()).get('stable')?.version;
  assert.equal(await refusalOf(abort('stable', '1.0', 'x')), 'rollout-state');
  assert.equal(await refusalOf(abort('nightly', '2.0', 'x')), 'channel-unknown');
  assert.equal(await offered(), '2.0');
  await abort('stable', '2.0', 'it breaks');
  assert.equal(await offered(), '1.0');
  assert.equal(await refusalOf(abort('stable', '2.0', 'it breaks')), 'rollout-state');
});

test('keys that cannot sign a channel are refused when the server starts, not when the brake is pulled', async () => {
  using repository = await rollingOut();
  const given = [
    '--repository',
    repository.dir,
    '--state',
    'state',
    '--key',
    'keys/channels.pem',
    '--key',
    'keys/snapshot.pem',
  ];
  assert.equal(await refusalOf(runCommand(server, repository.top, given)), 'key-unknown');
});
