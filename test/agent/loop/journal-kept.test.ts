/** What the journal keeps apart, what it keeps in memory while the disk is full, and what it says of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefused, mayWait, openJournal } from '../../../src/agent/loop/journal.ts';
import type { Event } from '../../../src/agent/loop/machine.ts';
import type { Outcome, Product, Refusal, Release, Saved, Sha256, State, Version } from '../../../src/model.ts';
import { type Log, silentLog } from '../../../src/system/log.ts';
import { RecordingDisk } from '../../support/recording-disk.ts';

const DIR = '/state';
const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
const digest = (letter: string): Sha256 => letter.repeat(64) as Sha256;
const release = (version: string, manifest?: Sha256): Release => ({
  product: 'shop' as Product,
  version: version as Version,
  ...(manifest ? { manifest } : {}),
});
const saved = (state: State, minute = 0): Saved => ({ state, since: at(minute), slots: {} });
const TRIAL: State = { kind: 'trial', release: release('2'), target: 'b' };

/** A journal whose disk may be full, and what it has told the log. */
function journal() {
  const disk = new RecordingDisk({ dirs: [DIR] });
  const now = { isFull: false };
  const told: string[] = [];
  const tell =
    (level: string) =>
    (facts: Record<string, unknown>, text: string): void =>
      void told.push(`${level} ${facts['code'] ?? facts['path'] ?? '-'} ${text}`);
  const log = { ...silentLog, error: tell('error'), warn: tell('warn'), info: tell('info') } as unknown as Log;
  const write: typeof disk.files.write = async (path, chunks) => {
    if (now.isFull) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write', path });
    await disk.files.write(path, chunks);
  };
  return { disk, now, told, journal: openJournal({ ...disk.files, write }, DIR, log) };
}

const failed = (version: string, refuse = false, manifest?: Sha256): Outcome => ({
  result: 'rolled-back',
  release: release(version, manifest),
  code: 'unhealthy',
  reason: 'sick',
  refuse,
});

test('two ends are two lines of the history when their time, their version or their result differs', async () => {
  const { journal: own } = journal();
  const updated: Outcome = { result: 'updated', release: release('2') };
  for (const [minute, outcome] of [
    [0, failed('2')],
    [0, failed('2')],
    [1, failed('2')],
    [0, failed('3')],
    [0, updated],
    [0, updated],
    [1, failed('2')],
  ] as const)
    await own.report(saved({ kind: 'settling', outcome }, minute), outcome);
  const seen = (await own.history(9)).map((one) => [one.at, one.version, one.result]).toReversed();
  assert.deepEqual(seen, [
    [at(0), '2', 'rolled-back'],
    [at(1), '2', 'rolled-back'],
    [at(0), '3', 'rolled-back'],
    [at(0), '2', 'updated'],
  ]);
  await own.report(saved({ kind: 'idle' }), { result: 'none' });
  assert.equal((await own.history(9)).length, 4);
});

test('only what is to be refused is, with its digest where that is known', async () => {
  const { journal: own } = journal();
  for (const outcome of [failed('2'), failed('3', true), failed('4', true, digest('a'))])
    await own.report(saved({ kind: 'settling', outcome }), outcome);
  const why = { at: at(0), code: 'unhealthy', reason: 'sick' };
  assert.deepEqual(await own.refusals(), [
    { ...why, version: '3' },
    { ...why, version: '4', manifest: digest('a') },
  ]);
});

test('what is refused is told by its digest, and by its version where one of the two has none', () => {
  const refusal = (version: string, manifest?: Sha256): Refusal => ({
    at: at(0),
    code: 'x',
    reason: 'y',
    ...release(version, manifest),
  });
  const [a, b] = [digest('a'), digest('b')];
  for (const [refused, offered, isIt] of [
    [refusal('2', a), release('2', a), true],
    [refusal('2', a), release('3', a), true],
    [refusal('2', a), release('2', b), false],
    [refusal('2', a), release('2'), true],
    [refusal('2', a), release('3'), false],
    [refusal('2'), release('2', b), true],
    [refusal('2'), release('3', b), false],
  ] as const)
    assert.equal(isRefused([refusal('9', digest('9')), refused], offered) === refused, isIt);
});

test('what a full disk must not stop is kept, told once, and written when there is room again', async () => {
  const { disk, now, told, journal: own } = journal();
  await own.advance(
    saved({ kind: 'armed', ...release('2'), release: release('2'), target: 'b', bootId: 'x' }),
    { type: 'disarmed', reason: 'r' },
    new Date(at(1)),
  );
  told.length = 0;
  now.isFull = true;
  const first = await own.advance(
    saved(TRIAL),
    { type: 'unhealthy', code: 'unhealthy', reason: 'sick' },
    new Date(at(2)),
  );
  assert.equal(first.state.kind, 'condemned');
  assert.deepEqual([await own.load(), own.trouble()?.code], [first, 'state-unwritable']);
  const second = await own.advance(
    first,
    { type: 'booted-other', code: 'x', reason: 'y', refuse: true },
    new Date(at(3)),
  );
  assert.deepEqual([await own.load(), told.length], [second, 1]);
  assert.match(told[0] ?? '', /^error state-unwritable .*stays in memory/);
  await assert.rejects(own.flush(), { code: 'state-unwritable' });
  now.isFull = false;
  await own.flush();
  assert.deepEqual([own.trouble(), told.slice(1)], [undefined, ['info - the state is saved on disk again']]);
  assert.deepEqual(await openJournal(disk.files, DIR, silentLog).load(), second);
  await own.flush();
  assert.equal(told.length, 2);
});

