/** Power may fail at every byte of GRUB's environment and of its copy: GRUB and we read the old flags or the new ones, and the same. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { copyOf, grubStore } from '../../src/reboot/bootloaders/grub.ts';
import { readVariables, writeVariables } from '../../src/reboot/bootloaders/grub-environment.ts';
import { readFlags, writeFlags } from '../../src/reboot/bootloaders/grub-flags.ts';
import {
  armed,
  confirmed,
  disabled,
  nextSlot,
  type SlotFlags,
  tried,
} from '../../src/reboot/bootloaders/slot-flags.ts';
import { readPart, realFiles, writePart } from '../../src/system/files.ts';
import { grubMachine } from '../support/grub-machine.ts';
import { type Contents, type TornFiles, tornFiles } from '../support/torn-files.ts';

const PATH = '/efi/EFI/tandem/grubenv';
const never = { bootable: false, successful: false, tries: 0 };
const proven = { bootable: true, successful: true, tries: 0 };
const both: SlotFlags = { first: 'a', slots: { a: proven, b: proven } };
const empty = disabled(both, 'b');
const trial = armed(empty, 'b', 3);

type Change = Readonly<{ name: string; from: SlotFlags; to: SlotFlags }>;
const CHANGES: readonly Change[] = [
  { name: 'disable', from: both, to: empty },
  { name: 'arm', from: empty, to: trial },
  { name: 'count', from: trial, to: tried(trial, 'b') },
  { name: 'confirm', from: tried(trial, 'b'), to: confirmed(trial, 'b') },
  { name: 'condemn', from: confirmed(trial, 'b'), to: disabled(confirmed(confirmed(trial, 'b'), 'a'), 'b') },
  { name: 'arm the slot that was left', from: confirmed(both, 'b'), to: armed(confirmed(both, 'b'), 'a', 9) },
  { name: 'nothing new', from: trial, to: trial },
];

const OTHERS = writeVariables(
  undefined,
  new Map([
    ['saved_entry', 'of somebody else'],
    ['recordfail', '1'],
  ]),
);
const holding = (flags: SlotFlags): Uint8Array => writeVariables(OTHERS, writeFlags(flags));
const damaged = (flags: SlotFlags): Uint8Array => holding(flags).fill(0x21, 0, 1);
/** Its own tool has made it, with our variables in another order. */
const foreign = (flags: SlotFlags): Uint8Array => {
  const reversed = new Map([...writeFlags(flags)].reverse());
  return writeVariables(writeVariables(undefined, reversed), new Map([['saved_entry', 'first']]));
};

/** What lies there before; in each, the flags are `from`. */
const STARTS: Readonly<Record<string, (change: Change) => Contents>> = {
  'both whole': ({ from }) =>
    new Map([
      [PATH, holding(from)],
      [copyOf(PATH), holding(from)],
    ]),
  'no copy yet': ({ from }) => new Map([[PATH, foreign(from)]]),
  'a copy of earlier flags': ({ from }) =>
    new Map([
      [PATH, holding(from)],
      [copyOf(PATH), holding(both)],
    ]),
  'a damaged copy': ({ from }) =>
    new Map([
      [PATH, holding(from)],
      [copyOf(PATH), damaged(both)],
    ]),
  'only the copy whole': ({ from }) =>
    new Map([
      [PATH, damaged(both)],
      [copyOf(PATH), holding(from)],
    ]),
  'a copy alone': ({ from }) => new Map([[copyOf(PATH), holding(from)]]),
  'a copy cut short': ({ from }) =>
    new Map([
      [PATH, holding(from)],
      [copyOf(PATH), holding(both).subarray(0, 400)],
    ]),
};

const store = (world: TornFiles) => grubStore({ ...world, path: PATH });

/** As grub.cfg does: the environment, and the copy when that is damaged. */
function grubReads(contents: Contents): SlotFlags | undefined {
  for (const path of [PATH, copyOf(PATH)]) {
    const variables = readVariables(contents.get(path) ?? new Uint8Array(0));
    const flags = variables && readFlags(new Map(variables));
    if (flags) return flags;
  }
  return undefined;
}

async function change(begin: Contents, to: SlotFlags, dropSync?: number): Promise<TornFiles> {
  const world = tornFiles(begin, dropSync);
  await store(world).save(to);
  return world;
}

/** Whether a power cut may leave flags that are neither old nor new. */
function isFaulty(world: TornFiles, { from, to }: Change): boolean {
  for (const state of world.cuts()) {
    const read = grubReads(state);
    if (!isDeepStrictEqual(read, from) && !isDeepStrictEqual(read, to)) return true;
  }
  return false;
}

