/** The environment of GRUB and its copy: which of them counts, in which order they are written, and what is refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyOf, type GrubWorld, grubStore } from '../../src/reboot/bootloaders/grub.ts';
import { readVariables, writeVariables } from '../../src/reboot/bootloaders/grub-environment.ts';
import { readFlags, unknownFlags, writeFlags } from '../../src/reboot/bootloaders/grub-flags.ts';
import type { SlotFlags } from '../../src/reboot/bootloaders/slot-flags.ts';
import { readPartOf, writePartOf } from '../../src/system/files.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const DIR = '/efi/EFI/tandem';
const PATH = `${DIR}/grubenv`;
const COPY = copyOf(PATH);
const proven = { bootable: true, successful: true, tries: 0 };
const never = { bootable: false, successful: false, tries: 0 };
const A: SlotFlags = { first: 'a', slots: { a: proven, b: never } };
const B: SlotFlags = { first: 'b', slots: { a: proven, b: { bootable: true, successful: false, tries: 3 } } };
const OTHERS = writeVariables(undefined, new Map([['saved_entry', 'of somebody else']]));
const block = (flags: SlotFlags): Uint8Array => writeVariables(OTHERS, writeFlags(flags));
const damaged = (flags: SlotFlags): Uint8Array => block(flags).fill(0x21, 0, 1);

function storage(files: Readonly<Record<string, Uint8Array>>) {
  const disk = new RecordingDisk({ files: new Map(Object.entries(files)), dirs: ['/efi', '/efi/EFI', DIR] });
  const world: GrubWorld = {
    files: disk.files,
    readPart: readPartOf(disk.files),
    writePart: writePartOf(disk.files),
    path: PATH,
  };
  return { disk, world, store: grubStore(world) };
}

const flagsIn = (bytes: Uint8Array | undefined): SlotFlags | undefined => {
  const variables = bytes && readVariables(bytes);
  return variables && readFlags(new Map(variables));
};

for (const [what, files, flags] of [
  ['both are whole and differ: the environment', { [PATH]: block(A), [COPY]: block(B) }, A],
  ['the environment is damaged: the copy', { [PATH]: damaged(A), [COPY]: block(B) }, B],
  ['there is no copy: the environment', { [PATH]: block(A) }, A],
  ['there is only a copy: that', { [COPY]: block(B) }, B],
  ['both are damaged: nothing is known', { [PATH]: damaged(A), [COPY]: damaged(B) }, unknownFlags()],
  ['neither has flags: nothing is known', { [PATH]: OTHERS }, unknownFlags()],
] as const)
  test(`of GRUB’s two files counts, where ${what}`, async () => {
    assert.deepEqual(await storage(files).store.load(), flags);
  });

test('where neither file is there, that is said, and of an empty folder that it is not mounted', async () => {
  await assert.rejects(storage({}).store.load(), { code: 'boot-partition-missing' });
  await assert.rejects(storage({ [`${DIR}/grub.cfg`]: OTHERS }).store.load(), {
    code: 'boot-environment',
    message: `Neither ${PATH} nor ${COPY} exists.`,
  });
});

test('what others keep in the file that counts is kept, in both', async () => {
  const mine = writeVariables(undefined, new Map([['saved_entry', 'of the copy']]));
  const copied = writeVariables(mine, writeFlags(B));
  for (const [files, entry] of [
    [{ [PATH]: block(A), [COPY]: copied }, 'of somebody else'],
    [{ [PATH]: damaged(A), [COPY]: copied }, 'of the copy'],
    [{ [PATH]: OTHERS, [COPY]: damaged(A) }, 'of somebody else'],
  ] as const) {
    const { disk, store } = storage(files);
    await store.save(B);
    for (const path of [PATH, COPY]) {
      const bytes = await disk.files.read(path);
      assert.deepEqual(flagsIn(bytes), B);
      assert.equal(new Map(readVariables(bytes ?? assert.fail())).get('saved_entry'), entry);
    }
  }
});

/** The writes and syncs, in a word each; a file that is written is empty before. */
const deedsOn = ({ log }: RecordingDisk): string[] =>
  log.flatMap((op, index) => {
    const next = log[index + 1];
    if (op.op !== 'write') return 'path' in op ? `${op.op} ${op.path.slice(DIR.length + 1)}` : op.op;
    if (next?.op === 'write' && next.path === op.path) return [];
    return `${op.path.slice(DIR.length + 1)} ${readVariables(op.bytes) ? 'whole' : 'damaged'}`;
  });

