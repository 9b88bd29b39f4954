/** What the journal has promised outlives a power cut at any point; each single sync left out breaks the promise, and is noticed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openJournal } from '../../../src/agent/loop/journal.ts';
import type { Event } from '../../../src/agent/loop/machine.ts';
import type { Product, Release, Version } from '../../../src/model.ts';
import { silentLog } from '../../../src/system/log.ts';
import { RecordingDisk } from '../../support/recording-disk.ts';

const LOSSES = 30;
const DIR = '/state';
const release: Release = { product: 'test' as Product, version: '2' as Version };
const EVENTS: readonly Event[] = [
  { type: 'settled' },
  { type: 'offered', release, target: 'b' },
  { type: 'started' },
  { type: 'write-failed', code: 'x', reason: 'y', refuse: true },
];

/** What is on disk, in one comparable line. */
async function memory(storage: RecordingDisk): Promise<string> {
  const journal = openJournal(storage.files, DIR, silentLog);
  const { state } = await journal.load();
  return JSON.stringify([state, await journal.refusals(), await journal.history(9)]);
}

/** The steps of an attempt; returns what the disk must say from which operation on. */
async function attempt(storage: RecordingDisk): Promise<readonly { from: number; memory: string }[]> {
  const journal = openJournal(storage.files, DIR, silentLog);
  let saved = await journal.load();
  const promises = [{ from: 0, memory: await memory(storage) }];
  const promise = async () => promises.push({ from: storage.log.length, memory: await memory(storage) });
  for (const [index, event] of EVENTS.entries()) {
    saved = await journal.advance(saved, event, new Date(index * 1000));
    await promise();
  }
  if (saved.state.kind !== 'settling' || saved.state.outcome.result !== 'failed') assert.fail();
  const { outcome } = saved.state;
  // History and refusal are two files: the moment between them is a state of its own.
  await journal.report(saved, { ...outcome, refuse: false });
  await promise();
  await journal.report(saved, outcome);
  await promise();
  await journal.refuse({ at: saved.since, version: '3' as Version, code: 'x', reason: 'y' });
  await promise();
  return promises;
}

async function isKept(dropSync?: number): Promise<boolean> {
  const storage = new RecordingDisk({ dirs: [DIR], ...(dropSync === undefined ? {} : { dropSync }) });
  const promises = await attempt(storage);
  for (const { world, count } of storage.crashStates(1, LOSSES)) {
    const promised = promises.findLastIndex(({ from }) => from <= count);
    const now = await memory(world);
    // What comes next may be there already, but only once it was begun.
    const allowed = count === promises[promised]?.from ? 1 : 2;
    if (!promises.slice(promised, promised + allowed).some((one) => one.memory === now)) return false;
  }
  return true;
}
test('what was saved is there after a power cut, or what came after it', async () => {
  assert.equal(await isKept(), true);
});

test('every sync of the journal is needed', async (context) => {
  const storage = new RecordingDisk({ dirs: [DIR] });
  await attempt(storage);
  for (let sync = 0; sync < storage.syncs; sync++)
    assert.equal(await isKept(sync), false, `nobody noticed that sync ${sync} was left out`);
  context.diagnostic(`${storage.syncs} syncs left out in turn`);
});
