/** The partition table as bytes. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import {
  type Gpt,
  parseHeader,
  parseTable,
  serialise,
  withPartitionAttributes,
  withPartitionUuid,
} from '../../src/partitions/gpt.ts';
import { readGuid, writeGuid } from '../../src/partitions/guid.ts';
import { changeTable, readTable } from '../../src/partitions/partition-table.ts';
import { neutralUuid, uuidsOfRootHash } from '../../src/partitions/uuids.ts';
import { DISK_GUID, gptDisk } from '../support/gpt-disk.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const KIB = 1024;
const SIZE = 512 * KIB;
const PARTS = ['root-a', 'root-b'].map((label, index) => ({
  label,
  offset: 64 * KIB + index * 64 * KIB,
  size: 64 * KIB,
  uuid: `0000000${index}-aaaa-bbbb-cccc-dddddddddddd`,
}));
const UUID = '01234567-89ab-cdef-0123-456789abcdef';
const worldOf = (disk: Uint8Array) => new RecordingDisk({ disk });

/** A disk image as sfdisk makes it, with attributes and types that are not ours. */
function bySfdisk(): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-gpt-'));
  try {
    const path = join(dir, 'disk');
    writeFileSync(path, '');
    truncateSync(path, 16 * KIB * KIB);
    const input = 'label: gpt\nsize=1MiB,type=uefi,name="esp"\nsize=2MiB,name="root-b",attrs="GUID:48,56"\nsize=1MiB\n';
    execFileSync('sfdisk', ['--quiet', path], { input, stdio: ['pipe', 'ignore', 'pipe'] });
    return readFileSync(path);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe('reading', () => {
  test('finds what sfdisk wrote', async () => {
    const { entries } = await readTable(worldOf(bySfdisk()).disk, [512]);
    const seen = entries.map(({ number, label, offset, size, attributes }) => ({
      number,
      label,
      offset,
      size,
      attributes,
    }));
    assert.deepEqual(seen, [
      { number: 1, label: 'esp', offset: 1024 * KIB, size: 1024 * KIB, attributes: 0n },
      { number: 2, label: 'root-b', offset: 2048 * KIB, size: 2048 * KIB, attributes: (1n << 48n) | (1n << 56n) },
      { number: 3, label: '', offset: 4096 * KIB, size: 1024 * KIB, attributes: 0n },
    ]);
    assert.equal(entries[0]?.type, 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b');
  });

  test('takes an entry for a partition when any byte of its type is set', () => {
    const disk = gptDisk(SIZE, 512, PARTS);
    for (const byte of [0, 7, 8, 15]) {
      const entries = disk.slice(1024, 1024 + 128 * 128);
      entries.fill(0, 0, 16)[byte] = 1;
      const sector = Buffer.from(disk.subarray(512, 1024));
      sector.writeUInt32LE(crc32(entries), 88);
      const table = parseTable(parseHeader(reseal(sector), 1, SIZE / 512) ?? assert.fail(), entries, 512);
      assert.deepEqual(
        table?.entries.map((one) => one.label),
        ['root-a', 'root-b'],
        `byte ${byte}`,
      );
    }
  });

  test('tries the sector sizes in turn', async () => {
    const table = await readTable(worldOf(gptDisk(SIZE, 4096, PARTS)).disk, [512, 4096]);
    assert.equal(table.sectorSize, 4096);
    assert.equal(table.entries[1]?.offset, 128 * KIB);
    assert.equal(table.diskGuid, DISK_GUID);
  });

  test('takes the first copy where both are valid, and the backup where the first is damaged in any byte that counts', async () => {
    const disk = gptDisk(SIZE, 512, PARTS);
    const world = worldOf(disk);
    await changeTable(world.disk, [512], (table) => withPartitionUuid(table, 2, UUID));
    // Only the backup says the new name now.
    const mixed = Buffer.from(world.bytes());
    mixed.set(disk.subarray(0, 34 * 512));
    assert.equal((await readTable(worldOf(mixed).disk, [512])).entries[1]?.uuid, PARTS[1]?.uuid);
    for (const offset of [...Array.from({ length: 92 }, (_, index) => 512 + index), 1024, 1024 + 128 * 128 - 1]) {
      const damaged = Buffer.from(mixed);
      damaged[offset] = (damaged[offset] ?? 0) ^ 0x40;
      assert.equal((await readTable(worldOf(damaged).disk, [512])).entries[1]?.uuid, UUID, `byte ${offset}`);
    }
  });

  test('refuses a disk without a valid copy', async () => {
    await assert.rejects(readTable(worldOf(new Uint8Array(SIZE)).disk, [512, 4096]), { code: 'table-invalid' });
    await assert.rejects(readTable(worldOf(new Uint8Array(512)).disk, [512, 4096]), { code: 'table-invalid' });
  });

  test('never throws anything else, whatever the bytes are, even with right checksums', () => {
    const sector = Buffer.from(gptDisk(SIZE, 512, PARTS).subarray(512, 1024));
    const numbers = fc.record({
      at: fc.integer({ min: 24, max: 91 }),
      value: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(numbers, { maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(sector);
        for (const { at, value } of changes) bytes.set(value, at);
        const table = reseal(bytes);
        const header = parseHeader(table, 1, SIZE / 512);
        if (!header) return;
        const length = header.entryCount * header.entrySize;
        assert.ok(length <= KIB * KIB && (header.entriesAt - 1) * 512 + length <= SIZE);
        parseTable(header, new Uint8Array(length), 512);
      }),
      { numRuns: 2000 },
    );
  });

  test('refuses a partition that reaches into the sectors of the table', async () => {
    const parts = [{ ...PARTS[0], label: 'x', uuid: UUID, offset: 33 * 512, size: 512 }];
    await assert.rejects(readTable(worldOf(gptDisk(SIZE, 512, parts)).disk, [512]), { code: 'table-invalid' });
  });
});

/** 128 entries of 128 bytes fill 32 sectors: on a disk of 1024, usable are 34 to 990. */
const DISK_SECTORS = SIZE / 512;
const LAST = DISK_SECTORS - 1;
/** Where a header says it. */
const FIELDS = {
  at: 24,
  alternate: 32,
  firstUsable: 40,
  lastUsable: 48,
  entriesAt: 72,
  entryCount: 80,
  entrySize: 84,
} as const;
type Fields = Partial<Record<keyof typeof FIELDS, number>>;

/** A right header but for `change`, with the checksum that it deserves. */
function header(copy: 'primary' | 'backup', change: Fields): Buffer {
  const at = copy === 'primary' ? 1 : LAST;
  const sector = Buffer.from(gptDisk(SIZE, 512, PARTS).subarray(at * 512, (at + 1) * 512));
  for (const [field, value] of Object.entries(change) as [keyof Fields, number][])
    if (field === 'entryCount' || field === 'entrySize') sector.writeUInt32LE(value, FIELDS[field]);
    else sector.writeBigUInt64LE(BigInt(value), FIELDS[field]);
  return reseal(sector);
}

/** Each lies about one thing, and is right but for it. */
const LIES: readonly (readonly [lie: string, copy: 'primary' | 'backup', change: Fields, diskSectors?: number])[] = [
  ['that an entry is shorter than one can be', 'primary', { entrySize: 120 }],
  ['that an entry has an odd size', 'primary', { entrySize: 132, entryCount: 100 }],
  ['that there are no entries', 'primary', { entryCount: 0 }],
  [
    'that its entries fill more than a table can',
    'backup',
    { at: 9999, firstUsable: 4000, lastUsable: 5000, entriesAt: 6000, entryCount: 8193 },
    10_000,
  ],
  ['that no sector is usable', 'primary', { firstUsable: 900, lastUsable: 899 }],
  ['that it is its own copy', 'backup', { alternate: LAST }],
  ['that its copy is the sector of another kind of table', 'backup', { alternate: 0 }],
  ['that its copy is behind the end of the disk', 'primary', { alternate: DISK_SECTORS }],
  ['that its entries begin in a partition', 'backup', { entriesAt: 990 }],
  ['that its entries end in a partition', 'backup', { entriesAt: 3 }],
  ['that its entries lie where the first header does', 'backup', { entriesAt: 1 }],
  ['that its entries reach beyond the end of the disk', 'backup', { entriesAt: 993 }],
  ['that its entries reach into the first usable sector', 'primary', { firstUsable: 33 }],
  ['that the entries of the first copy have no room', 'backup', { firstUsable: 33 }],
  ['that its own entries have no room behind the last usable sector', 'backup', { lastUsable: 991, entriesAt: 992 }],
  ['that the entries of the other copy have no room behind the last usable sector', 'primary', { lastUsable: 991 }],
  ['that a sector has a number beyond any disk', 'primary', { firstUsable: 2 ** 41 }],
];

describe('a header with the right checksum', () => {
  for (const copy of ['primary', 'backup'] as const)
    test(`is believed where all of it can be so (${copy})`, () => {
      const found = parseHeader(header(copy, {}), copy === 'primary' ? 1 : LAST, DISK_SECTORS);
      assert.deepEqual([found?.firstUsable, found?.lastUsable, found?.entryCount], [34, 990, 128]);
    });

  test('is none without its signature, whichever byte of it is another', () => {
    for (let byte = 0; byte < 8; byte++) {
      const sector = header('primary', {});
      sector[byte] = (sector[byte] ?? 0) ^ 0x20;
      assert.equal(parseHeader(reseal(sector), 1, DISK_SECTORS), undefined, `byte ${byte}`);
    }
  });

  test('is refused in the place of the other', () => {
    assert.equal(parseHeader(header('backup', {}), 1, DISK_SECTORS), undefined);
    assert.equal(parseHeader(header('primary', {}), LAST, DISK_SECTORS), undefined);
  });

  test('may be as long as a sector, and not longer, nor shorter than what it must say', () => {
    for (const [length, isRight] of [
      [91, false],
      [92, true],
      [512, true],
      [513, false],
      [2 ** 32 - 1, false],
    ] as const) {
      const sector = header('primary', {});
      sector.writeUInt32LE(length, 12);
      const found = parseHeader(reseal(sector, length), 1, DISK_SECTORS);
      assert.equal(found !== undefined, isRight, String(length));
    }
  });

  test('may say what is just possible', () => {
    assert.ok(
      parseHeader(
        header('backup', { at: 9999, firstUsable: 4000, lastUsable: 5000, entriesAt: 6000, entryCount: 8192 }),
        9999,
        10_000,
      ),
    );
    assert.ok(parseHeader(header('primary', { firstUsable: 990 }), 1, DISK_SECTORS));
    assert.ok(parseHeader(header('primary', { entrySize: 136, entryCount: 100 }), 1, DISK_SECTORS));
    assert.ok(parseHeader(header('primary', { entryCount: 1 }), 1, DISK_SECTORS));
  });

  for (const [lie, copy, change, diskSectors = DISK_SECTORS] of LIES)
    test(`is refused when it says ${lie}`, () => {
      const at = copy === 'primary' ? 1 : diskSectors - 1;
      assert.equal(parseHeader(header(copy, change), at, diskSectors), undefined);
    });

  for (const [what, parts] of [
    ['ends behind the last usable sector', [{ ...PARTS[0], offset: 990 * 512, size: 2 * 512 }]],
    ['ends before it begins', [{ ...PARTS[0], offset: 100 * 512, size: -512 }]],
    ['is empty', [{ ...PARTS[0], offset: 100 * 512, size: 0 }]],
  ] as const)
    test(`is refused with a partition that ${what}`, async () => {
      const whole = parts.map((one) => ({ label: 'x', uuid: UUID, ...one }));
      const disk = worldOf(gptDisk(SIZE, 512, [...PARTS.slice(1), ...whole])).disk;
      await assert.rejects(readTable(disk, [512]), { code: 'table-invalid' });
    });

  test('may have a partition up to the last usable sector', async () => {
    const last = { label: 'x', uuid: UUID, offset: 990 * 512, size: 512 };
    assert.equal((await readTable(worldOf(gptDisk(SIZE, 512, [last])).disk, [512])).entries.length, 1);
  });
});

describe('changing', () => {
  test('touches one UUID and the checksums, nothing else', async () => {
    const before = bySfdisk();
    const world = worldOf(before);
    await changeTable(world.disk, [512], (table) => withPartitionUuid(table, 2, UUID));
    const after = Buffer.from(world.bytes());
    const changed = Array.from(after.keys()).filter((index) => after[index] !== before[index]);
    const last = before.length - 512;
    const within = (index: number, from: number, size: number) => index >= from && index < from + size;
    for (const index of changed)
      assert.ok(
        [1024 + 128 + 16, before.length - 33 * 512 + 128 + 16].some((from) => within(index, from, 16)) ||
          [512, last].some((from) => within(index, from + 16, 4) || within(index, from + 88, 4)),
        `byte ${index}`,
      );
    assert.equal((await readTable(world.disk, [512])).entries[1]?.uuid, UUID);
  });

  test('touches the attributes of one partition, of which each bit is kept', async () => {
    const world = worldOf(bySfdisk());
    const attributes = 0x8123_4567_89ab_cdefn;
    await changeTable(world.disk, [512], (table) => withPartitionAttributes(table, 2, attributes));
    const { entries } = await readTable(world.disk, [512]);
    assert.deepEqual(
      entries.map((one) => one.attributes),
      [0n, attributes, 0n],
    );
    assert.deepEqual([entries[1]?.label, entries[1]?.size], ['root-b', 2048 * KIB]);
  });

  test('that changes nothing writes nothing, but makes durable what it found', async () => {
    const world = worldOf(gptDisk(SIZE, 512, PARTS));
    await changeTable(world.disk, [512], (table) => table);
    assert.deepEqual(world.log, [{ op: 'flush', ignored: false }]);
  });

  test('writes both copies just as they were', async () => {
    const bytes = bySfdisk();
    const table = await readTable(worldOf(bytes).disk, [512]);
    for (const copy of ['primary', 'backup'] as const) {
      const { header, entries } = serialise(table, copy);
      assert.ok(
        bytes
          .subarray(table[copy].header * 512)
          .subarray(0, 512)
          .equals(header),
      );
      assert.ok(
        bytes
          .subarray(table[copy].entries * 512)
          .subarray(0, entries.length)
          .equals(entries),
      );
    }
  });

  test('cannot be talked into writing sectors of a partition', async () => {
    const world = worldOf(gptDisk(SIZE, 512, PARTS));
    const elsewhere = (table: Gpt): Gpt => ({
      ...withPartitionUuid(table, 1, UUID),
      backup: { header: 200, entries: 210, entrySectors: 32 },
    });
    await assert.rejects(changeTable(world.disk, [512], elsewhere), RangeError);
    assert.deepEqual(
      world.log.filter(({ op }) => op === 'block'),
      [],
    );
  });

  test('repairs a lost backup even where no name changes', async () => {
    const disk = gptDisk(SIZE, 512, PARTS);
    disk.fill(0, SIZE - 512);
    const world = worldOf(disk);
    await changeTable(world.disk, [512], (table) => table);
    assert.deepEqual(Buffer.from(world.bytes()), Buffer.from(gptDisk(SIZE, 512, PARTS)));
  });

  test('refuses a partition that is not there', async () => {
    const table = await readTable(worldOf(gptDisk(SIZE, 512, PARTS)).disk, [512]);
    assert.throws(() => withPartitionUuid(table, 3, UUID), RangeError);
    assert.throws(() => withPartitionUuid(table, 1, 'no uuid'), RangeError);
  });
});

describe('UUIDs', () => {
  test('are stored as other tools store them, and read back the same', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        const bytes = new Uint8Array(20);
        writeGuid(bytes, 2, uuid);
        return readGuid(bytes, 2) === uuid;
      }),
    );
    const bytes = new Uint8Array(16);
    writeGuid(bytes, 0, UUID);
    assert.equal(Buffer.from(bytes).toString('hex'), '67452301ab89efcd0123456789abcdef');
  });

  test('of a slot are the two halves of its root hash', () => {
    assert.deepEqual(uuidsOfRootHash('0123456789abcdef0123456789abcdeffedcba9876543210fedcba9876543210'), {
      root: '01234567-89ab-cdef-0123-456789abcdef',
      verity: 'fedcba98-7654-3210-fedc-ba9876543210',
    });
    assert.throws(() => uuidsOfRootHash('ABC'), RangeError);
  });

  test('that are neutral differ for each disk and label and never change', () => {
    const all = [DISK_GUID, UUID].flatMap((disk) => ['root-a', 'root-b'].map((label) => neutralUuid(disk, label)));
    assert.equal(new Set(all).size, 4);
    assert.equal(neutralUuid(DISK_GUID, 'root-b'), neutralUuid(DISK_GUID, 'root-b'));
    assert.match(all[0] ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });
});

/** With the checksum that its content deserves. */
function reseal(sector: Buffer, length = 92): Buffer {
  sector.fill(0, 16, 20);
  sector.writeUInt32LE(crc32(sector.subarray(0, length)), 16);
  return sector;
}
