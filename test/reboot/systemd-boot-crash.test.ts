/** Power may fail at every step of every verb: the machine still starts, and repeating the verb ends where it should have. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SlotName } from '../../src/model.ts';
import type { BootBackend } from '../../src/reboot/bootloaders/bootloader.ts';
import { formatWaitingName } from '../../src/reboot/bootloaders/entry-name.ts';
import { readEsp } from '../../src/reboot/bootloaders/esp-entries.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { type EspWorld, espWorld, PRODUCT, putVersion, sha256, start, uki } from '../support/esp.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const DIR = '/esp/EFI/Linux';
const LOSSES = 12;

type Scene = Readonly<{
  name: string;
  holds: Readonly<Record<SlotName, string | undefined>>;
  /** File names and the versions of the UKIs in them. */
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
    name: 'confirming what lies under two names',
    holds: { a: '2', b: '3' },
    files: { 'shop_2.efi': '2', 'shop_3+2-1.efi': '3', 'shop_3.efi': '3' },
    act: (boot) => boot.confirm('b'),
    // Either name means confirmed, so no sync decides anything.
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

const storage = (scene: Scene, options: Readonly<{ dropSync?: number }> = {}): RecordingDisk =>
  new RecordingDisk({
    files: new Map(Object.entries(scene.files).map(([file, version]) => [join(DIR, file), uki(version)])),
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
async function starts(scene: Scene, disk: RecordingDisk, when: string): Promise<void> {
  const esp = espOf(scene, disk);
  const before = (await readEsp(esp)).orphans.filter(({ file }) => file.endsWith('.efi') && !(file in scene.files));
  assert.deepEqual(before, [], `a damaged file has the name of an entry ${when}`);
  for (let tries = 0; tries < 8; tries++) {
    const slot = await start(esp);
    assert.ok(slot, `no entry is left ${when}`);
    if (slot !== scene.dead) return;
  }
  assert.fail(`the machine starts what cannot start, for ever ${when}`);
}

/** A crash of FAT between the two halves of a rename leaves the file under both names. */
function* halfRenames(scene: Scene, run: RecordingDisk): Generator<{ world: RecordingDisk; count: number }> {
  for (const [count, op] of run.log.entries()) {
    if (op.op !== 'rename') continue;
    const { names } = namesAt(scene, run, count);
    const bytes = names.get(op.from);
    assert.ok(bytes);
    yield { world: new RecordingDisk({ files: new Map([...names, [op.to, bytes]]), dirs: [DIR] }), count };
  }
}

function namesAt(scene: Scene, run: RecordingDisk, count: number): { names: Map<string, Uint8Array> } {
  const names = new Map(Object.entries(scene.files).map(([file, version]) => [join(DIR, file), uki(version)]));
  for (const op of run.log.slice(0, count)) {
    if (op.op === 'write') names.set(op.path, op.bytes);
    if (op.op === 'remove') names.delete(op.path);
    if (op.op === 'rename') names.set(op.to, names.get(op.from) ?? new Uint8Array()) && names.delete(op.from);
  }
  return { names };
}

/** Every way in which power may fail during the scene. */
function* cuts(scene: Scene, run: RecordingDisk) {
  yield* run.crashStates(1, LOSSES);
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
    await starts(scene, fresh(), when);
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