/** In place: damaged first, then all but its first byte, then whole; each on the medium before the next. */
const inPlace = (name: string): string[] => [
  ...[`${name} damaged`, `syncFile ${name}`],
  ...[`${name} damaged`, `syncFile ${name}`],
  ...[`${name} whole`, `syncFile ${name}`],
];
const anew = (name: string): string[] => [`${name} damaged`, `syncFile ${name}`, 'syncDir', ...inPlace(name).slice(2)];

for (const [what, files, deeds] of [
  ['both are whole', { [PATH]: block(A), [COPY]: block(A) }, [...inPlace('grubenv2'), ...inPlace('grubenv')]],
  ['only the copy is', { [PATH]: damaged(A), [COPY]: block(A) }, [...inPlace('grubenv'), ...inPlace('grubenv2')]],
  ['there is no copy', { [PATH]: block(A) }, [...anew('grubenv2'), ...inPlace('grubenv')]],
  [
    'another length is cut off',
    { [PATH]: block(A), [COPY]: block(A).subarray(1) },
    [...anew('grubenv2'), ...inPlace('grubenv')],
  ],
] as const)
  test(`the file that GRUB reads now is written last, byte for byte, where ${what}`, async () => {
    const { disk, store } = storage(files);
    await store.save(B);
    assert.deepEqual(deedsOn(disk), deeds);
    assert.deepEqual([flagsIn(await disk.files.read(PATH)), flagsIn(await disk.files.read(COPY))], [B, B]);
  });

test('where the folder is not there yet, it is made', async () => {
  const disk = new RecordingDisk({ dirs: ['/efi', '/efi/EFI'] });
  const { files } = disk;
  await grubStore({ files, readPart: readPartOf(files), writePart: writePartOf(files), path: PATH }).save(B);
  assert.deepEqual([flagsIn(await files.read(PATH)), flagsIn(await files.read(COPY))], [B, B]);
  assert.equal(disk.log[0]?.op, 'makeDir');
});

test('a link in the place of either file is named with its remedy, and any other failure stays what it is', async () => {
  const failing = (code: string): GrubWorld => {
    const { world } = storage({ [PATH]: block(A), [COPY]: block(A) });
    const error = Object.assign(new Error(code), { code });
    return {
      ...world,
      readPart: (path, ...rest) => (path === COPY ? Promise.reject(error) : world.readPart(path, ...rest)),
    };
  };
  await assert.rejects(grubStore(failing('ELOOP')).load(), {
    code: 'boot-environment',
    message: new RegExp(`^${COPY} is a link\\. .*readlink -f ${COPY}`),
  });
  await assert.rejects(grubStore(failing('EIO')).load(), { code: 'EIO' });
  const strange = { ...storage({}).world, readPart: () => Promise.reject('no error at all') };
  await assert.rejects(grubStore(strange).load(), (thrown) => thrown === 'no error at all');
});

test('a file that is longer than any environment is refused, and one just as long is not', async () => {
  const long = (size: number): Uint8Array => Buffer.concat([block(A), Buffer.alloc(size - 1024, '#')]);
  assert.ok(await storage({ [PATH]: long(64 * 1024) }).store.load());
  await assert.rejects(storage({ [PATH]: long(64 * 1024 + 1) }).store.load(), {
    code: 'boot-environment',
    message: /has 65537 bytes/,
  });
});
