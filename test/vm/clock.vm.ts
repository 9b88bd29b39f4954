/** The reference machine keeps time even where its kernel has measured the emulated processor wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab } from './lab.ts';

test('a kernel that takes its processor for ten times slower than it is gets another clock, and its seconds are seconds', () =>
  inLab('clock', { kernelOptions: 'tsc_early_khz=200000' }, async ({ machine }) => {
    assert.ok(machine.log.lines.some(({ text }) => /vinit: the clock runs wild, acpi_pm takes its place/.test(text)));
    assert.match(await machine.run('cat /proc/cmdline'), / tsc_early_khz=200000/);
    const uptime = async (): Promise<number> => Number((await machine.run('cat /proc/uptime')).split(' ')[0]);
    const [begin, up] = [performance.now(), await uptime()];
    await machine.run('sleep 5');
    const [passed, grown] = [(performance.now() - begin) / 1000, (await uptime()) - up];
    assert.ok(grown > 0.5 * passed && grown < 2 * passed, `${grown} s in the guest, ${passed} s here`);
  }));
