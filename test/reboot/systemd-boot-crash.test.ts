/** Power may fail at every step of every verb: the machine still starts, and repeating the verb ends where it should have. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SlotName } from '../../src/model.ts';
import type { BootBackend } from '../../src/reboot/bootloaders/bootloader.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { formatWaitingName } from '../../src/reboot/kernels/entry-name.ts';
import { readEsp } from '../../src/reboot/kernels/esp-entries.ts';
import { type EspWorld, espWorld, PRODUCT, putVersion, sha256, start, uki } from '../support/esp.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const DIR = '/esp/EFI/Linux';
const LOSSES = 12;
const EMPTY = new Uint8Array(0);

type Scene = Readonly<{
  name: string;
  holds: Readonly<Record<SlotName, string | undefined>>;
  /** File names and the versions of the UKIs in them; an empty file has none. */
  files: Readonly<Record<string, string>>;
  act: (boot: BootBackend, esp: EspWorld) => Promise<void>;
  /** This slot's image does not start: the machine must come to rest on the other. */
  dead?: SlotName;
  /** Which syncs, when left out, must be noticed. */
  syncs: number;
}>;

const waiting = (version: string): string => formatWaitingName(PRODUCT, version as never);

const SCENES: readonly Scene[] = [
  {
    name: 'disable',
    holds: { a: '2', b: '1' },
    files: { 'shop_2.efi': '2', 'shop_1.efi': '1', 'shop_0.efi': '0', [waiting('9')]: '9' },
    act: (boot) => boot.disable('b'),
    syncs: 1,
  },
  {
    name: 'putting a UKI',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2' },
    act: (_, esp) => putVersion(esp, '3'),
    syncs: 2,
  },
  {
    name: 'arming a newer version',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', [waiting('3')]: '3' },
    act: (boot) => boot.arm('b', 3),
    dead: 'b',
    syncs: 1,
  },
  {
    name: 'arming a newer version while the old one is counted as a reserve',
    holds: { a: '2', b: '3' },
    files: { 'shop_2+0-100.efi': '2', [waiting('3')]: '3' },
    act: (boot) => boot.arm('b', 3),
    dead: 'b',
    syncs: 2,
  },
  {
    name: 'arming an older version',
    holds: { a: '2', b: '1' },
    files: { 'shop_2.efi': '2', [waiting('1')]: '1' },
    act: (boot) => boot.arm('b', 3),
    dead: 'b',
    syncs: 1,
  },
  {
    name: 'arming what was left behind',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', 'shop_3.efi': '3' },
    act: (boot) => boot.arm('a', 2),
    dead: 'a',
    syncs: 1,
  },
  {
    name: 'confirming',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', 'shop_3+2-1.efi': '3' },
    act: (boot) => boot.confirm('b'),
    syncs: 1,
  },
  {
    name: 'confirming beside an empty file with the name that is wanted',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', 'shop_3+2-1.efi': '3', 'shop_3.efi': '' },
    act: (boot) => boot.confirm('b'),
    syncs: 1,
  },
  {
    name: 'confirming what has its name already, beside an empty file',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', 'shop_3+2-1.efi': '', 'shop_3.efi': '3' },
    act: (boot) => boot.confirm('b'),
    // Confirmed it is already, so no sync decides anything.
    syncs: 0,
  },
  {
    name: 'falling back',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', 'shop_3.efi': '3' },
    act: async (boot) => {
      await boot.confirm('a');
      await boot.disable('b');
    },
    syncs: 1,
  },
];

const filesOf = ({ files }: Scene): Map<string, Uint8Array> =>
  new Map(Object.entries(files).map(([file, version]) => [join(DIR, file), version ? uki(version) : EMPTY]));

const storage = (scene: Scene, options: Readonly<{ dropSync?: number }> = {}): RecordingDisk =>
  new RecordingDisk({
    files: filesOf(scene),
    dirs: [DIR],
    ...options,
  });

const espOf = (scene: Scene, disk: RecordingDisk): EspWorld => espWorld(disk.files, '/esp', scene.holds);

const act = (scene: Scene, disk: RecordingDisk): Promise<void> => {
  const esp = espOf(scene, disk);
  return scene.act(systemdBoot(esp), esp);
};

/** All that counts of an ESP: what the boot loader makes of it, and what waits. */
async function picture(scene: Scene, disk: RecordingDisk) {
  const esp = espOf(scene, disk);
  const boot = systemdBoot(esp);
  const { orphans, waiting } = await readEsp(esp);
  const waits = (['a', 'b'] as const).map((slot) => waiting.find((one) => one.slot === slot)?.version);
  return { ...(await boot.read()), waits, orphans };
}

/** The machine starts, and comes to rest on an image that starts. */
async function starts(scene: Scene, disk: RecordingDisk, when: string, halved: boolean): Promise<void> {
  const esp = espOf(scene, disk);
  if (!halved) await nothingDamaged(scene, esp, when);
  for (let tries = 0; tries < 8; tries++) {
    const slot = await start(esp);
    assert.ok(slot, `no entry is left ${when}`);
    if (slot !== scene.dead) return;
  }
  assert.fail(`the machine starts what cannot start, for ever ${when}`);
}

