/** The boot loader that the configuration names, and how often it may try. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBootLoader, triesToArm } from '../../src/agent/boot-loader.ts';
import { resolveConfig } from '../../src/config.ts';
import type { BootBackend } from '../../src/reboot/bootloaders/bootloader.ts';
import type { Log } from '../../src/system/log.ts';

const config = (boot: string) => resolveConfig([{ path: 'test', text: `[boot]\n${boot}\n` }]);
const counting = (mostTries: number) => ({ name: 'tryboot', mostTries }) as BootBackend;

function warnings(): { log: Log; said: string[] } {
  const said: string[] = [];
  return { said, log: { warn: (_: unknown, sentence: string) => said.push(sentence) } as unknown as Log };
}

test('a boot loader that counts fewer tries is armed with the most it can, and the log says so', () => {
  const { log, said } = warnings();
  assert.equal(triesToArm(config('tries = 3'), counting(1), log), 1);
  assert.deepEqual(said, ['boot.tries is more than tryboot can count']);
});

test('a boot loader that counts enough is armed as configured, without a word', () => {
  const { log, said } = warnings();
  assert.equal(triesToArm(config('tries = 3'), counting(3), log), 3);
  assert.deepEqual(said, []);
});

const NAMES = {
  'systemd-boot': 'systemd-boot',
  grub: 'GRUB',
  uboot: 'U-Boot',
  'efi-variables': 'efi-variables',
  gpt: 'gpt',
  tryboot: 'tryboot',
  program: 'program',
};
for (const [word, name] of Object.entries(NAMES))
  test(`${word} opens ${name}`, () => {
    const { backend } = openBootLoader(config(`backend = "${word}"\nprogram = "/p"`), {} as never, {} as never);
    assert.equal(backend.name, name);
  });
