/** A Raspberry Pi's autoboot.txt: what its firmware reads, whatever a power cut leaves of the file. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { SlotName } from '../../src/model.ts';
import { AUTOBOOT_SIZE, formatAutoboot, parseAutoboot } from '../../src/reboot/bootloaders/autoboot-file.ts';
import {
  armed,
  confirmed,
  disabled,
  nextSlot,
  type SlotFlag,
  type SlotFlags,
  tried,
} from '../../src/reboot/bootloaders/slot-flags.ts';
import { trybootStore } from '../../src/reboot/bootloaders/tryboot.ts';
import { sh } from '../support/loop-disk.ts';
import { RecordingDisk } from '../support/recording-disk.ts';
import { tornFiles } from '../support/torn-files.ts';
import { FIRST_AUTOBOOT, firmwareStarts, trybootMachine } from '../support/tryboot-machine.ts';
import { conformance } from './backend-conformance.ts';

conformance('tryboot', trybootMachine, 1);

const PARTITIONS = { a: 2, b: 3 };
const PROVEN: SlotFlag = { bootable: true, successful: true, tries: 0 };
const NEVER: SlotFlag = { bootable: false, successful: false, tries: 0 };
const TRIED: SlotFlag = { bootable: true, successful: false, tries: 0 };
const TRYING: SlotFlag = { ...TRIED, tries: 1 };
const states: readonly SlotFlags[] = [PROVEN, NEVER, TRIED, TRYING].flatMap((other) => [
  { first: 'a', slots: { a: PROVEN, b: other } },
  ...(other.bootable ? [{ first: 'b' as const, slots: { a: PROVEN, b: other } }] : []),
  { first: 'b', slots: { a: other, b: PROVEN } },
]);

test('every state reads as it was written, and the firmware starts what comes next', () => {
  for (const flags of states) {
    const bytes = formatAutoboot(flags, PARTITIONS);
    assert.equal(bytes.length, AUTOBOOT_SIZE);
    assert.deepEqual(parseAutoboot(bytes, PARTITIONS), flags);
    const proven = nextSlot(flags) === flags.first && flags.slots[flags.first].successful;
    assert.equal(firmwareStarts(bytes, true), nextSlot(flags));
    if (proven) assert.equal(firmwareStarts(bytes, false), flags.first);
    else assert.equal(flags.slots[firmwareStarts(bytes, false) ?? 'a'].successful, true);
  }
});

test('with no proven slot nothing is written, since the firmware could not fall back', () => {
  const flags: SlotFlags = { first: 'a', slots: { a: TRYING, b: NEVER } };
  assert.throws(() => formatAutoboot(flags, PARTITIONS), { code: 'boot-no-fallback' });
});

test('power may fail at any byte of any change: each slot is in its old state or its new one, and the firmware falls back', async (t) => {
  let cases = 0;
  let changes = 0;
  for (const before of states)
    for (const after of changesOf(before)) {
      changes++;
      const path = '/fat/autoboot.txt';
      const run = tornFiles(new Map([[path, formatAutoboot(before, PARTITIONS)]]));
      await storeOn(run as never).save(after);
      for (const cut of run.cuts()) {
        checkTorn(cut.get(path) ?? new Uint8Array(0), before, after);
        cases++;
      }
      assert.deepEqual(parseAutoboot(run.now().get(path) ?? new Uint8Array(0), PARTITIONS), after);
    }
  t.diagnostic(`${cases} torn states of ${changes} changes`);
});

/** What the verbs make of a state. */
function changesOf(before: SlotFlags): readonly SlotFlags[] {
  const verbs = (['a', 'b'] as const).flatMap((slot) => [
    () => disabled(before, slot),
    () => armed(before, slot, 1),
    () => confirmed(before, slot),
    () => tried(before, slot),
  ]);
  return verbs.flatMap((verb) => {
    try {
      const after = verb();
      formatAutoboot(after, PARTITIONS);
      return [after];
    } catch {
      return [];
    }
  });
}

/** Whatever is torn: nobody is started without counting who was not proven before or after. */
function checkTorn(bytes: Uint8Array, before: SlotFlags, after: SlotFlags): void {
  const found = parseAutoboot(bytes, PARTITIONS);
  const said = Buffer.from(bytes).toString().trim();
  const cold = firmwareStarts(bytes, false) ?? assert.fail(`nothing starts: ${said}`);
  assert.ok(before.slots[cold].successful || after.slots[cold].successful, `${cold} starts unproven: ${said}`);
  assert.equal(found.slots[cold].successful, true, said);
  assert.ok(
    [before, after].some((flags) => firmwareStarts(formatAutoboot(flags, PARTITIONS), false) === cold),
    said,
  );
  for (const slot of ['a', 'b'] as const)
    assert.ok(
      [before, after].some(({ slots }) => isDeepStrictEqual(slots[slot], found.slots[slot])),
      said,
    );
  const asked = firmwareStarts(bytes, true) ?? assert.fail(`nothing is tried: ${said}`);
  if (asked !== cold)
    assert.ok(
      [before, after].some((flags) => firmwareTries(flags) === asked),
      said,
    );
}

const firmwareTries = (flags: SlotFlags): SlotName | undefined =>
  firmwareStarts(formatAutoboot(flags, PARTITIONS), true);

test('a change is durable when it is told to be, and not without its sync', async () => {
  const path = '/fat/autoboot.txt';
  const [before, after] = [states[0] as SlotFlags, states[2] as SlotFlags];
  const last = async (dropSync: number): Promise<Uint8Array | undefined> => {
    const run = tornFiles(new Map([[path, formatAutoboot(before, PARTITIONS)]]), dropSync);
    await storeOn(run as never).save(after);
    assert.equal(run.syncs(), 1);
    return Buffer.from([...run.cuts()].at(-1)?.get(path) ?? []);
  };
  assert.deepEqual(await last(-1), formatAutoboot(after, PARTITIONS));
  assert.notDeepEqual(await last(0), formatAutoboot(after, PARTITIONS));
});

