/** Whatever is said of an attempt, at whatever length and in whatever characters: how it ended is written down, and read again. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRefused, type Journal, openJournal } from '../../src/agent/loop/journal.ts';
import type { Event } from '../../src/agent/loop/machine.ts';
import type { Departure, Product, Release, Saved, Sha256, Version } from '../../src/model.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';

const MEGABYTE = 1024 * 1024;
const now = new Date('2026-01-02T03:04:05Z');
const release = (version: string): Release => ({
  product: 'test' as Product,
  version: version as Version,
  manifest: 'ab'.repeat(32) as Sha256,
});
const asleep: Saved = { state: { kind: 'idle' }, since: now.toISOString(), slots: {} };

async function inDir(work: (open: () => Journal, dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-said-'));
  try {
    await work(() => openJournal(realFiles, dir, silentLog), dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** From the offer to the system in which the loop finds itself back. */
async function fallenBack(journal: Journal, version: string, reason: string, code = 'unhealthy'): Promise<Saved> {
  const departure: Departure = { method: 'soft', reason, at: now.toISOString(), uptimeMs: 5, bootId: 'b' };
  const events: Event[] = [
    { type: 'offered', release: release(version), target: 'b' },
    { type: 'started' },
    { type: 'written' },
    { type: 'armed', bootId: 'b' },
    { type: 'left', departure },
    { type: 'booted-new', release: release(version), target: 'b' },
    { type: 'unhealthy', code, reason },
    { type: 'booted-other', code, reason, refuse: true },
  ];
  let saved = asleep;
  for (const event of events) saved = await journal.advance(saved, event, now);
  return saved;
}

const LONG: Readonly<Record<string, string>> = {
  'four programs with 1 KB of output each': Array.from(
    { length: 4 },
    (_, at) => `/etc/tandem/health.d/required/${at}: ${'x'.repeat(1024)}`,
  ).join('; '),
  '110 failed units': Array.from({ length: 110 }, (_, at) => `a-rather-long-name-of-a-unit-${at}.service failed`).join(
    '; ',
  ),
  'a NUL byte': 'one\0two',
  'an escape sequence': '\u001b]0;owned\u0007\u009b31m\u202egpj.exe',
  'half a character': '\ud800',
  'more than can be read': 'é'.repeat(10_000_000),
  nothing: '',
};

for (const [what, reason] of Object.entries(LONG))
  test(`a release that is condemned with ${what} is refused, in the history, and not tried again`, () =>
    inDir(async (open) => {
      const saved = await fallenBack(open(), '2', reason);
      await open().report(saved, saved.state.kind === 'settling' ? saved.state.outcome : assert.fail());
      const journal = open();
      assert.deepEqual(await journal.load(), saved);
      assert.ok(isRefused(await journal.refusals(), release('2')));
      assert.equal((await journal.lastEnded())?.version, '2');
      assert.doesNotMatch((await journal.lastEnded())?.reason ?? '?', /\p{Cc}|[\u202a-\u202e]/u);
    }));

test('any reason and any code end an attempt as it ended', () =>
  inDir(async (open) => {
    const anything = fc.string({ unit: 'binary', maxLength: 6000 });
    await fc.assert(
      fc.asyncProperty(anything, anything, async (reason, code) => {
        const saved = await fallenBack(open(), '2', reason, code);
        assert.ok(saved.state.kind === 'settling' && saved.state.outcome.result === 'rolled-back');
        assert.deepEqual(await open().load(), saved);
      }),
      { numRuns: 40 },
    );
  }));

test('a state that an earlier version wrote with a longer reason is understood', () =>
  inDir(async (open, dir) => {
    const reason = `first\n${'x'.repeat(5000)}`;
    const outcome = { result: 'rolled-back', release: release('2'), code: 'unhealthy', reason, refuse: true };
    const state = { schema: 1, ...asleep, state: { kind: 'settling', outcome } };
    await writeFile(join(dir, 'state.json'), JSON.stringify(state));
    const saved = await open().load();
    assert.ok(saved.state.kind === 'settling' && saved.state.outcome.result === 'rolled-back');
    assert.match(saved.state.outcome.reason, /^first x+…$/);
  }));

test('what a state can do without does not cost the rest of it', () =>
  inDir(async (open, dir) => {
    const state = { kind: 'trial', release: release('2'), target: 'b', departure: { method: 'by-foot' } };
    const saved = { schema: 1, state, since: now.toISOString(), slots: { a: 7 }, disarmed: [] };
    await writeFile(join(dir, 'state.json'), JSON.stringify(saved));
    const { departure: _, ...kept } = state;
    assert.deepEqual(await open().load(), { state: kept, since: now.toISOString(), slots: {} });
  }));

test('a history that has grown beyond its limit ends with the newest attempt, and stays below it', () =>
  inDir(async (open, dir) => {
    const line = (version: number): string =>
      `${JSON.stringify({ at: now.toISOString(), result: 'failed', version: `${version}`, code: 'c', reason: 'r'.repeat(1900) })}\n`;
    await writeFile(join(dir, 'history.jsonl'), Array.from({ length: 900 }, (_, at) => line(at)).join(''));
    assert.equal((await open().lastEnded())?.version, '899');
    const saved = await fallenBack(open(), '1000', 'no');
    await open().report(saved, saved.state.kind === 'settling' ? saved.state.outcome : assert.fail());
    assert.equal((await open().lastEnded())?.version, '1000');
    assert.ok((await stat(join(dir, 'history.jsonl'))).size <= MEGABYTE);
    assert.ok((await open().history(1000)).length > 500);
  }));

test('of more refusals than there is room for, the newest are kept', () =>
  inDir(async (open, dir) => {
    const one = (version: number) => ({
      at: now.toISOString(),
      version: `${version}`,
      code: 'c',
      reason: '語'.repeat(4000),
    });
    const refused = Array.from({ length: 1200 }, (_, at) => one(at));
    await writeFile(join(dir, 'refused.json'), JSON.stringify({ schema: 1, refused }));
    const saved = await fallenBack(open(), '2000', '語'.repeat(4000));
    await open().report(saved, saved.state.kind === 'settling' ? saved.state.outcome : assert.fail());
    assert.ok((await stat(join(dir, 'refused.json'))).size <= MEGABYTE);
    const kept = await open().refusals();
    assert.ok(kept.length > 600 && isRefused(kept, release('2000')));
    assert.deepEqual(JSON.parse(await readFile(join(dir, 'refused.json'), 'utf8')).refused, kept);
  }));
