/** Whether the agent may open the disk of the slots, by what systemd says of its unit as it is installed. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { blockDrivers, judgeSandbox } from '../../../src/cli/doctor/sandbox.ts';

const DRIVERS = blockDrivers(`Character devices:
  8 not-this-one

Block devices:
  8 sd
  43 nbd
254 virtblk
259 blkext
`);
const OURS = readFileSync(join(import.meta.dirname, '../../..', 'systemd/tandem-agent.service'), 'utf8');
const disk = (path: string, rdev: string) => [{ path, rdev }];
const shown = (...rules: string[]): string =>
  ['DevicePolicy=closed', ...rules.map((rule) => `DeviceAllow=${rule}`), ''].join('\n');

test('the unit that we ship names the drivers of ordinary disks', () => {
  for (const rdev of ['8:2', '254:0', '259:1'])
    assert.equal(judgeSandbox(disk('/dev/x', rdev), DRIVERS, OURS).result, 'ok');
});

test('a driver that the unit does not name is named, with what to do', () => {
  const { result, sentence, next } = judgeSandbox(disk('/dev/nbd0p2', '43:2'), DRIVERS, OURS);
  assert.equal(result, 'fail');
  assert.match(sentence, /may not open \/dev\/nbd0p2: .* the driver nbd\./);
  assert.match(next ?? '', /systemctl edit tandem-agent.service.*DeviceAllow=block-nbd rw/);
});

for (const [rules, result] of [
  [['block-nbd rw'], 'ok'],
  [['block-n* rwm'], 'ok'],
  [['block-* rw'], 'ok'],
  [['/dev/nbd0p2 rw'], 'ok'],
  [['block-nbd r'], 'fail'],
  [['block-nb rw'], 'fail'],
  [['block-n.d rw'], 'fail'],
  [[], 'fail'],
] as const)
  test(`DeviceAllow=${rules.join() || 'nothing'}: ${result}`, () => {
    assert.equal(judgeSandbox(disk('/dev/nbd0p2', '43:2'), DRIVERS, shown(...rules)).result, result);
  });

test('a unit that forbids nothing, and a disk in a file, are no question', () => {
  assert.equal(judgeSandbox(disk('/dev/nbd0p2', '43:2'), DRIVERS, 'DevicePolicy=auto\n').result, 'ok');
  assert.equal(judgeSandbox([{ path: '/srv/disk.img' }], DRIVERS, shown()).result, 'ok');
});

test('a device of a driver that the kernel does not list is not taken for an allowed one', () => {
  assert.equal(judgeSandbox(disk('/dev/odd1', '99:1'), DRIVERS, shown('block-sd rw')).result, 'fail');
});