test('a file that somebody else has written becomes ours by a rename, and is the old one or the new one', async (t) => {
  const path = '/fat/autoboot.txt';
  const run = new RecordingDisk({ files: new Map([[path, Buffer.from(FIRST_AUTOBOOT)]]), dirs: ['/fat'] });
  const read = async (disk: RecordingDisk) => (await disk.files.read(path)) ?? new Uint8Array(0);
  const store = trybootStore({
    files: run.files,
    readPart: async () => ({ bytes: await read(run), size: (await read(run)).length }),
    writePart: async () => assert.fail('a file of another length was written in place'),
    dir: '/fat',
    partitions: PARTITIONS,
  });
  const after = states.at(-1) as SlotFlags;
  await store.save(after);
  let cases = 0;
  for (const { world } of run.crashStates(3, 20)) {
    const bytes = Buffer.from(await read(world));
    const isOld = bytes.toString() === FIRST_AUTOBOOT;
    assert.ok(isOld || bytes.equals(formatAutoboot(after, PARTITIONS)));
    cases++;
  }
  t.diagnostic(`${cases} power cuts`);
});

test('what an image builder or another update service has written is understood', () => {
  assert.deepEqual(parseAutoboot(Buffer.from(FIRST_AUTOBOOT), PARTITIONS), {
    first: 'a',
    slots: { a: PROVEN, b: NEVER },
  });
  const text =
    '# ours\r\n[all]\r\n tryboot_a_b=1\r\nboot_partition=2 # a\r\nboot_partition=3\r\n[none]\r\nboot_partition=9\r\n';
  assert.equal(parseAutoboot(Buffer.from(text), PARTITIONS).first, 'b');
});

for (const filter of [
  'partition=1',
  'board-type=0x14',
  'gpio4=1',
  'pi3+',
  '0x12345678',
  'EDID=VSC-TD2220',
  'none',
  'ALL',
  'all',
  '',
])
  test(`what stands below [${filter}] counts for ${filter === 'all' ? 'every start' : 'no start that we know of'}`, () => {
    const text = `[all]\nboot_partition=2\n[tryboot]\nboot_partition=3\n[${filter}]\nboot_partition=2\n# tandem a=+ b=1\n`;
    const { first, slots } = parseAutoboot(Buffer.from(text), PARTITIONS);
    assert.deepEqual([first, slots.a, slots.b], [filter === 'all' ? 'a' : 'b', PROVEN, TRYING]);
  });

test('filters add up until [all] takes them back', () => {
  const text = '[all]\nboot_partition=2\n[board-type=0x14]\n[tryboot]\nboot_partition=3\n# tandem a=+ b=1\n';
  const read = (bytes: string) => parseAutoboot(Buffer.from(bytes), PARTITIONS).first;
  assert.deepEqual([read(text), read(text.replace('[tryboot]', '[all]\n[tryboot]'))], ['a', 'b']);
});

const BAD: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['nothing', new Uint8Array(0)],
  ['another partition', Buffer.from('[all]\nboot_partition=7\n')],
  ['only a section that does not apply', Buffer.from('[tryboot]\nboot_partition=2\n')],
  ['more than the firmware reads', Buffer.from(FIRST_AUTOBOOT.padEnd(513, '\n'))],
];
for (const [name, bytes] of BAD)
  test(`an autoboot.txt with ${name} is refused`, () => {
    assert.throws(() => parseAutoboot(bytes, PARTITIONS), { code: 'boot-environment' });
  });

test('whatever bytes there are, they are understood or refused by name', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.string({ maxLength: 300 })), (any) => {
      const bytes = typeof any === 'string' ? Buffer.from(`[all]\nboot_partition=2\n${any}`) : any;
      try {
        const { first, slots } = parseAutoboot(bytes, PARTITIONS);
        assert.ok(slots[first].bootable);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'boot-environment');
      }
    }),
  );
});

test('a missing autoboot.txt is refused by name', async () => {
  await assert.rejects(storeOn(tornFiles(new Map()) as never).load(), { code: 'boot-partition-missing' });
  const mounted = tornFiles(new Map([['/fat/start4.elf', new Uint8Array(1)]]));
  await assert.rejects(storeOn(mounted as never).load(), { code: 'boot-environment' });
});

test('the file system stays whole, and the file where it is, through an update', async () => {
  await using machine = await trybootMachine();
  await machine.backend.disable('b');
  const place = sh('mshowfat', '-i', machine.fat.path, '::/autoboot.txt');
  await machine.install('b', '3' as never);
  await machine.backend.arm('b', 1);
  assert.equal(await machine.start(), 'b');
  await machine.backend.confirm('b');
  assert.equal(sh('mshowfat', '-i', machine.fat.path, '::/autoboot.txt'), place);
  sh('fsck.vfat', '-n', machine.fat.path);
  assert.deepEqual(machine.fat.list(), ['autoboot.txt']);
});

test('an armed slot is tried only when the firmware is told so: any other restart starts the proven one', async () => {
  await using machine = await trybootMachine();
  await machine.backend.disable('b');
  await machine.install('b', '3' as never);
  await machine.backend.arm('b', 1);
  assert.equal(firmwareStarts(machine.fat.get('autoboot.txt'), false), 'a');
  assert.equal(machine.backend.rebootArgument, '0 tryboot');
});

const storeOn = (world: Parameters<typeof trybootStore>[0]) =>
  trybootStore({ ...world, dir: '/fat', partitions: PARTITIONS });
