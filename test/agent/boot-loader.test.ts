/** The boot loader that the configuration names, and how often it may try. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBootLoader, triesToArm } from '../../src/agent/boot-loader.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { UpdateError } from '../../src/errors.ts';
import { type BootFiles, bootFiles } from '../../src/reboot/bootloaders/boot-files.ts';
import type { BootBackend } from '../../src/reboot/bootloaders/bootloader.ts';
import type { AttributeTable } from '../../src/reboot/bootloaders/gpt-attributes.ts';
import { type Files, readPartOf, writePartOf } from '../../src/system/files.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { realExec } from '../../src/system/process/exec.ts';
import { PRODUCT, uki } from '../support/esp.ts';
import { noFiles } from '../support/no-files.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

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
const outside = (files: Files): BootFiles => ({
  files,
  readPart: readPartOf(files),
  writePart: writePartOf(files),
  writableSpace: async () => 0,
});
const opened = (word: string, files: Files = noFiles, more: Partial<BootFiles> = {}) =>
  openBootLoader(
    config(`backend = "${word}"\nesp = "/efi"\nprogram = "/p"\ntryboot_dir = "/efi/autoboot"`),
    { ...outside(files), ...more, exec: realExec, log: silentLog },
    {
      product: PRODUCT,
      slotOfRootHash: async () => undefined,
      attributes: {} as AttributeTable,
      placeOf: undefined as never,
    },
  );

for (const [word, name] of Object.entries(NAMES))
  test(`${word} opens ${name}`, () => {
    assert.equal(opened(word).backend.name, name);
  });

/** As the kernel reports it to Node.js. */
const systemError = (code: string): Error =>
  Object.assign(new Error(code), { code, syscall: 'open', path: '/efi/EFI/x' });

const FAULTS = {
  EROFS: 'boot-partition-read-only',
  EACCES: 'boot-partition-read-only',
  ENOENT: 'boot-partition-missing',
  ENOSPC: 'esp-full',
  EDQUOT: 'esp-full',
  EIO: 'boot-partition-failed',
};
for (const word of Object.keys(NAMES))
  for (const [errno, code] of Object.entries(FAULTS))
    test(`${word}: what a system call on a boot partition met has a name (${errno})`, async () => {
      const failing = async (): Promise<never> => Promise.reject(systemError(errno));
      const { kernels } = opened(word, { ...noFiles, list: failing });
      await assert.rejects(kernels.removeParts(), { code, message: /\/efi\/EFI\/x/ });
    });

const FOREIGN: Readonly<Record<string, Record<string, string>>> = {
  'nothing is mounted': {},
  'another file system is mounted': { '/efi/EFI/BOOT/BOOTX64.EFI': 'x', '/efi/autoboot/README': 'x' },
  'the ESP of another host is mounted': { '/efi/EFI/Linux/till_7.efi': 'x', '/efi/EFI/tandem/README': 'x' },
};
for (const word of Object.keys(NAMES).filter((one) => one !== 'program'))
  for (const [what, content] of Object.entries(FOREIGN))
    test(`${word}: where ${what}, nobody knows what the boot loader knows`, async () => {
      const files = new Map(Object.entries(content).map(([path, text]) => [path, Buffer.from(text)]));
      const { backend, kernels } = opened(word, new RecordingDisk({ files }).files);
      await assert.rejects(backend.read(), { code: 'boot-partition-missing' });
      await assert.rejects(kernels.checkRoom('b', 1000), { code: 'boot-partition-missing' });
    });

test('what fails on its way to a boot partition keeps its own name', async () => {
  const write = async (_: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> => {
    for await (const _chunk of chunks);
  };
  const drained = bootFiles(outside({ ...noFiles, write }));
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(1);
    throw new UpdateError('connection-lost');
  }
  await assert.rejects(drained.files.write('/efi/x', broken()), { code: 'connection-lost' });
});

test('a boot partition that cannot be written is found out before a byte of the slot is', async () => {
  const disk = new RecordingDisk({ files: new Map([['/efi/EFI/tandem/a.efi', uki('1')]]) });
  const writableSpace = async (): Promise<never> => Promise.reject(systemError('EROFS'));
  const { kernels } = opened('grub', disk.files, { writableSpace });
  await assert.rejects(kernels.checkRoom('b', 1000), { code: 'boot-partition-read-only' });
  assert.deepEqual(disk.log, []);
});