for (const [name, begin] of Object.entries(STARTS))
  test(`${name}: torn at any byte, the flags are the old or the new ones, and the change can be repeated`, async (t) => {
    let count = 0;
    for (const one of CHANGES) {
      const world = await change(begin(one), one.to);
      assert.deepEqual(await store(world).load(), one.to);
      for (const state of world.cuts()) {
        const read = grubReads(state);
        const ours = await store(tornFiles(state)).load();
        assert.deepEqual(ours, read, `${one.name}: GRUB and we read the same`);
        assert.ok(
          isDeepStrictEqual(read, one.from) || isDeepStrictEqual(read, one.to),
          `${one.name}: ${JSON.stringify(read)}`,
        );
        if (count++ % 499 === 0) await repeats(state, one.to);
      }
    }
    t.diagnostic(`${count} states that a power cut may leave`);
  });

async function repeats(state: Contents, to: SlotFlags): Promise<void> {
  const again = await change(state, to);
  for (const path of [PATH, copyOf(PATH)]) {
    const variables = readVariables(again.now().get(path) ?? new Uint8Array(0));
    assert.deepEqual(readFlags(new Map(variables)), to, `${path} is whole again`);
  }
}

// The first three syncs are of the file that is written first, the others of the one that GRUB reads until then.
const MATTER: Readonly<Record<string, readonly number[]>> = {
  // What is done to the copy must be over when the environment is marked as damaged, and that before its bytes change.
  'both whole': [2, 3, 4],
  // The environment, written first, is read as soon as its mark is gone, and the copy must not be touched before.
  'only the copy whole': [1, 2],
};

for (const [name, matter] of Object.entries(MATTER))
  test(`${name}: leaving out a sync that matters is noticed`, async (t) => {
    const noticed = new Set<number>();
    for (const one of CHANGES) {
      const begin = STARTS[name]?.(one) ?? assert.fail();
      const { syncs } = await change(begin, one.to);
      for (let dropSync = 0; dropSync < syncs(); dropSync++)
        if (isFaulty(await change(begin, one.to, dropSync), one)) noticed.add(dropSync);
    }
    t.diagnostic(`noticed ${[...noticed].sort().join(' ')}`);
    for (const sync of matter) assert.ok(noticed.has(sync), `sync ${sync}`);
  });

test('what others keep in the environment is in both files, whole', async () => {
  for (const begin of Object.values(STARTS)) {
    const arm = CHANGES[1] ?? assert.fail();
    const world = await change(begin(arm), arm.to);
    const kept = [...world.now().values()].map((block) => new Map(readVariables(block)).get('saved_entry'));
    assert.equal(kept.length, 2);
    assert.ok(kept[0] !== undefined && kept[0] === kept[1], String(kept));
  }
});

test('the real GRUB takes the slot that the old or the new flags name, whatever is torn', async (t) => {
  await using machine = await grubMachine([]);
  for (const slot of ['a', 'b']) await writeFile(`${machine.dir}/${slot}.efi`, 'a kernel');
  let starts = 0;
  for (const one of CHANGES.slice(0, 4)) {
    const world = await change((STARTS['both whole'] ?? assert.fail())(one), one.to);
    const states = [...world.cuts()];
    for (let at = 0; at < states.length; at += Math.ceil(states.length / 8)) {
      const state = states[at] ?? assert.fail();
      const flags = grubReads(state) ?? assert.fail();
      for (const [path, file] of [
        [PATH, machine.environment],
        [copyOf(PATH), copyOf(machine.environment)],
      ] as const) {
        const bytes = state.get(path);
        await (bytes ? writeFile(file, bytes) : rm(file, { force: true }));
      }
      assert.equal(await machine.start(), nextSlot(flags), `${one.name}, state ${at}`);
      starts++;
    }
  }
  t.diagnostic(`${starts} starts`);
});

test('an environment that is not there, or is none, is named', async () => {
  const mounted = new Map([[join(dirname(PATH), 'a.efi'), new Uint8Array(1)]]);
  await assert.rejects(store(tornFiles(mounted)).load(), { code: 'boot-environment', message: /Neither/ });
  await assert.rejects(store(tornFiles(new Map())).load(), { code: 'boot-partition-missing', message: /mounted on/ });
  const long = new Map([[PATH, new Uint8Array(70_000)]]);
  await assert.rejects(store(tornFiles(long)).load(), { code: 'boot-environment', message: /70000 bytes/ });
});

test('an environment that is damaged knows of no slot, and a confirmation makes it whole', async () => {
  const world = tornFiles(new Map([[PATH, damaged(both)]]));
  assert.deepEqual(await store(world).load(), { first: 'a', slots: { a: never, b: never } });
  await store(world).save(confirmed(await store(world).load(), 'b'));
  assert.deepEqual(grubReads(world.now()), { first: 'b', slots: { a: never, b: proven } });
});

test('an environment behind a link is not followed, and the setting that avoids it is named', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-grubenv-'));
  try {
    await symlink('../efi/EFI/fedora/grubenv', join(dir, 'grubenv'));
    const linked = grubStore({ files: realFiles, readPart, writePart, path: join(dir, 'grubenv') });
    await assert.rejects(linked.load(), { code: 'boot-environment', message: /boot\.grub_environment.*readlink -f/ });
  } finally {
    await rm(dir, { recursive: true });
  }
});
