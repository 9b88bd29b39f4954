/** What `updatectl status` shows, in every state, at two widths: the golden file is for reading. UPDATE_GOLDEN=1 writes it anew. */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { nothingLines, statusText } from '../../../src/cli/host/status-text.ts';
import { createBar } from '../../../src/cli/progress.ts';
import type { MachineId, Product, Release, Version } from '../../../src/model.ts';
import type { Status } from '../../../src/protocol.ts';
import { LOCK_OWED } from '../../support/lock-owed.ts';
import { IDLE } from '../../support/scripted-agent.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/status.txt');
const NOW = new Date('2026-03-01T12:05:00.000Z');
const RUNNING: Release = { product: 'demo' as Product, version: '1.0' as Version };
const ON = { release: { product: 'demo' as Product, version: '2.0' as Version }, target: 'b' } as const;
const at = '2026-03-01T12:01:00.000Z';

const base: Status = {
  ...IDLE,
  running: RUNNING,
  lastCheck: { at, result: 'offer' },
  nextCheck: '2026-03-01T12:45:00.000Z',
};
const CASES: Readonly<Record<string, Status>> = {
  idle: base,
  'idle, in a fleet': { ...base, machine: '4f'.repeat(16) as MachineId, group: 'web' },
  staging: {
    ...base,
    state: { kind: 'staging', ...ON, attempt: 1 },
    progress: { phase: 'download', done: 3e8, total: 1e9 },
  },
  'staging a delta': {
    ...base,
    state: { kind: 'staging', ...ON, attempt: 1 },
    progress: { phase: 'download', done: 3e8, total: 1e9 },
    transfer: {
      tier: 'blocks',
      fetched: 34.5e6,
      copied: 2e8,
      kept: 65e6,
      planned: { bytes: 139e6, from: 'https://updates.example/releases/demo/2.0.blocks', seconds: 70 },
      choices: [
        { tier: 'patch', bytes: 72e6 },
        { tier: 'blocks', bytes: 126_912, atLeast: true },
        { tier: 'full', bytes: 412e6 },
      ],
      fallen: [{ tier: 'patch', code: 'delta-mismatch' }],
    },
  },
  staged: { ...base, state: { kind: 'staged', ...ON }, waitingFor: '`updatectl apply`' },
  'staged again, after a gate closed on the armed slot': {
    ...base,
    state: { kind: 'staged', ...ON },
    waitingFor: 'the maintenance window “nights” is not open',
    disarmed: { at, reason: 'the maintenance window “nights” is not open' },
  },
  'staged, and two gates are closed': {
    ...base,
    state: { kind: 'staged', ...ON },
    waitingFor: 'the maintenance window “nights” is not open; backup inhibits the shutdown: nightly copy',
    rebootBy: '2026-03-09T12:05:00.000Z',
    gates: [
      {
        code: 'window-closed',
        strength: 'soft',
        reason: 'the maintenance window “nights” is not open',
        next: '2026-03-02T01:30:00.000Z',
      },
      { code: 'inhibited', strength: 'hard', reason: 'backup inhibits the shutdown: nightly copy' },
    ],
  },
  armed: { ...base, state: { kind: 'armed', ...ON, bootId: 'x' }, waitingFor: 'the restart' },
  'armed, on its way by kexec': {
    ...base,
    state: { kind: 'armed', ...ON, bootId: 'x' },
    waitingFor: 'the restart',
    restart: {
      method: 'kexec',
      reason: 'the kernel can be started without the firmware',
      ruledOut: [{ method: 'soft', reason: 'the kernel differs' }],
    },
  },
  'staged, and soft is not safe': {
    ...base,
    state: { kind: 'staged', ...ON },
    waitingFor: '`updatectl apply`',
    restart: {
      method: 'firmware',
      reason: 'no soft: the kernel differs',
      ruledOut: [{ method: 'soft', reason: 'the kernel differs' }],
    },
  },
  'idle after a soft restart': {
    ...base,
    lastRestart: {
      at,
      result: 'updated',
      version: '1.0' as Version,
      method: 'soft',
      downtime: { ms: 620, clock: 'exact' },
    },
  },
  'idle after a restart across which the clock was set': {
    ...base,
    lastRestart: {
      at,
      result: 'updated',
      version: '1.0' as Version,
      method: 'firmware',
      downtime: { ms: 74_000, clock: 'at-least' },
    },
  },
  trial: { ...base, booted: 'b', confirmed: false, running: ON.release, state: { kind: 'trial', ...ON } },
  condemned: { ...base, state: { kind: 'condemned', ...ON, code: 'unhealthy', reason: 'web.service failed' } },
  refused: {
    ...base,
    refused: [{ at, version: '2.0' as Version, code: 'unhealthy', reason: 'web.service failed' }],
    lastError: { code: 'server-unreachable', message: 'No route to updates.example.', next: 'Check the network.', at },
  },
  'rolled back: the refusal stands in the last error': {
    ...base,
    refused: [{ at, version: '2.0' as Version, code: 'unhealthy', reason: 'web.service failed' }],
    lastError: {
      code: 'unhealthy',
      message: 'web.service failed',
      next: 'It is refused; `updatectl forget 2.0` lifts the refusal.',
      at,
    },
  },
  'refused again by the last check, which says why': {
    ...base,
    refused: [{ at, version: '2.0' as Version, code: 'unhealthy', reason: 'web.service failed' }],
    lastCheck: { at, result: `2.0 has been refused since ${at}: web.service failed`, code: 'refused' },
  },
  'something failed and is tried again': {
    ...base,
    nextTry: '2026-03-01T12:05:22.000Z',
    lastError: { code: 'boot-partition-missing', message: 'No ESP.', next: 'Mount it.', at },
  },
  'the lock is owed': {
    ...base,
    lockOwed: LOCK_OWED,
  },
  offline: { ...base, offline: true },
  'offline in the middle': { ...base, state: { kind: 'staged', ...ON }, offline: true },
};

