/** The flags in the partition table, against those who read them: cgpt, sgdisk, sfdisk, and GRUB's rule; power may fail at any byte. */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { SLOT_NAMES, type SlotName } from '../../src/model.ts';
import { readTable } from '../../src/partitions/partition-table.ts';
import { setAttributes } from '../../src/partitions/slot-identity.ts';
import { flagsBackend } from '../../src/reboot/bootloaders/flags-backend.ts';
import { flagsOf, gptStore, withFlags } from '../../src/reboot/bootloaders/gpt-attributes.ts';
import { nextSlot, type SlotFlags } from '../../src/reboot/bootloaders/slot-flags.ts';
import { cgptFlags, chosenOf, type GptFlags, gptMachine, setFlags, startSlot } from '../support/gpt-machine.ts';
import { sh } from '../support/loop-disk.ts';
import { RecordingDisk } from '../support/recording-disk.ts';
import { conformance } from './backend-conformance.ts';

conformance('gpt', gptMachine);

describe('the bits are the ones that other programs read', () => {
  test('what is armed is so for cgpt, and what cgpt says is so for us', async () => {
    await using machine = await gptMachine();
    await machine.backend.disable('b');
    assert.deepEqual(cgptFlags(machine.disk, 'b'), { priority: 0, tries: 0, successful: false });
    await machine.install('b', '3' as never);
    await machine.backend.arm('b', 15);
    assert.deepEqual(cgptFlags(machine.disk, 'b'), { priority: 15, tries: 15, successful: false });
    assert.deepEqual(cgptFlags(machine.disk, 'a'), { priority: 14, tries: 0, successful: true });
    setFlags(machine.disk, 'b', { priority: 9 });
    const { next, slots } = await machine.backend.read();
    assert.deepEqual([next, slots.b.triesLeft], ['a', 15]);
  });

  test('sgdisk and sfdisk see the same bits, and find no fault with the table', async () => {
    await using machine = await gptMachine();
    await machine.install('b', '3' as never);
    await machine.backend.arm('b', 3);
    const seen = sh('sgdisk', '--attributes=4:show', machine.disk).matchAll(/^4:(\d+):1/gm);
    assert.deepEqual(
      [...seen].map(([, bit]) => Number(bit)),
      [48, 49, 50, 51, 52, 53],
    );
    assert.match(sh('sfdisk', '--json', machine.disk), /"attrs": "GUID:48,49,50,51,52,53"/);
    assert.match(sh('sgdisk', '--verify', machine.disk), /No problems found/);
    assert.match(sh('sfdisk', '--verify', machine.disk), /No errors detected/);
  });

  test('bits that are not ours stay as they are', async () => {
    await using machine = await gptMachine();
    for (const bit of [0, 2, 47, 57, 60, 63]) sh('sgdisk', `--attributes=4:set:${bit}`, machine.disk);
    await machine.install('b', '3' as never);
    await machine.backend.arm('b', 1);
    await machine.backend.disable('b');
    const seen = sh('sgdisk', '--attributes=4:show', machine.disk).matchAll(/^4:(\d+):1/gm);
    assert.deepEqual(
      [...seen].map(([, bit]) => Number(bit)),
      [0, 2, 47, 57, 60, 63],
    );
  });
});

const bits = fc.record({ priority: fc.nat(15), tries: fc.nat(15), successful: fc.boolean() });
const attributesOf = ({ priority, tries, successful }: GptFlags): bigint =>
  (BigInt(priority) << 48n) | (BigInt(tries) << 52n) | (successful ? 1n << 56n : 0n);

test('whatever bits there are, what comes next is what the boot loader takes', () => {
  fc.assert(
    fc.property(bits, bits, fc.boolean(), (a, b, isAFirst) => {
      const numbers = isAFirst ? { a: 2, b: 4 } : { a: 4, b: 2 };
      const flags = flagsOf({
        a: { number: numbers.a, attributes: attributesOf(a) },
        b: { number: numbers.b, attributes: attributesOf(b) },
      });
      const slots = [
        { slot: 'a' as const, ...a },
        { slot: 'b' as const, ...b },
      ];
      assert.equal(nextSlot(flags), chosenOf(isAFirst ? slots : slots.toReversed()));
    }),
  );
});

