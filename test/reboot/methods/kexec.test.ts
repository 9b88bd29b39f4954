/** The kernel of a boot image is loaded as the firmware would start it, and a failure leaves nothing loaded. */

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadKernel, rebootByKexec, unloadKernel } from '../../../src/reboot/methods/kexec.ts';
import { rootHashOfVersion } from '../../support/esp.ts';
import { type FakeMachine, fakeMachine } from '../../support/fake-machine.ts';
import { peFile } from '../../support/pe.ts';
import { readerOf } from '../../support/readers.ts';

const LINUX = new Uint8Array(3_000_000).map((_, index) => index % 251);
const CMDLINE = `console=ttyS0 "a b" roothash=${rootHashOfVersion('2')}`;

const image = (sections: [string, string | Uint8Array][]) => readerOf(peFile(sections));
const whole = image([
  ['.cmdline', `${CMDLINE}\n`],
  ['.initrd', 'initrd'],
  ['.linux', LINUX],
  ['.ucode', 'microcode'],
]);
const world = ({ exec, files, dir }: FakeMachine) => ({ exec, files, dir: join(dir, 'run/tandem/kexec') });

test('kernel, microcode with initrd, and command line are those of the boot image, and the start is counted', async () => {
  await using machine = await fakeMachine();
  await loadKernel(world(machine), whole, 3);
  const [call] = await machine.calls();
  assert.match(String(call), /^kexec --kexec-file-syscall --load \S+\/linux --initrd=\S+\/initrd --command-line=/);
  assert.ok(call?.endsWith(`--command-line=${CMDLINE} tandem.kexecs=3`), String(call));
  assert.deepEqual(new Uint8Array(await readFile(join(machine.dir, 'linux-seen'))), LINUX);
  assert.equal(await readFile(join(machine.dir, 'initrd-seen'), 'utf8'), 'microcodeinitrd');
  assert.deepEqual(await readdir(world(machine).dir), [], 'what was loaded needs no file any more');
});

test('a failure is undone and leaves no files', async () => {
  await using machine = await fakeMachine();
  await machine.put('sys/kernel/kexec_loaded', '1\n');
  await machine.failAt(1);
  await assert.rejects(loadKernel(world(machine), whole, 1), { code: 'tool-failed' });
  assert.equal((await machine.left()).loaded, '0');
  assert.deepEqual(await readdir(world(machine).dir), []);
});

test('a boot image without an initrd is loaded without one; one without a kernel, or cut short, is not loaded', async () => {
  await using machine = await fakeMachine();
  await loadKernel(
    world(machine),
    image([
      ['.cmdline', CMDLINE],
      ['.linux', 'x'],
    ]),
    1,
  );
  assert.ok(!(await machine.calls())[0]?.includes('--initrd'));
  await assert.rejects(loadKernel(world(machine), image([['.cmdline', CMDLINE]]), 1), { code: 'uki-invalid' });
  const cut = {
    size: whole.size,
    read: async (at: number, size: number) => (at > 1e6 ? new Uint8Array() : whole.read(at, size)),
  };
  await assert.rejects(loadKernel(world(machine), cut, 1), { code: 'uki-invalid' });
  assert.deepEqual(await readdir(world(machine).dir), []);
});

test('only what is loaded is unloaded', async () => {
  await using machine = await fakeMachine();
  await unloadKernel(world(machine));
  assert.deepEqual(await machine.calls(), []);
  await machine.put('sys/kernel/kexec_loaded', '1\n');
  await unloadKernel(world(machine));
  assert.deepEqual(await machine.calls(), ['kexec --kexec-file-syscall --unload']);
});

test('systemd is asked to stop everything first', async () => {
  await using machine = await fakeMachine();
  await rebootByKexec(machine.exec);
  assert.deepEqual(await machine.calls(), ['systemctl kexec --no-wall']);
  await machine.failAt(2);
  await assert.rejects(rebootByKexec(machine.exec), { code: 'reboot-failed' });
});
