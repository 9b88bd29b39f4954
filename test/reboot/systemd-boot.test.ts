/** The systemd-boot backend reads and changes an ESP as systemd's own tools understand it. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SlotName, Version } from '../../src/model.ts';
import { compareRank } from '../../src/reboot/bootloaders/boot-order.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { entryKernels } from '../../src/reboot/kernels/entry-kernels.ts';
import { formatEntryName } from '../../src/reboot/kernels/entry-name.ts';
import { type Esp, readEsp } from '../../src/reboot/kernels/esp-entries.ts';
import { checkEspRoom, putUki } from '../../src/reboot/kernels/esp-writing.ts';
import { type Files, readPart, realFiles } from '../../src/system/files.ts';
import {
  type EspWorld,
  espWorld,
  incoming,
  PRODUCT,
  putFile,
  putVersion,
  rootHashOfVersion,
  sha256,
  uki,
} from '../support/esp.ts';
import { peFile } from '../support/pe.ts';

type Holds = Record<SlotName, string | undefined>;

async function inEsp(holds: Holds, files: Record<string, Uint8Array>, check: (esp: EspWorld) => Promise<void>) {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-esp-'));
  try {
    const esp = { ...espWorld(realFiles, dir, holds), readPart };
    for (const [file, bytes] of Object.entries(files)) await putFile(esp, file, bytes);
    await check(esp);
  } finally {
    await rm(dir, { recursive: true });
  }
}

const names = async (esp: EspWorld): Promise<string[]> => (await readdir(join(esp.dir, 'EFI/Linux'))).sort();

const BOTH: Holds = { a: '2', b: '1' };
const whole = uki('1');

const ORPHANS: Record<string, Uint8Array> = {
  'shop_5.efi': uki('5'),
  'shop_6.efi': whole.subarray(0, whole.length / 2),
  'shop_7.efi': new Uint8Array(0),
  'shop_8.efi': new Uint8Array(whole.length),
  'shop_9+x.efi': uki('2'),
  'SHOP_9.EFI': uki('2'),
  'shop_10.efi': peFile([['.cmdline', `roothash=${rootHashOfVersion('2')}`]]),
  'shop_11.efi': peFile([
    ['.osrel', 'ID=shop\n'],
    ['.cmdline', `roothash=${rootHashOfVersion('2')} roothash=${rootHashOfVersion('1')}`],
  ]),
  '.shop_12.efi.tandem-new': whole.subarray(0, 700),
};

test('files that belong to no slot are never next, and disabling a slot removes them', async () => {
  await inEsp(BOTH, { 'shop_2.efi': uki('2'), 'shop_1.efi': whole, ...ORPHANS, 'debian.efi': whole }, async (esp) => {
    const boot = systemdBoot(esp);
    const { next, slots } = await boot.read();
    assert.deepEqual([next, slots.a.version, slots.b.version], ['a', '2', '1']);
    await boot.disable('b');
    assert.deepEqual(await names(esp), ['debian.efi', 'shop_2.efi']);
  });
});

test('disabling a slot refuses while the other has nothing but a damaged entry', async () => {
  await inEsp(BOTH, { 'shop_2.efi': uki('2').subarray(0, 600), 'shop_1.efi': whole }, async (esp) => {
    await assert.rejects(systemdBoot(esp).disable('b'), { code: 'boot-no-fallback' });
    assert.deepEqual(await names(esp), ['shop_1.efi', 'shop_2.efi']);
  });
});

test('disabling a slot on an ESP that is not mounted refuses', async () => {
  await inEsp(BOTH, {}, async (esp) => {
    await assert.rejects(systemdBoot(esp).disable('b'), { code: 'boot-no-fallback' });
    await assert.rejects(
      checkEspRoom(esp, 'b', 1000, async () => 0),
      { code: 'boot-partition-missing', message: /mounted on/ },
    );
  });
});

test('a slot is not armed while the other is itself on trial', async () => {
  await inEsp({ a: '2', b: '3' }, { 'shop_2+2-1.efi': uki('2'), 'shop_3.efi': uki('3') }, async (esp) => {
    await assert.rejects(systemdBoot(esp).arm('b', 3), { code: 'boot-no-fallback', message: /unproven/ });
  });
});

test('a slot without a UKI can neither be armed nor confirmed', async () => {
  await inEsp(BOTH, { 'shop_2.efi': uki('2') }, async (esp) => {
    await assert.rejects(systemdBoot(esp).arm('b', 3), { code: 'boot-entry-missing' });
    await assert.rejects(systemdBoot(esp).confirm('b'), { code: 'boot-entry-missing' });
    await assert.rejects(systemdBoot(esp).arm('b', 0), RangeError);
  });
});

test('the names on the ESP during an update are those of boot counting', async () => {
  await inEsp({ a: '2', b: '3' }, { 'shop_2.efi': uki('2') }, async (esp) => {
    const boot = systemdBoot(esp);
    await putVersion(esp, '3');
    assert.deepEqual(await names(esp), ['.shop_3.efi.tandem-new', 'shop_2.efi']);
    assert.equal(await waitingFor(esp, 'b'), '3');
    assert.equal(await entryKernels(esp, async () => 0).rootHash('b'), rootHashOfVersion('3'));
    await boot.arm('b', 3);
    assert.deepEqual(await names(esp), ['shop_2.efi', 'shop_3+3.efi']);
    assert.equal(await waitingFor(esp, 'b'), undefined);
    assert.equal(await entryKernels(esp, async () => 0).rootHash('b'), rootHashOfVersion('3'));
    await boot.confirm('b');
    assert.deepEqual(await names(esp), ['shop_2.efi', 'shop_3.efi']);
    await boot.arm('a', 2);
    assert.deepEqual(await names(esp), ['shop_2+2.efi', 'shop_3+0-100.efi']);
    await boot.confirm('a');
    assert.deepEqual(await names(esp), ['shop_2.efi', 'shop_3+0-100.efi']);
  });
});

test('a UKI that waits for the other slot outlives a confirmation', async () => {
  await inEsp({ a: '2', b: '3' }, { 'shop_2.efi': uki('2') }, async (esp) => {
    await putVersion(esp, '3');
    await systemdBoot(esp).confirm('a');
    assert.equal(await waitingFor(esp, 'b'), '3');
  });
});

test('a confirmation that did not come about is noticed', async () => {
  await inEsp({ a: '2', b: '3' }, { 'shop_2.efi': uki('2'), 'shop_3+2-1.efi': uki('3') }, async (esp) => {
    const lying: Files = { ...realFiles, rename: async () => {} };
    await assert.rejects(systemdBoot({ ...esp, files: lying }).confirm('b'), { code: 'boot-confirm-failed' });
  });
});

test('a version that an entry has already is not put on the ESP', async () => {
  await inEsp({ a: '2', b: undefined }, { 'shop_2.efi': uki('2') }, async (esp) => {
    await assert.rejects(putVersion(esp, '2'), { code: 'boot-version-clash' });
    assert.deepEqual(await names(esp), ['shop_2.efi']);
  });
});

test('versions that the boot loader takes for equal are not armed', async () => {
  await inEsp({ a: '2', b: '02' }, { 'shop_2.efi': uki('2') }, async (esp) => {
    await putVersion(esp, '02');
    await assert.rejects(systemdBoot(esp).arm('b', 3), { code: 'boot-version-clash' });
  });
});

const good = uki('3');
const WRONG_UKIS: Record<string, Readonly<{ bytes: Uint8Array; code: string; promised?: Uint8Array }>> = {
  'shorter than promised': { bytes: good.subarray(0, 700), code: 'file-mismatch', promised: good },
  'longer than promised': { bytes: Buffer.concat([good, good]), code: 'file-mismatch', promised: good },
  'other than promised': { bytes: Buffer.from(good).fill(1, 600), code: 'file-mismatch', promised: good },
  'no UKI': { bytes: Buffer.alloc(700), code: 'uki-invalid' },
  'for another root': { bytes: uki('3', sha256('x')), code: 'uki-mismatch' },
};

for (const [what, { bytes, code, promised }] of Object.entries(WRONG_UKIS))
  test(`a UKI that is ${what} is refused and leaves nothing behind`, async () => {
    await inEsp({ a: '2', b: '3' }, { 'shop_2.efi': uki('2') }, async (esp) => {
      await assert.rejects(putUki(esp, incoming('3', promised ?? bytes), [bytes]), { code });
      assert.deepEqual(await names(esp), ['shop_2.efi']);
    });
  });

test('an ESP without room is named before the write', async () => {
  await inEsp(BOTH, { 'shop_2.efi': uki('2'), 'shop_1.efi': whole }, async (esp) => {
    await checkEspRoom(esp, 'b', 1_000_000, async () => 1_200_000);
    await assert.rejects(
      checkEspRoom(esp, 'b', 1_000_000, async () => 1_000_000),
      { code: 'esp-full', message: /1131072/ },
    );
    // What lies there for the slot itself is going to be removed.
    await checkEspRoom(esp, 'b', 1_000_000, async () => 1_131_072 - whole.length);
  });
});

// bootctl asks for an ESP that is a file system of its own.

type Listed = Readonly<{ id: string; triesLeft?: number; triesDone?: number }>;

async function bootctl(files: Record<string, Uint8Array>): Promise<Listed[]> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-bootctl-'));
  try {
    await mkdir(join(dir, 'from/EFI/Linux'), { recursive: true });
    await mkdir(join(dir, 'esp'));
    for (const [file, bytes] of Object.entries(files)) await writeFile(join(dir, 'from/EFI/Linux', file), bytes);
    const script =
      'mount -t tmpfs none esp && cp -r from/EFI esp && exec bootctl --esp-path="$PWD/esp" list --json=short';
    const { status, stdout, stderr, error } = spawnSync('unshare', ['--map-root-user', '--mount', 'sh', '-c', script], {
      cwd: dir,
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_RELAX_ESP_CHECKS: '1' },
    });
    assert.equal(status, 0, error?.message ?? stderr);
    // Older versions print an object a line, newer ones a list.
    const rows = stdout.split('\n').filter(Boolean);
    return rows.flatMap((row) => JSON.parse(row) as Listed | Listed[]).filter(({ id }) => id.startsWith(`${PRODUCT}_`));
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('bootctl reads the counters in our names, and orders the entries as we do', async () => {
  const counters = [
    undefined,
    { left: 3, done: 0 },
    { left: 0, done: 3 },
    { left: 0, done: 100 },
    { left: 2, done: 1 },
  ];
  const entries = ['1', '2', '2.1', '10', '9-1', '9', '9a', '9.a', '11', '0.9'].map((version, index) => {
    const counter = counters[index % counters.length];
    const name = { version: version as Version, ...(counter ? { counter } : {}) };
    return { ...name, id: formatEntryName(PRODUCT, { version: name.version }), sortKey: 'shop', osVersion: version };
  });
  const listed = await bootctl(
    Object.fromEntries(entries.map((one) => [formatEntryName(PRODUCT, one), uki(one.version)])),
  );
  assert.deepEqual(
    listed.map(({ id, triesLeft, triesDone }) => [
      id,
      triesLeft,
      triesLeft === undefined ? undefined : (triesDone ?? 0),
    ]),
    entries.sort(compareRank).map(({ id, counter }) => [id, counter?.left, counter?.done]),
  );
});

test('the order of entries is total, and an entry without tries never precedes one with', () => {
  const ranked = fc.record({
    id: fc.constantFrom('p_1.efi', 'p_2.efi', 'p_3.efi'),
    counter: fc.option(fc.record({ left: fc.nat(2), done: fc.nat(3) }), { nil: undefined }),
    sortKey: fc.constantFrom(undefined, 'p', 'q'),
    osVersion: fc.constantFrom(undefined, '1', '2'),
  });
  fc.assert(
    fc.property(ranked, ranked, (one, two) => {
      const [a, b] = [one, two].map(({ counter, ...rest }) => ({ ...rest, ...(counter ? { counter } : {}) }));
      assert.ok(a && b);
      assert.equal(compareRank(a, b) + compareRank(b, a), 0);
      if (a.counter?.left === 0 && b.counter?.left !== 0) assert.equal(compareRank(a, b), 1);
    }),
  );
});

const waitingFor = async (esp: Esp, slot: SlotName): Promise<Version | undefined> =>
  (await readEsp(esp)).waiting.find((one) => one.slot === slot)?.version;
