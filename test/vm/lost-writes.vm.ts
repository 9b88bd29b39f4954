/** Scenario 4, second half: the recorded writes of an update, replayed up to 200 moments, with what was not flushed lost at random. */

import assert from 'node:assert/strict';
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type LogEntry, type Range, type Replay, readBlockLog, replayOn, touches } from './block-log.ts';
import { entriesOf, isWhole, partitionsOf, slotOf } from './disk-image.ts';
import { assertSettled, UPDATE_MS, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import { Machine, type Ready } from './machine.ts';
import { run } from './programs.ts';

const CUTS = 200;
/** So many of the states are also booted to the end. */
const BOOTED = 2;
const SEED = 26;

test(`a power cut that loses un-flushed writes, at ${CUTS} moments of an update, leaves a disk that starts`, (t) =>
  inLab('lost-writes', { blockLog: true }, async (lab) => {
    const { machine, dir, fixture } = lab;
    await assertSettled(machine, await update(lab, '2'), 'b', '2');
    await machine.powerCut();

    const log = machine.options.blockLog ?? '';
    const recorded = await readBlockLog(log);
    const running = await rangesOf(fixture.disks['systemd-boot'], ['root-a', 'root-a-verity']);
    assert.ok(!recorded.some((entry) => touches(entry, running)), 'the running slot was never written');

    const disk = join(dir, 'replay.raw');
    await run('cp', ['--sparse=always', fixture.disks['systemd-boot'], disk]);
    const replay = await replayOn(disk, log, recorded);
    const random = seeded(SEED);
    const moments = momentsOf(recorded);
    const firstChoices = new Map<string, number>();
    const isIntact = wholeness(disk, replay);
    let booted = 0;
    for (const moment of moments) {
      const keep = random();
      await replay.cutAfter(
        moment,
        () => random() < keep,
        async () => {
          const version = await assertStarts(disk, lab, moment, isIntact);
          const isNew = !firstChoices.has(version);
          firstChoices.set(version, (firstChoices.get(version) ?? 0) + 1);
          const isMiddle = firstChoices.get('1') === Math.trunc(moments.length / 4);
          if (booted < BOOTED && ((version === '2' && isNew) || (version === '1' && isMiddle))) {
            booted += 1;
            t.diagnostic(`moment ${moment} booted: ${await bootAndFinish(lab, disk)}`);
          }
        },
      );
    }
    await replay.close();
    const flushes = recorded.filter((entry) => entry.flush).length;
    const choices = [...firstChoices].map(([version, count]) => `${version} ${count} times`).join(', ');
    t.diagnostic(
      `${recorded.length} writes and flushes (${flushes}), ${moments.length} moments; would start ${choices}`,
    );
    assert.ok(firstChoices.has('1') && firstChoices.has('2'));
  }));

/** What systemd-boot would take first is an entry of a known release, intact, and its slot is whole. */
async function assertStarts(disk: string, { fixture }: Lab, moment: number, isIntact: Wholeness): Promise<string> {
  const [first] = await entriesOf(disk);
  const where = `moment ${moment}`;
  assert.ok(first, `${where}: there is an entry`);
  assert.ok(first.version === '1' || first.version === '2', `${where}: ${first.name}`);
  assert.notEqual(first.left, 0, `${where}: ${first.name} has no try left`);
  assert.equal(first.sha256, fixture.ukiSha256.get(first.version), `${where}: ${first.name} is intact`);
  assert.ok(await isIntact(first.rootHash), `${where}: the slot of ${first.name} is whole`);
  return first.version;
}

type Wholeness = (rootHash: string) => Promise<boolean>;

/** Whether a slot is whole; one that nothing was written to since it was looked at needs no other look. */
function wholeness(disk: string, replay: Replay): Wholeness {
  const known = new Map<string, boolean>();
  return async (rootHash) => {
    const partitions = await slotOf(disk, rootHash);
    if (!partitions) return false;
    const content = rootHash + replay.contentOf(partitions);
    const isKnown = known.get(content) ?? (await isWhole(disk, rootHash));
    known.set(content, isKnown);
    return isKnown;
  };
}

async function bootAndFinish(lab: Lab, disk: string): Promise<string> {
  const home = join(lab.dir, 'second');
  await mkdir(home);
  const copy = join(home, 'disk.raw');
  await run('cp', ['--sparse=always', disk, copy]);
  await cp(join(lab.fixture.tools, 'ovmf/vars.qcow2'), join(home, 'vars.qcow2'));
  const { blockLog: _, ...options } = lab.machine.options;
  const machine = new Machine({
    ...options,
    name: 'second',
    dir: home,
    disk: { path: copy, format: 'raw' },
    variables: join(home, 'vars.qcow2'),
  });
  try {
    await machine.start();
    let ready: Ready = await machine.awaitReady();
    const first = ready.version;
    while (ready.version === '1') ready = await machine.awaitReady(UPDATE_MS);
    await assertSettled(machine, ready, 'b', '2');
    return `came up in ${first}, settled in 2`;
  } catch (error) {
    throw await machine.explain(error);
  } finally {
    await machine.dispose();
  }
}

/** Around every flush, where order matters, and evenly in between. */
function momentsOf(recorded: readonly LogEntry[]): number[] {
  const flushes = recorded.flatMap((entry, index) => (entry.flush ? [index, index + 1] : []));
  const moments = new Set(evenly(flushes, CUTS / 2));
  for (let step = 1; moments.size < Math.min(CUTS, recorded.length); step += 1)
    for (const moment of evenly([...recorded.keys()], CUTS + step)) if (moments.size < CUTS) moments.add(moment);
  return [...moments].sort((one, two) => one - two);
}

const evenly = (all: readonly number[], count: number): number[] =>
  all.length <= count
    ? [...all]
    : Array.from({ length: count }, (_, n) => all[Math.trunc((n * all.length) / count)] ?? 0);

const rangesOf = async (disk: string, names: readonly string[]): Promise<Range[]> =>
  (await partitionsOf(disk)).filter((partition) => names.includes(partition.name));

/** The same sequence every time, so that a failure can be seen again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
