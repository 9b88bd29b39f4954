/** The downtime is told by one clock where one saw both ends, and says of itself how sure it is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UpdateError } from '../../src/errors.ts';
import type { Departure, Method } from '../../src/model.ts';
import { awaitStarted, startedAt } from '../../src/reboot/arrival.ts';
import { type Arrival, arrivedBy, downtime } from '../../src/reboot/downtime.ts';
import type { Exec } from '../../src/system/process/exec.ts';

const left = (method: Method): Departure => ({
  method,
  reason: 'r',
  at: '2026-03-01T12:00:00.000Z',
  uptimeMs: 500_000,
  bootId: 'one',
});
const arrived = (change: Partial<Arrival>): Arrival => ({
  bootId: 'two',
  byKexec: false,
  startedMs: 14_000,
  uptimeMs: 20_000,
  now: new Date('2026-03-01T12:00:26.000Z'),
  ...change,
});

test('across a soft reboot the kernel’s own clock saw both ends, whatever the wall clock says', () => {
  const here = arrived({ bootId: 'one', startedMs: 500_620.4, uptimeMs: 600_000, now: new Date(0) });
  assert.deepEqual(downtime(left('soft'), here), { ms: 620, clock: 'exact' });
  assert.equal(downtime(left('soft'), { ...here, startedMs: 499_000 }), undefined, 'that start was before');
  assert.equal(downtime(left('soft'), { ...here, leftMs: 500_200.2 })?.ms, 420, 'systemd began to stop later');
  assert.equal(downtime(left('soft'), { ...here, leftMs: 400_000 })?.ms, 620, 'that was an earlier soft reboot');
});

test('across a new kernel the wall clock tells', () => {
  assert.deepEqual(downtime(left('firmware'), arrived({})), { ms: 20_000, clock: 'wall' });
});

test('a clock that was set meanwhile is noticed, and then only the time of the last kernel is sure', () => {
  for (const now of ['2026-03-01T12:00:10.000Z', '1970-01-01T00:00:20.000Z', '2026-03-03T12:00:00.000Z'])
    assert.deepEqual(downtime(left('kexec'), arrived({ now: new Date(now) })), { ms: 14_000, clock: 'at-least' });
});

test('a clock that was set right between the start and the report costs nothing', () => {
  // Counted back from the present, not from a date that was noted before it was set.
  assert.deepEqual(downtime(left('kexec'), arrived({ uptimeMs: 80_000, now: new Date('2026-03-01T12:01:26.000Z') })), {
    ms: 20_000,
    clock: 'wall',
  });
});

test('whatever the clocks say, a downtime is never negative nor less than the new kernel needed', () => {
  const times = fc.integer({ min: -1e12, max: 1e12 });
  fc.assert(
    fc.property(times, fc.nat(1e7), fc.nat(1e7), fc.boolean(), (now, startedMs, since, same) => {
      const here = arrived({
        bootId: same ? 'one' : 'two',
        now: new Date(now),
        startedMs,
        uptimeMs: startedMs + since,
      });
      const found = downtime(left('soft'), here);
      if (found) assert.ok(found.ms >= (same ? 0 : startedMs));
    }),
  );
});

test('a jump that hung ended in the boot loader', () => {
  assert.equal(arrivedBy(left('soft'), arrived({ bootId: 'one' })), 'soft');
  assert.equal(arrivedBy(left('soft'), arrived({})), 'firmware');
  assert.equal(arrivedBy(left('kexec'), arrived({ byKexec: true })), 'kexec');
  assert.equal(arrivedBy(left('kexec'), arrived({})), 'firmware');
  assert.equal(arrivedBy(left('firmware'), arrived({ byKexec: true })), 'firmware');
});

/** A systemctl that knows these units; what it is asked for decides the answer. */
const systemctl =
  (units: Readonly<Record<string, string>>, manager = ''): Exec =>
  async (_, args) => {
    const names = args.includes('--') ? args.slice(args.indexOf('--') + 1) : [];
    const blocks = names.map((name) => `Id=${name}\n${units[name] ?? ''}`);
    return { exitCode: 0, stdout: names.length > 0 ? blocks.join('\n\n') : manager, stderr: '', timedOut: false };
  };
const at = (ms: number): string => `ActiveEnterTimestampMonotonic=${ms * 1000}`;
const SYSTEM = {
  'default.target': `Requires=multi-user.target\nWants=screen.service tandem-agent.service\n${at(20_000)}`,
  'multi-user.target': `Requires=basic.target\nWants=web.service tandem-agent.service systemd-bless-boot.service\n${at(19_000)}`,
  'basic.target': 'Requires=\nWants=early.service multi-user.target',
  'screen.service': at(9_000),
  'web.service': at(8_000.5),
  'early.service': at(25_000),
  'tandem-agent.service': at(18_000),
  'systemd-bless-boot.service': at(19_500),
};

test('a system has started when all is up but for us and what waits for us; what was restarted later does not count', async () => {
  assert.deepEqual(await startedAt(systemctl(SYSTEM)), { startedMs: 9_000 });
  const manager = 'ShutdownStartTimestampMonotonic=4000000';
  assert.deepEqual(await startedAt(systemctl(SYSTEM, manager)), { startedMs: 9_000, leftMs: 4_000 });
});

test('a system that reaches its default target with nothing else has started then; one that has not reached it has not', async () => {
  assert.deepEqual(await startedAt(systemctl({ 'default.target': at(7_000) })), { startedMs: 7_000 });
  assert.equal(await startedAt(systemctl({ ...SYSTEM, 'default.target': at(0) })), undefined);
  assert.equal(await startedAt(systemctl({})), undefined);
});

test('a system that is still starting is waited for, but not for ever', async () => {
  let sleeps = 0;
  const sleep = async (): Promise<void> => void sleeps++;
  const exec: Exec = (...call) => systemctl({ 'default.target': at(sleeps < 2 ? 0 : 9_000) })(...call);
  const signal = new AbortController().signal;
  assert.deepEqual(await awaitStarted(exec, { sleep }, signal), { startedMs: 9_000 });
  assert.equal(sleeps, 2);
  const broken: Exec = async () => ({ exitCode: 1, stdout: '', stderr: '', timedOut: false });
  assert.equal(await awaitStarted(broken, { sleep: async () => {} }, signal), undefined);
  const stopped = { sleep: async () => Promise.reject(new UpdateError('interrupted')) };
  await assert.rejects(awaitStarted(broken, stopped, signal), { code: 'interrupted' });
});