test('flags that were written read as they were meant, whatever other bits there are', () => {
  const flag = fc.oneof(
    fc.constant({ bootable: false, successful: false, tries: 0 }),
    fc.record({ bootable: fc.constant(true), successful: fc.boolean(), tries: fc.nat(15) }, { noNullPrototype: true }),
  );
  const before = fc.record({ number: fc.nat(128), attributes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) });
  fc.assert(
    fc.property(flag, flag, before, before, fc.constantFrom('a' as const, 'b' as const), (a, b, nowA, nowB, first) => {
      // What cannot start is never preferred.
      fc.pre((first === 'a' ? a : b).bootable);
      const wanted: SlotFlags = { first, slots: { a, b } };
      const bytes = withFlags({ a: nowA, b: nowB }, wanted);
      const read = flagsOf({ a: { ...nowA, attributes: bytes.a }, b: { ...nowB, attributes: bytes.b } });
      assert.deepEqual(read, wanted);
    }),
  );
});

type Deed = Readonly<{ name: string; before: SlotFlags; after: SlotFlags }>;
const PROVEN = { bootable: true, successful: true, tries: 0 };
const NEVER = { bootable: false, successful: false, tries: 0 };
const TRYING = { bootable: true, successful: false, tries: 3 };
const DEEDS: readonly Deed[] = [
  {
    name: 'disabling',
    before: { first: 'a', slots: { a: PROVEN, b: PROVEN } },
    after: { first: 'a', slots: { a: PROVEN, b: NEVER } },
  },
  {
    name: 'arming',
    before: { first: 'a', slots: { a: PROVEN, b: NEVER } },
    after: { first: 'b', slots: { a: PROVEN, b: TRYING } },
  },
  {
    name: 'counting a try',
    before: { first: 'b', slots: { a: PROVEN, b: TRYING } },
    after: { first: 'b', slots: { a: PROVEN, b: { ...TRYING, tries: 2 } } },
  },
  {
    name: 'confirming',
    before: { first: 'b', slots: { a: PROVEN, b: TRYING } },
    after: { first: 'b', slots: { a: PROVEN, b: PROVEN } },
  },
  {
    name: 'going back from a slot that was proven',
    before: { first: 'b', slots: { a: PROVEN, b: PROVEN } },
    after: { first: 'a', slots: { a: PROVEN, b: PROVEN } },
  },
  {
    name: 'arming the slot that was left',
    before: { first: 'b', slots: { a: PROVEN, b: PROVEN } },
    after: { first: 'a', slots: { a: { ...TRYING, tries: 15 }, b: PROVEN } },
  },
];
const DAMAGES = {
  'a whole table': undefined,
  'a table without its first copy': 'primary',
  'a table without its backup': 'backup',
} as const;

for (const { name, before, after } of DEEDS)
  for (const [state, damage] of Object.entries(DAMAGES))
    test(`${name}, on ${state}: power may fail at every byte, and the old flags or the new ones are there`, async (t) => {
      const start = await diskWith(before, damage);
      const run = new RecordingDisk({ disk: start });
      await changed(run, after);
      const allowed = [before, after].map((flags) => JSON.stringify(flags));
      let cases = 0;
      for (const disk of everyTear(start, run)) {
        const found = JSON.stringify(grubReads(disk));
        assert.ok(allowed.includes(found), `neither old nor new: ${found}`);
        cases++;
      }
      assert.deepEqual(grubReads(run.bytes()), after);
      t.diagnostic(`${cases} torn states`);
    });