for (const [name, one] of Object.entries(CASES))
  test(`${name}: a reason is told once`, () => {
    const text = statusText(one, NOW, 120).join('\n');
    for (const { reason } of one.refused) assert.equal(text.split(reason).length, 2, text);
  });

test('a host that was asked and has nothing to do says how to ask for it all the same', () => {
  const older = { ...base, lastCheck: { at, result: '1.1 is older than 1.2, which is running', code: 'downgrade' } };
  assert.deepEqual(nothingLines(older, '1.1'), [
    '  1.1 is older than 1.2, which is running',
    '  To do it anyway: `updatectl install 1.1 --allow-downgrade`.',
  ]);
  const refused = CASES['refused again by the last check, which says why'];
  assert.match(nothingLines(refused ?? base).join('\n'), /To do it anyway: `updatectl forget 2\.0`/);
  assert.deepEqual(nothingLines({ ...base, lastCheck: { at, result: '1.0 is running', code: 'up-to-date' } }), [
    '  1.0 is running',
  ]);
});

test('every state is shown as the golden file has it', async () => {
  const shown = [80, 120].flatMap((width) =>
    Object.entries(CASES).map(
      ([name, one]) => `== ${name}, ${width} columns\n${statusText(one, NOW, width).join('\n')}\n`,
    ),
  );
  const text = shown.join('\n');
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(GOLDEN, text);
  assert.equal(text, await readFile(GOLDEN, 'utf8'));
});

test('progress is a plain line every few seconds without a terminal, one line on one, nothing under --json', () => {
  let now = 0;
  let said: string[] = [];
  const play = (isTerminal: boolean, quiet: boolean): string[] => {
    said = [];
    now = 0;
    const streams = { err: (text: string) => void said.push(text), isTerminal, width: () => 80 };
    using bar = createBar('writing', streams, { monotonicMs: () => now }, quiet);
    for (let second = 0; second <= 20; second++, now += 1000) bar.update(second * 5e6, 1e8);
    return said;
  };
  const plain = play(false, false);
  assert.equal(plain.length, 5);
  assert.ok(plain.every((line) => line.endsWith('\n') && !line.includes('\u001b') && line.length <= 80));
  const terminal = play(true, false);
  assert.ok(
    terminal.slice(0, -1).every((line) => line.startsWith('\r\u001b[2K') && line.length < 85),
    terminal.join(),
  );
  assert.deepEqual(play(true, true), []);
});
