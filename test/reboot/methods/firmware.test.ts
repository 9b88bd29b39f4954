/** A restart is asked for once, and a refusal has a name. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rebootByFirmware } from '../../../src/reboot/methods/firmware.ts';
import { fakeSystemctl } from '../../support/fake-systemctl.ts';

test('systemctl is asked for a restart', async () => {
  await using systemctl = await fakeSystemctl();
  await rebootByFirmware(systemctl.exec);
  assert.deepEqual(await systemctl.calls(), ['reboot --no-wall']);
});

test('a boot loader that must be told of a try is told with the restart', async () => {
  await using systemctl = await fakeSystemctl();
  await rebootByFirmware(systemctl.exec, '0 tryboot');
  assert.deepEqual(await systemctl.calls(), ['reboot --no-wall --reboot-argument=0 tryboot']);
});

test('a refusal is quoted, and an inhibitor has its own name', async () => {
  await using systemctl = await fakeSystemctl();
  await systemctl.answer('reboot', { err: 'Failed to connect to bus', status: 1 });
  await assert.rejects(rebootByFirmware(systemctl.exec), {
    code: 'reboot-failed',
    message: /Failed to connect to bus/,
  });
  await systemctl.answer('reboot', { err: 'Operation denied due to active block inhibitors', status: 1 });
  await assert.rejects(rebootByFirmware(systemctl.exec), { code: 'reboot-inhibited' });
});