test('power fails at every sector of an arming: cgpt, sgdisk and sfdisk read the old flags or the new ones', async (t) => {
  const { before, after } = DEEDS[1] as Deed;
  await using machine = await gptMachine();
  const start = await diskWith(before);
  const run = new RecordingDisk({ disk: start });
  await changed(run, after);
  const answers = (): string[] => [
    JSON.stringify([cgptFlags(machine.disk, 'a'), cgptFlags(machine.disk, 'b')]),
    sh('sgdisk', '--attributes=2:show', '--attributes=4:show', machine.disk).replaceAll(/^(?!\d+:\d+:).*\n/gm, ''),
    sh('sfdisk', '--json', machine.disk).replaceAll(/^(?!.*"attrs").*\n/gm, ''),
  ];
  await writeFile(machine.disk, start);
  const old = answers();
  await writeFile(machine.disk, run.bytes());
  const fresh = answers();
  assert.notDeepEqual(old, fresh);
  const seen = new Set<string>();
  for (const disk of everyTear(start, run, 512)) {
    const content = Buffer.from(disk);
    const key = `${crc32(content)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    await writeFile(machine.disk, content);
    const [cgpt, sgdisk, sfdisk] = answers();
    assert.ok([old[0], fresh[0]].includes(cgpt), `torn for cgpt: ${cgpt}`);
    // Where a header is erased it lists nothing at all.
    assert.ok([old[1], fresh[1], ''].includes(sgdisk), `torn for sgdisk: ${sgdisk}`);
    assert.ok([old[2], fresh[2]].includes(sfdisk), `torn for sfdisk: ${sfdisk}`);
    const next = chosenOf(SLOT_NAMES.map((slot) => ({ slot, ...cgptFlags(machine.disk, slot) })));
    sh('cgpt', 'repair', machine.disk);
    assert.equal(startSlot(machine.disk), next, 'a repair has changed what starts');
  }
  t.diagnostic(`${seen.size} different disks, three tools`);
});

/** GRUB and cgpt repair from whichever copy is whole; then the next change must find it as they left it. */
test('a table that cgpt has repaired is changed like any other', async () => {
  await using machine = await gptMachine();
  await machine.install('b', '3' as never);
  const bytes = await readFile(machine.disk);
  bytes[512 + 60] = (bytes[512 + 60] ?? 0) ^ 1;
  await writeFile(machine.disk, bytes);
  await machine.backend.arm('b', 2);
  sh('cgpt', 'repair', machine.disk);
  assert.deepEqual([await machine.start(), await machine.start(), await machine.start()], ['b', 'b', 'a']);
});

test('a table with both copies bad is refused and not written', async () => {
  await using machine = await gptMachine();
  const bytes = await readFile(machine.disk);
  for (const at of [512, bytes.length - 512]) bytes[at + 60] = (bytes[at + 60] ?? 0) ^ 1;
  await writeFile(machine.disk, bytes);
  await assert.rejects(machine.backend.disable('b'), { code: 'table-invalid' });
  assert.deepEqual(await readFile(machine.disk), bytes);
});

/** A disk as sfdisk makes it, with these flags, and one copy of its table damaged. */
async function diskWith(flags: SlotFlags, damage?: 'primary' | 'backup'): Promise<Uint8Array> {
  await using machine = await gptMachine();
  const run = new RecordingDisk({ disk: await readFile(machine.disk) });
  await changed(run, flags);
  const bytes = run.bytes().slice();
  const at = damage === 'primary' ? 512 + 60 : damage === 'backup' ? bytes.length - 512 + 60 : undefined;
  if (at !== undefined) bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

async function changed(run: RecordingDisk, flags: SlotFlags): Promise<void> {
  const roots = async () => {
    const { diskGuid: guid, entries } = await readTable(run.disk, [512]);
    const of = (label: string) => {
      const entry = entries.find((one) => one.label === label);
      assert.ok(entry);
      return { ...entry, path: 'disk' };
    };
    return { disk: { path: 'disk', guid, sectorSize: 512 }, a: of('root-a'), b: of('root-b') };
  };
  const store = gptStore({
    read: roots,
    write: async (wanted: Record<SlotName, bigint>) => {
      const { disk, a, b } = await roots();
      await setAttributes(
        disk,
        [
          [a, wanted.a],
          [b, wanted.b],
        ],
        async () => run.disk,
      );
    },
  });
  await store.save(flags);
  assert.deepEqual(await store.load(), flags);
  assert.equal(flagsBackend(store, async () => undefined).mostTries, 15);
}

/**
 * The disk after each write that was begun: its first `n` bytes are new, for every n; in the other order, its last `n`; or its first `n`
 * and the rest of that sector is erased. A write may come to the medium before an earlier one that was not flushed.
 */
function* everyTear(start: Uint8Array, run: RecordingDisk, step = 1): Generator<Uint8Array> {
  const disk = start.slice();
  let pending: { offset: number; bytes: Uint8Array }[] = [];
  for (const op of run.log) {
    if (op.op === 'flush') pending = [];
    if (op.op !== 'block') continue;
    for (const skipped of [undefined, ...pending]) {
      const base = disk.slice();
      if (skipped) base.set(skipped.bytes, skipped.offset);
      yield* tornFromEitherEnd(base.slice(), op, step);
      yield* erased(base.slice(), op, step);
    }
    pending.push({ offset: op.offset, bytes: disk.slice(op.offset, op.offset + op.bytes.length) });
    disk.set(op.bytes, op.offset);
  }
  yield disk;
}

type Write = Readonly<{ offset: number; bytes: Uint8Array }>;

/** Only bytes that change make another state. */
function* tornFromEitherEnd(disk: Uint8Array, { offset, bytes }: Write, step: number): Generator<Uint8Array> {
  const old = disk.slice(offset, offset + bytes.length);
  const front = Array.from({ length: bytes.length / step }, (_, index) => index * step);
  for (const places of [front, front.toReversed()]) {
    disk.set(old, offset);
    yield disk;
    for (const at of places) {
      const piece = bytes.subarray(at, at + step);
      if (Buffer.compare(piece, disk.subarray(offset + at, offset + at + step)) === 0) continue;
      disk.set(piece, offset + at);
      yield disk;
    }
  }
}

/** In a sector that does not change, erasing it whole stands for all. */
function* erased(disk: Uint8Array, { offset, bytes }: Write, step: number): Generator<Uint8Array> {
  for (let sector = 0; sector < bytes.length; sector += 512) {
    const fresh = bytes.subarray(sector, sector + 512);
    const old = disk.slice(offset + sector, offset + sector + 512);
    const changes = Buffer.compare(fresh, old) !== 0;
    if (!changes && step > 1) continue;
    for (let done = 0; done < (changes ? 512 : 1); done += step) {
      disk.set(fresh.subarray(0, done), offset + sector);
      disk.fill(0, offset + sector + done, offset + sector + 512);
      yield disk;
    }
    disk.set(fresh, offset + sector);
  }
}

/** As GRUB's `gpt.c` reads: the first copy, unless its header or its entries are bad; the backup then. Written apart from ours. */
function grubReads(disk: Uint8Array): SlotFlags {
  const view = new DataView(disk.buffer, disk.byteOffset, disk.byteLength);
  const entriesOf = (header: number): number | undefined => {
    const bytes = disk.slice(header, header + 92);
    const crc = new DataView(bytes.buffer).getUint32(16, true);
    bytes.fill(0, 16, 20);
    if (Buffer.from(bytes.subarray(0, 8)).toString() !== 'EFI PART' || crc32(bytes) !== crc) return undefined;
    const at = Number(view.getBigUint64(header + 72, true)) * 512;
    return crc32(disk.subarray(at, at + 128 * 128)) === view.getUint32(header + 88, true) ? at : undefined;
  };
  const entries = entriesOf(512) ?? entriesOf(disk.length - 512);
  assert.ok(entries !== undefined, 'no copy is whole');
  const of = (number: number) => ({ number, attributes: view.getBigUint64(entries + (number - 1) * 128 + 48, true) });
  return flagsOf({ a: of(2), b: of(4) });
}
