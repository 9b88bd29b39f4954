/** How fast bytes come and how long the rest will take: only the time counts in which somebody waited for them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRate, saveRate } from '../../src/agent/install/delta/rate.ts';
import { createTransfer } from '../../src/agent/install/delta/transfer.ts';
import type { ByteSource } from '../../src/bundle/byte-source.ts';
import { noFiles } from '../support/no-files.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const KIB = 1024;
const signal = new AbortController().signal;

/** A clock that goes on when told to, and a line that takes `ms` for each of its pieces. */
function line(ms: number, pieces: readonly number[], lastRate?: number) {
  const clock = { now: 0 };
  const transfer = createTransfer({ monotonicMs: () => clock.now }, lastRate);
  const source: ByteSource = {
    name: 'line',
    size: 0,
    open: async function* () {
      for (const length of pieces) {
        clock.now += ms;
        yield new Uint8Array(length);
      }
    },
  };
  return { clock, transfer, source: transfer.counted(source) };
}

async function drain(source: ByteSource, each: () => void = () => {}): Promise<void> {
  for await (const _ of source.open(0, signal)) each();
}

test('the speed is that of the waiting, whatever is done with the bytes meanwhile', async () => {
  const { clock, transfer, source } = line(500, [256 * KIB, 256 * KIB]);
  await drain(source, () => {
    clock.now += 60_000;
  });
  assert.equal(transfer.status().fetched, 512 * KIB);
  assert.equal(transfer.rate(), 512 * KIB);
});

test('of several connections that wait at the same time the time counts once', async () => {
  const { clock, transfer } = line(0, []);
  const release: (() => void)[] = [];
  const slow: ByteSource = {
    name: 'slow',
    size: 0,
    open: async function* () {
      await new Promise<void>((resolve) => release.push(resolve));
      yield new Uint8Array(256 * KIB);
    },
  };
  const both = [drain(transfer.counted(slow)), drain(transfer.counted(slow))];
  await new Promise((resolve) => setImmediate(resolve));
  clock.now += 1000;
  for (const one of release) one();
  await Promise.all(both);
  assert.equal(transfer.rate(), 512 * KIB);
});

test('a few bytes, or none that anybody waited for, say nothing about a line', async () => {
  const few = line(10, [256 * KIB - 1]);
  await drain(few.source);
  assert.equal(few.transfer.rate(), undefined);
  const enough = line(1000, [256 * KIB]);
  await drain(enough.source);
  assert.equal(enough.transfer.rate(), 256 * KIB);
  const local = line(0, [1024 * KIB]);
  await drain(local.source);
  assert.equal(local.transfer.rate(), undefined);
});

test('the time that is left comes from the last download until this one tells, and is rounded up', async () => {
  const { transfer, source } = line(1000, [256 * KIB, 256 * KIB], 1000);
  transfer.begin('patch');
  assert.equal(transfer.status().planned, undefined);
  transfer.planned(2500, 'a');
  assert.deepEqual(transfer.status().planned, { bytes: 2500, from: 'a', seconds: 3 });
  await drain(source);
  transfer.planned(1024 * KIB, 'b');
  assert.deepEqual(transfer.status().planned, { bytes: 1024 * KIB, from: 'b', seconds: 4 });
});

test('where no line is known, no time is told', () => {
  const { transfer } = line(0, []);
  transfer.planned(2500, 'a');
  assert.deepEqual(transfer.status().planned, { bytes: 2500, from: 'a' });
});

test('a tier that begins has copied, kept and planned nothing yet; what was fetched stays counted', async () => {
  const { transfer, source } = line(1, [10]);
  const first = transfer.begin('patch');
  Object.assign(first, { copied: 5, kept: 6 });
  transfer.planned(9, 'a');
  await drain(source);
  assert.deepEqual(transfer.status(), {
    tier: 'patch',
    fetched: 10,
    copied: 5,
    kept: 6,
    planned: { bytes: 9, from: 'a' },
    fallen: [],
  });
  transfer.fell('patch', 'delta-root-mismatch');
  transfer.begin('full');
  transfer.choices([{ tier: 'full', bytes: 7 }]);
  assert.deepEqual(transfer.status(), {
    tier: 'full',
    fetched: 10,
    copied: 0,
    kept: 0,
    choices: [{ tier: 'full', bytes: 7 }],
    fallen: [{ tier: 'patch', code: 'delta-root-mismatch' }],
  });
});

test('a speed is remembered, and a file that is none, or cannot be written, costs nothing', async () => {
  const { files } = new RecordingDisk({ dirs: ['/state'] });
  assert.equal(await loadRate(files, '/state'), undefined);
  await saveRate(files, '/state', 1234.6);
  assert.equal(await loadRate(files, '/state'), 1235);
  for (const text of [
    '',
    '{}',
    '{"schema":2,"bytesPerSecond":5}',
    '{"schema":1,"bytesPerSecond":-5}',
    'x'.repeat(9999),
  ])
    assert.equal(await loadRate({ read: async () => Buffer.from(text) }, '/state'), undefined, text);
  await saveRate({ ...noFiles, write: () => Promise.reject(new Error('ENOSPC')) }, '/state', 1);
});
