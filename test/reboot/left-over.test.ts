/** A release answers for the units that failed in it, and not for those that failed in the system before a soft reboot. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unitsProbe } from '../../src/reboot/health/units.ts';
import type { Exec } from '../../src/system/process/exec.ts';
import { rootHashOfVersion } from '../support/esp.ts';

const SOFT_ROOT = `/dev/mapper/tandem-${rootHashOfVersion('2')}`;

/** Moments in seconds since the kernel started. */
type Given = Readonly<{ failed: Record<string, number>; userspace: number; timer: number; root?: string }>;

async function judged({ failed, userspace, timer, root = SOFT_ROOT }: Given): Promise<string> {
  const us = (seconds: number): number => seconds * 1_000_000;
  const exec: Exec = async (_, args) => {
    const units = args.includes('--') ? args.slice(args.indexOf('--') + 1) : [];
    const said = {
      'list-jobs': '',
      'list-units': JSON.stringify(Object.keys(failed).map((unit) => ({ unit }))),
      show:
        units.length === 0
          ? `UserspaceTimestampMonotonic=${us(userspace)}\n`
          : units
              .map((unit) =>
                unit === 'tandem-dead-man.timer'
                  ? `StateChangeTimestampMonotonic=${us(timer)}\nInactiveExitTimestampMonotonic=${us(timer)}\n`
                  : `StateChangeTimestampMonotonic=${us(failed[unit] ?? 0)}\nInactiveExitTimestampMonotonic=0\n`,
              )
              .join('\n'),
    }[args[0] ?? ''];
    return { exitCode: 0, stdout: said ?? '', stderr: '', timedOut: false };
  };
  const mountinfo = `20 1 254:7 / / ro - erofs ${root} ro\n`;
  const probe = unitsProbe({
    exec,
    files: { read: async () => new TextEncoder().encode(mountinfo) },
    clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => {} },
    required: [],
    ignored: [],
    startTimeoutMs: 5_000,
  });
  const result = await probe.run(new AbortController().signal);
  return result.ok ? 'ok' : result.reason;
}

test('after a soft reboot what failed in the system before, or while that was stopped, is not the release’s fault', async () => {
  const failed = { 'certbot.service': 400, 'backup.service': 805.99 };
  assert.equal(await judged({ failed, userspace: 806.1, timer: 806.4 }), 'ok');
  assert.equal(
    await judged({ failed: { ...failed, 'shop.service': 807 }, userspace: 806.1, timer: 806.4 }),
    'shop.service failed',
  );
});

test('a systemd before 256, which keeps the moment of the first system, makes no difference; nor does a missing timer', async () => {
  const failed = { 'backup.service': 805.99, 'shop.service': 807 };
  assert.equal(await judged({ failed, userspace: 3, timer: 806.4 }), 'shop.service failed');
  assert.equal(await judged({ failed, userspace: 806.1, timer: 0 }), 'shop.service failed');
  assert.equal(
    await judged({ failed, userspace: 3, timer: 0 }),
    'backup.service failed; shop.service failed',
    'in doubt',
  );
});

test('the kernel’s first system answers for its initrd, too, and a state without a moment counts', async () => {
  const failed = { 'systemd-repart.service': 2 };
  assert.equal(
    await judged({ failed, userspace: 4, timer: 5, root: '/dev/mapper/root' }),
    'systemd-repart.service failed',
  );
  assert.equal(await judged({ failed: { 'odd.service': 0 }, userspace: 4, timer: 5 }), 'odd.service failed');
});