test('what must be on disk before the next step is not kept in memory, nor is what is wrong in another way', async () => {
  const waiting: Event['type'][] = ['booted-new', 'booted-other', 'healthy', 'unhealthy'];
  for (const type of ['settled', 'offered', 'started', 'written', 'armed', 'left', 'disarmed', ...waiting] as const)
    assert.equal(mayWait({ type } as Event), waiting.includes(type), type);
  const { now, journal: own } = journal();
  now.isFull = true;
  const settled = own.advance(
    saved({ kind: 'settling', outcome: { result: 'none' } }),
    { type: 'settled' },
    new Date(at(1)),
  );
  await assert.rejects(settled, { code: 'state-unwritable' });
  assert.equal(own.trouble(), undefined);
  await assert.rejects(own.advance(saved({ kind: 'idle' }), { type: 'healthy' }, new Date(at(1))), /is not possible/);
});

test('since when something waits is kept while it is armed and disarmed, and begins anew with every other step', async () => {
  const { journal: own } = journal();
  const later = new Date(at(5));
  const since = async (state: State, event: Event): Promise<string> =>
    (await own.advance(saved(state), event, later)).since;
  const attempt = { release: release('2'), target: 'b' } as const;
  const departure = { method: 'soft', reason: 'r', at: at(0), uptimeMs: 1, bootId: 'x' } as const;
  const armed: State = { kind: 'armed', ...attempt, bootId: 'x' };
  assert.equal(await since({ kind: 'staged', ...attempt }, { type: 'armed', bootId: 'x' }), at(0));
  assert.equal(await since(armed, { type: 'left', departure }), at(0));
  assert.equal(await since(armed, { type: 'disarmed', reason: 'r' }), at(0));
  assert.equal(await since(TRIAL, { type: 'hindered', code: 'x', reason: 'y' }), at(0));
  assert.equal(await since(armed, { type: 'booted-new', ...attempt }), at(5));
  assert.equal(await since({ kind: 'staging', ...attempt, attempt: 1 }, { type: 'written' }), at(5));
});

test('why something was disarmed is kept until the next step', async () => {
  const { journal: own } = journal();
  const armed: State = { kind: 'armed', release: release('2'), target: 'b', bootId: 'x' };
  const disarmed = await own.advance(
    saved(armed),
    { type: 'disarmed', reason: 'the window\n has closed' },
    new Date(at(4)),
  );
  assert.deepEqual(disarmed.disarmed, { at: at(4), reason: 'the window has closed' });
  await own.reportDisarmed(disarmed);
  await own.reportDisarmed(saved({ kind: 'staged', release: release('3'), target: 'b' }));
  assert.deepEqual(await own.history(9), [
    { at: at(4), reason: 'the window has closed', result: 'disarmed', version: '2' },
  ]);
  assert.equal(await own.lastEnded(), undefined);
  assert.equal((await own.advance(disarmed, { type: 'armed', bootId: 'y' }, new Date(at(5)))).disarmed, undefined);
});

test('a slot holds nothing that is known while it is written, and its release once it was read back or chosen', async () => {
  const { journal: own } = journal();
  const slots = { a: release('1'), b: release('0') };
  const attempt = { release: release('2'), target: 'b' } as const;
  const after = async (state: State, event: Event) =>
    (await own.advance({ ...saved(state), slots }, event, new Date(at(1)))).slots;
  assert.deepEqual(await after({ kind: 'staging', ...attempt, attempt: 0 }, { type: 'started' }), { a: slots.a });
  assert.deepEqual(await after({ kind: 'staging', ...attempt, attempt: 1 }, { type: 'written' }), {
    a: slots.a,
    b: release('2'),
  });
  assert.deepEqual(await after({ kind: 'idle' }, { type: 'chosen', ...attempt }), { a: slots.a, b: release('2') });
  assert.deepEqual(await after({ kind: 'idle' }, { type: 'offered', ...attempt }), slots);
});

test('what is torn is moved aside and told of, and what was left half written goes', async () => {
  const { disk, told, journal: own } = journal();
  await disk.files.write(`${DIR}/state.json`, [Buffer.from('torn')]);
  await disk.files.write(`${DIR}/history.jsonl.tandem-new`, [Buffer.from('torn')]);
  assert.equal((await own.load()).state.kind, 'settling');
  assert.deepEqual(await disk.files.list(DIR), ['state.json.bad']);
  assert.deepEqual(told, [`warn ${DIR}/state.json a state file cannot be parsed; it was moved aside`]);
});

test('of the history the latest come first, as many as are asked for, and the last that has ended is told', async () => {
  const { journal: own } = journal();
  for (const minute of [1, 2, 3]) await own.report(saved({ kind: 'idle' }, minute), failed(String(minute)));
  await own.reportDisarmed({
    ...saved({ kind: 'staged', release: release('4'), target: 'b' }),
    disarmed: { at: at(4), reason: 'r' },
  });
  assert.deepEqual(
    (await own.history(3)).map(({ version }) => version),
    ['4', '3', '2'],
  );
  assert.equal((await own.lastEnded())?.version, '3');
});
