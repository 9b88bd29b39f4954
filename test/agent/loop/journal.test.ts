/** The agent's memory: what was saved is found again, and nothing on its disk can stop it from starting. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRefused, type Journal, openJournal } from '../../../src/agent/loop/journal.ts';
import { INITIAL } from '../../../src/agent/loop/machine.ts';
import type { Outcome, Product, Release, Saved, Sha256, Version } from '../../../src/model.ts';
import { realFiles } from '../../../src/system/files.ts';
import { silentLog } from '../../../src/system/log.ts';

const release = (version: string): Release => ({
  product: 'test' as Product,
  version: version as Version,
  counter: 7,
  manifest: 'ab'.repeat(32) as Sha256,
});
const now = new Date('2026-01-02T03:04:05Z');
const rolledBack: Outcome = {
  result: 'rolled-back',
  release: release('2'),
  code: 'boot-failed',
  reason: 'no',
  refuse: true,
};

async function inDir(work: (journal: Journal, dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-journal-'));
  try {
    await work(openJournal(realFiles, dir, silentLog), dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('the history keeps how the machine got from one system to the next, once', () =>
  inDir(async (journal) => {
    const saved = { ...(await journal.load()), since: now.toISOString() };
    const journey = { method: 'soft', methodReason: 'r', downtime: { ms: 620, clock: 'exact' } } as const;
    await journal.report(saved, { result: 'updated', release: release('2') }, journey);
    await journal.report(saved, { result: 'updated', release: release('2') }, {});
    assert.deepEqual(await journal.history(10), [
      { at: now.toISOString(), result: 'updated', version: '2', ...journey },
    ]);
  }));

test('a downtime with a trial in between, in which something ran, is not kept', () =>
  inDir(async (journal) => {
    const saved = { ...(await journal.load()), since: now.toISOString() };
    const journey = { method: 'firmware', methodReason: 'r', downtime: { ms: 9e5, clock: 'wall' } } as const;
    for (const code of ['boot-failed', 'unhealthy', 'trial-lost'] as const) {
      const why = { code, reason: code, refuse: false };
      await journal.report(saved, { result: 'rolled-back', release: release(code), ...why }, journey);
    }
    const kept = (await journal.history(10)).map(({ code, downtime }) => [code, downtime?.ms]);
    assert.deepEqual(kept.toReversed(), [
      ['boot-failed', 9e5],
      ['unhealthy', undefined],
      ['trial-lost', undefined],
    ]);
  }));

test('what was saved is found again', () =>
  inDir(async (journal) => {
    let saved = await journal.load();
    assert.deepEqual(saved.state, INITIAL);
    saved = await journal.advance(saved, { type: 'settled' }, now);
    saved = await journal.advance(saved, { type: 'offered', release: release('2'), target: 'b' }, now);
    saved = await journal.advance(saved, { type: 'started' }, now);
    saved = await journal.advance(saved, { type: 'written' }, now);
    assert.deepEqual(await journal.load(), saved);
    assert.equal(saved.slots.b?.version, '2');
  }));

test('a slot that is being written is not known to hold anything', () =>
  inDir(async (journal) => {
    let saved = await journal.load();
    for (const version of ['2', '3']) {
      saved = await journal.advance(
        { ...saved, state: { kind: 'idle' } },
        { type: 'offered', release: release(version), target: 'b' },
        now,
      );
      saved = await journal.advance(saved, { type: 'started' }, now);
      assert.equal(saved.slots.b, undefined);
      saved = await journal.advance(saved, { type: 'written' }, now);
      assert.equal(saved.slots.b?.version, version);
    }
  }));

test('reporting twice writes one history entry and one refusal', () =>
  inDir(async (journal) => {
    const saved = await journal.load();
    await journal.report(saved, rolledBack);
    await journal.report(saved, rolledBack);
    assert.equal((await journal.history(10)).length, 1);
    assert.equal((await journal.refusals()).length, 1);
    assert.ok(isRefused(await journal.refusals(), release('2')));
    assert.equal(await journal.forget('2'), 1);
    assert.deepEqual(await journal.refusals(), []);
  }));

test('a disarmed release is in the history once, however often one gate opens and closes, and ends no attempt', () =>
  inDir(async (journal) => {
    const day = (date: number): Date => new Date(Date.UTC(2026, 0, date));
    await journal.report(await journal.load(), rolledBack);
    let saved: Saved = {
      state: { kind: 'staged', release: release('3'), target: 'b' },
      since: day(2).toISOString(),
      slots: {},
    };
    for (const [date, reason] of [
      [3, 'no window is open'],
      [4, 'no window is open'],
      [5, 'ana is logged in'],
    ] as const) {
      saved = await journal.advance(saved, { type: 'armed', bootId: 'x' }, day(date));
      assert.equal(saved.disarmed, undefined);
      saved = await journal.advance(saved, { type: 'disarmed', reason }, day(date));
      await journal.reportDisarmed(saved);
      await journal.reportDisarmed(await journal.load());
    }
    assert.equal(saved.since, day(2).toISOString());
    assert.deepEqual(
      (await journal.history(10)).map(({ at, result, reason }) => [at, result, reason]),
      [
        [day(5).toISOString(), 'disarmed', 'ana is logged in'],
        [day(4).toISOString(), 'disarmed', 'no window is open'],
        [new Date(0).toISOString(), 'rolled-back', 'no'],
      ],
    );
    assert.equal((await journal.lastEnded())?.result, 'rolled-back');
  }));

test('a staged release that was never armed leaves no line in the history', () =>
  inDir(async (journal) => {
    const saved = await journal.advance(await journal.load(), { type: 'settled' }, now);
    await journal.reportDisarmed(
      await journal.advance(saved, { type: 'chosen', release: release('3'), target: 'b' }, now),
    );
    assert.deepEqual(await journal.history(10), []);
  }));

test('a refusal is by digest: another build of the same version is not refused', () =>
  inDir(async (journal) => {
    await journal.report(await journal.load(), rolledBack);
    const refusals = await journal.refusals();
    assert.equal(isRefused(refusals, { ...release('2'), manifest: 'cd'.repeat(32) as Sha256 }), undefined);
    const { manifest: _, ...unknown } = release('2');
    assert.ok(isRefused(refusals, unknown), 'without a digest the version decides');
  }));

test('the journal opens whatever its files contain', () =>
  inDir(async (journal, dir) => {
    const files = ['state.json', 'refused.json', 'history.jsonl'];
    const content = fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from), fc.constant(Buffer.from('{"schema":2}')));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), content, async (name, bytes) => {
        await writeFile(join(dir, name), bytes);
        assert.ok((await journal.load()).state.kind);
        assert.ok(Array.isArray(await journal.refusals()));
        assert.ok(Array.isArray(await journal.history(5)));
      }),
      { numRuns: 300 },
    );
  }));

test('a state file of another schema is moved aside, not deleted', () =>
  inDir(async (journal, dir) => {
    await writeFile(join(dir, 'state.json'), '{"schema":99}');
    assert.deepEqual((await journal.load()).state, INITIAL);
    assert.ok((await readdir(dir)).includes('state.json.bad'));
  }));

test('a disk that refuses to be written is named', () =>
  inDir(async (_journal, dir) => {
    const gone = openJournal(realFiles, join(dir, 'absent'), silentLog);
    await assert.rejects(gone.advance(await gone.load(), { type: 'settled' }, now), { code: 'state-unwritable' });
  }));

const refusal = (version: string, manifest?: string) => ({
  at: now.toISOString(),
  version: version as Version,
  ...(manifest === undefined ? {} : { manifest: manifest.repeat(32) as Sha256 }),
  code: 'unhealthy',
  reason: 'no',
});

test('releases of which no digest is known are each refused, by their versions; the same one once', () =>
  inDir(async (journal) => {
    for (const version of ['2', '3', '2', '3']) await journal.refuse(refusal(version));
    assert.deepEqual(
      (await journal.refusals()).map((one) => one.version),
      ['2', '3'],
    );
  }));

test('two builds of one version are each refused', () =>
  inDir(async (journal) => {
    for (const manifest of ['ab', 'cd', 'ab']) await journal.refuse(refusal('2', manifest));
    assert.equal((await journal.refusals()).length, 2);
    assert.equal(await journal.forget('2'), 2);
  }));

test('who forgets one release is told how many refusals that lifts, and the others stay', () =>
  inDir(async (journal) => {
    for (const version of ['2', '3', '4']) await journal.refuse(refusal(version));
    assert.equal(await journal.forget('3'), 1);
    assert.equal(await journal.forget('9'), 0);
    assert.deepEqual(
      (await journal.refusals()).map((one) => one.version),
      ['2', '4'],
    );
    assert.equal(await journal.forget(undefined), 2);
    assert.equal(await journal.forget(undefined), 0);
    assert.deepEqual(await journal.refusals(), []);
  }));

test('of the history as many entries are told as were asked for, the latest first', () =>
  inDir(async (journal) => {
    const saved = await journal.load();
    for (const [index, version] of ['2', '3', '4'].entries())
      await journal.report(
        { ...saved, since: new Date(now.getTime() + index * 1000).toISOString() },
        { ...rolledBack, release: release(version) },
      );
    const versions = async (limit: number) => (await journal.history(limit)).map((one) => one.version);
    assert.deepEqual(await versions(2), ['4', '3']);
    assert.deepEqual(await versions(9), ['4', '3', '2']);
  }));