/** The boot loader passes over a file that is empty; any other damage is not to be had under the name of an entry. */
async function nothingDamaged(scene: Scene, esp: EspWorld, when: string): Promise<void> {
  const { orphans } = await readEsp(esp);
  const damaged = orphans.filter(({ file }) => file.endsWith('.efi') && !(file in scene.files));
  assert.deepEqual(damaged, [], `a damaged file has the name of an entry ${when}`);
}

type Half = Readonly<{ count: number; from: string; to: string; names: Map<string, Uint8Array> }>;

/** FAT gives the file its new name, empty at first and then with the same clusters, before it takes the old one away. */
function* halves(scene: Scene, run: RecordingDisk): Generator<Half> {
  for (const [count, op] of run.log.entries())
    if (op.op === 'rename') yield { count, from: op.from, to: op.to, names: namesAt(scene, run, count) };
}

/** What a power cut within a rename leaves when the file system was checked since: one of the two names is empty. */
function* halfRenames(scene: Scene, run: RecordingDisk): Generator<Cut> {
  for (const { count, from, to, names } of halves(scene, run)) {
    const bytes = names.get(from) ?? assert.fail();
    for (const [whole, empty] of [
      [from, to],
      [to, from],
    ] as const) {
      const files = new Map([...names, [whole, bytes], [empty, EMPTY]] as const);
      yield { world: new RecordingDisk({ files, dirs: [DIR] }), count, halved: true };
    }
  }
}

function namesAt(scene: Scene, run: RecordingDisk, count: number): Map<string, Uint8Array> {
  const names = filesOf(scene);
  for (const op of run.log.slice(0, count)) {
    if (op.op === 'write') names.set(op.path, op.bytes);
    if (op.op === 'remove') names.delete(op.path);
    if (op.op === 'rename') names.set(op.to, names.get(op.from) ?? new Uint8Array()) && names.delete(op.from);
  }
  return names;
}

type Cut = Readonly<{ world: RecordingDisk; count: number; halved: boolean }>;

/** Every way in which power may fail during the scene. */
function* cuts(scene: Scene, run: RecordingDisk): Generator<Cut> {
  for (const { world, count } of run.crashStates(1, LOSSES)) yield { world, count, halved: false };
  yield* halfRenames(scene, run);
}

/** Throws when a power cut during or right after the scene has a consequence. */
async function survives(scene: Scene, run: RecordingDisk): Promise<number> {
  const whole = storage(scene);
  await act(scene, whole);
  const wanted = await picture(scene, whole);
  let count = 0;
  for (const cut of cuts(scene, run)) {
    const when = `after ${run.describe(cut.count)}`;
    const fresh = (): RecordingDisk => cut.world.crashAt(0);
    if (cut.count === run.log.length) assert.deepEqual(await picture(scene, fresh()), wanted, `not durable ${when}`);
    await starts(scene, fresh(), when, cut.halved);
    const again = fresh();
    await act(scene, again);
    assert.deepEqual(await picture(scene, again), wanted, `repeated in vain ${when}`);
    count++;
  }
  return count;
}

for (const scene of SCENES) {
  test(`${scene.name}: power may fail anywhere, and the verb can be repeated`, async (t) => {
    const run = storage(scene);
    await act(scene, run);
    t.diagnostic(`${await survives(scene, run)} power cuts`);
  });

  test(`${scene.name}: leaving out a sync that matters is noticed`, async (t) => {
    const run = storage(scene);
    await act(scene, run);
    const noticed: number[] = [];
    for (let dropSync = 0; dropSync < run.syncs; dropSync++) {
      const sloppy = storage(scene, { dropSync });
      await act(scene, sloppy);
      await survives(scene, sloppy).catch((error: unknown) => {
        if (!(error instanceof assert.AssertionError)) throw error;
        noticed.push(dropSync);
      });
    }
    t.diagnostic(`noticed ${noticed} of ${run.syncs}`);
    assert.ok(noticed.length >= scene.syncs, `of ${run.syncs} syncs only ${noticed} were missed`);
  });
}

test('where nothing has checked the file system, no verb touches a name while another leads to the same file', async (t) => {
  let count = 0;
  for (const scene of SCENES) {
    const run = storage(scene);
    await act(scene, run);
    for (const { from, to, names } of halves(scene, run)) {
      const shared = names.get(from) ?? assert.fail();
      const disk = new RecordingDisk({ files: new Map([...names, [to, shared]]), dirs: [DIR] });
      await starts(scene, disk.crashAt(0), `with ${from} and ${to}`, true);
      await assert.rejects(act(scene, disk), { code: 'boot-file-shared' });
      assert.deepEqual(disk.log, []);
      count++;
    }
  }
  t.diagnostic(`${count} half renames`);
  assert.ok(count >= 10);
});

test('a UKI that waits is whole: its bytes survive the power cut after it was put', async () => {
  const scene = SCENES[1];
  assert.ok(scene);
  const run = storage(scene);
  await act(scene, run);
  for (let seed = 0; seed < 50; seed++) {
    const bytes = await run.crashAt(run.log.length, seed).files.read(join(DIR, waiting('3')));
    assert.equal(sha256(bytes ?? ''), sha256(uki('3')));
  }
});
