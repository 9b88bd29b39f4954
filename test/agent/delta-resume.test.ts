/** An interrupted delta goes on where it was: killed or without power at any point, the slot ends up right, and little is fetched twice. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBlocksHead } from '../../src/bundle/delta/blocks-head.ts';
import { parsePatchHead } from '../../src/bundle/delta/patch-head.ts';
import { volumeOf } from '../../src/bundle/image/volume.ts';
import { attempt, type DeltaHost, deltaHost, holds, RIGHT } from '../support/delta-host.ts';
import { BLOCK, blocksFile, buildRelease, type DeltaFile, patchFile, rootImage } from '../support/delta-releases.ts';
import { PowerCut } from '../support/recording-disk.ts';

const BLOCKS = 460;
const OLD = await buildRelease('1', rootImage(BLOCKS));
const NEW = await buildRelease(
  '2',
  rootImage(
    BLOCKS,
    new Map([
      [3, 0],
      ...Array.from({ length: 260 }, (_, at) => [190 + at, 9000 + at] as const),
      ...Array.from({ length: 30 }, (_, at) => [60 + at, 1010 + at] as const),
    ]),
  ),
  30,
);
/** What the memory source gives at once: some of it is fetched and not used when the reader stops. */
const PIECE = 5000;
const DELTAS = { patch: await patchFile(OLD, NEW), blocks: await blocksFile(OLD, NEW) };

/** Storage that stops for good at an operation, until it is revived. */
function mortal(deltas: readonly DeltaFile[]) {
  const state = { dead: false, dieAt: Number.POSITIVE_INFINITY };
  const before = (_: unknown, index: number): void => {
    if (index >= state.dieAt) state.dead = true;
    if (state.dead) throw new PowerCut();
  };
  const host = deltaHost(OLD, NEW, deltas, { options: { before } });
  const fetched = { bytes: 0 };
  const count = (kind: string, bytes: number): void => {
    // What somebody who is dead fetches does not count; the manifest is read by every attempt.
    if (!state.dead && kind !== 'bundle') fetched.bytes += bytes;
  };
  return {
    host,
    fetched,
    live: async (dieAt = Number.POSITIVE_INFINITY): Promise<boolean> => {
      Object.assign(state, { dead: false, dieAt });
      return attempt(host, { fetched: count }).then(
        // A cache that fails is tolerated, so the last operations end no attempt.
        () => !state.dead,
        (error: unknown) => {
          if (state.dead) return false;
          throw error;
        },
      );
    },
  };
}

/** The largest piece that is fetched at once. */
function largest(kind: 'patch' | 'blocks'): number {
  const { bytes, delta } = DELTAS[kind];
  const head = bytes.subarray(0, delta.head.size);
  const volume = volumeOf(NEW.manifest);
  if (kind === 'patch')
    return Math.max(...parsePatchHead(head, volumeOf(OLD.manifest), volume).segments.map((one) => one.packedSize));
  const { offsets } = parseBlocksHead(head, volume).frames;
  return Math.max(...[...offsets.subarray(1)].map((end, at) => end - (offsets[at] ?? 0)));
}

for (const kind of ['patch', 'blocks'] as const)
  describe(`a release that comes by ${kind}`, () => {
    test('and is killed at any write is finished by the next attempt, which fetches no more than what was under way again', async (context) => {
      const whole = mortal([DELTAS[kind]]);
      assert.ok(await whole.live());
      const { bytes: needed } = whole.fetched;
      let most = 0;
      // Afterwards the part is a UKI that waits, which the next attempt removes.
      const adopted = whole.host.storage.log.findLastIndex((op) => op.op === 'rename');
      for (let at = 0; at <= adopted; at += 2) {
        const killed = mortal([DELTAS[kind]]);
        assert.equal(await killed.live(at), false);
        assert.ok(await killed.live());
        assert.deepEqual(await holds(killed.host), RIGHT, killed.host.storage.describe(at));
        most = Math.max(most, killed.fetched.bytes - needed);
      }
      const frames = Math.max(0, most - PIECE) / largest(kind);
      context.diagnostic(
        `${whole.host.storage.log.length} kills; ${most} bytes of ${needed} twice: ${frames.toFixed(2)} frames`,
      );
      // One that is being written and one that is being made.
      assert.ok(frames <= 2, `${frames} frames were fetched twice`);
    });

    test('and is killed again and again still fetches each piece about once', async (context) => {
      const whole = mortal([DELTAS[kind]]);
      assert.ok(await whole.live());
      const host = mortal([DELTAS[kind]]);
      let kills = 0;
      for (let step = 7; !(await host.live(host.host.storage.log.length + step)); step += 1) kills += 1;
      assert.deepEqual(await holds(host.host), RIGHT);
      const extra = host.fetched.bytes - whole.fetched.bytes;
      context.diagnostic(`${kills} kills, ${extra} bytes twice`);
      assert.ok(kills > 2);
      assert.ok(extra <= kills * 2 * largest(kind), `${extra} bytes were fetched twice in ${kills} kills`);
    });

    test('and loses power, with what was not yet durable, is finished by the next attempt', async () => {
      const { host, live } = mortal([DELTAS[kind]]);
      assert.ok(await live());
      const every = Math.max(1, Math.floor(host.storage.log.length / 15));
      for (let count = 0; count <= host.storage.log.length; count += every)
        for (const seed of [undefined, 1]) {
          const after: DeltaHost = { ...host, storage: host.storage.crashAt(count, seed) };
          await attempt(after);
          assert.deepEqual(await holds(after), RIGHT, host.storage.describe(count));
        }
    });
  });

for (const deltas of [[DELTAS.blocks], [DELTAS.patch, DELTAS.blocks]])
  test(`one that is killed while damaged copies are replaced is finished by the next attempt (${deltas.length})`, async () => {
    const damaged = async (): Promise<ReturnType<typeof mortal>> => {
      const mortals = mortal(deltas);
      for (const block of [20, 21, 150])
        await mortals.host.storage.disk.write(block * BLOCK + 50, Uint8Array.of(1, 2, 3));
      return mortals;
    };
    const whole = await damaged();
    assert.ok(await whole.live());
    const adopted = whole.host.storage.log.findLastIndex((op) => op.op === 'rename');
    for (let at = Math.floor(adopted / 2); at <= adopted; at += 1) {
      const killed = await damaged();
      assert.equal(await killed.live(at), false);
      assert.ok(await killed.live());
      assert.deepEqual(await holds(killed.host), RIGHT, killed.host.storage.describe(at));
    }
  });
