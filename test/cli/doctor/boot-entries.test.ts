/** What doctor says of the slots, with the boot loaders that report them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeEntries } from '../../../src/cli/doctor/boot-entries.ts';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import type { SlotName, Version } from '../../../src/model.ts';
import type { BootBackend } from '../../../src/reboot/bootloaders/bootloader.ts';
import { flagsBackend } from '../../../src/reboot/bootloaders/flags-backend.ts';
import { unknownFlags } from '../../../src/reboot/bootloaders/grub-flags.ts';
import type { SlotFlag, SlotFlags } from '../../../src/reboot/bootloaders/slot-flags.ts';
import { efiBench } from '../../support/efi-variables.ts';
import { rootHashOfVersion } from '../../support/esp.ts';

const PROVEN: SlotFlag = { bootable: true, successful: true, tries: 0 };
const TRIED: SlotFlag = { bootable: true, successful: false, tries: 2 };
const NEVER: SlotFlag = { bootable: false, successful: false, tries: 0 };

const withFlags = (flags: SlotFlags): BootBackend =>
  flagsBackend(
    { name: 'GRUB', mostTries: 9, load: async () => flags, save: async () => {} },
    async () => '1' as Version,
  );

/** `kernels` names the slots that have one. */
const judge = (backend: BootBackend, booted: SlotName, kernels = 'ab', tries = 1): Promise<Finding> => {
  const rootHash = async (slot: SlotName) => (kernels.includes(slot) ? rootHashOfVersion(slot) : undefined);
  return judgeEntries(booted, { backend, kernels: { rootHash } }, tries);
};

const isTrial = ({ result, sentence, next }: Finding, what: RegExp): void => {
  assert.equal(result, 'warn', sentence);
  assert.match(sentence, /^The running slot b is on trial/);
  assert.match(next ?? '', what);
};

test('a proven slot with another behind it is right, whichever is first in name', async () => {
  const flags = { first: 'b', slots: { a: PROVEN, b: PROVEN } } as const;
  assert.match((await judge(withFlags(flags), 'b')).sentence, /^Slot b is proven; slot a is the fallback\.$/);
});

test('a slot on trial is told with what comes of it', async () => {
  const flags = { first: 'b', slots: { a: PROVEN, b: TRIED } } as const;
  isTrial(await judge(withFlags(flags), 'b'), /falls back to slot a: `updatectl wait-confirmed`/);
});

test('a slot on trial is no less so where the firmware has forgotten the try', async () => {
  const { backend, install, start, ...bench } = await efiBench();
  await install('b', '3' as Version);
  await backend.arm('b', 1);
  assert.equal(await start(), 'b');
  assert.equal((await backend.read()).slots.b.bootable, false);
  isTrial(await judge(backend, 'b'), /falls back to slot a/);
  await backend.confirm('b');
  assert.equal((await judge(backend, 'b')).result, 'ok');
  await bench[Symbol.asyncDispose]();
});

test('where GRUB’s flags are lost that is what is said, and what repairs it', async () => {
  const { result, sentence, next } = await judge(withFlags(unknownFlags()), 'b');
  assert.equal(result, 'fail');
  assert.match(sentence, /^GRUB has lost its flags for the slots/);
  assert.match(next ?? '', /systemctl start tandem-agent/);
});

test('a way back needs its kernel, too', async () => {
  isTrial(await judge(withFlags({ first: 'b', slots: { a: PROVEN, b: TRIED } }), 'b', 'b'), /there is no fallback/);
  const { result, sentence } = await judge(withFlags({ first: 'b', slots: { a: PROVEN, b: PROVEN } }), 'b', 'b');
  assert.deepEqual([result, sentence], ['warn', 'Slot a holds nothing bootable.']);
  const disabled = await judge(withFlags({ first: 'b', slots: { a: NEVER, b: PROVEN } }), 'b');
  assert.deepEqual([disabled.result, disabled.sentence], ['warn', 'Slot a holds nothing bootable.']);
});

test('a slot that runs and has no kernel would not start again, whatever the flags say', async () => {
  for (const b of [PROVEN, TRIED, NEVER]) {
    const { result, sentence } = await judge(withFlags({ first: 'b', slots: { a: PROVEN, b } }), 'b', 'a');
    assert.deepEqual([result, sentence], ['fail', 'The running slot b has lost its kernel and cannot start again.']);
  }
});

test('another slot that comes first, and tries beyond what can be counted, are told', async () => {
  const flags = { first: 'a', slots: { a: TRIED, b: PROVEN } } as const;
  assert.match((await judge(withFlags(flags), 'b')).sentence, /The next boot starts slot a/);
  const proven = { first: 'b', slots: { a: PROVEN, b: PROVEN } } as const;
  assert.match((await judge(withFlags(proven), 'b', 'ab', 10)).sentence, /GRUB counts at most 9/);
});
