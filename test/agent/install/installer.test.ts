/** What can be refused is refused before the first write, by name, and the slot is given up again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InstallerWorld, type OpenSlot, prepareInstall } from '../../../src/agent/install/installer.ts';
import { imageOf, manifestDigest, rootOf, serializeManifest } from '../../../src/bundle/manifest.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Product, Release, Version } from '../../../src/model.ts';
import type { Kernels } from '../../../src/reboot/kernels/kernels.ts';
import type { BlockTarget } from '../../../src/system/disk/block-target.ts';
import { silentLog } from '../../../src/system/log.ts';
import { about, bundleBytes, noSignal, someBytes } from '../../support/bundles.ts';
import { directPool } from '../../support/direct-pool.ts';
import { uki } from '../../support/esp.ts';
import { memorySource } from '../../support/sources.ts';

const MIB = 1024 * 1024;
const own = { product: 'shop' as Product, version: '2' as Version, counter: 2 };
const { bytes, manifest } = await bundleBytes({ root: someBytes(64 * 1024), uki: uki('2') }, { about: own });
const manifestBytes = serializeManifest(manifest);
const expected = { sha256: manifestDigest(manifestBytes), size: manifestBytes.length };
const release: Release = { ...own, manifest: expected.sha256 };

/** A slot that may be looked at, and fails the test when it is written. */
function slotOf(sizes: { root: number; verity?: number }): OpenSlot & { closed(): boolean } {
  let closed = false;
  const never = async (): Promise<never> => assert.fail('something was written');
  const target = (size: number): BlockTarget => ({
    name: 'slot b',
    size,
    read: async (_, length) => new Uint8Array(length),
    write: never,
    flush: never,
    [Symbol.asyncDispose]: async () => {},
  });
  return {
    root: target(sizes.root),
    ...(sizes.verity === undefined ? {} : { verity: target(sizes.verity) }),
    neutralise: never,
    name: never,
    closed: () => closed,
    [Symbol.asyncDispose]: async () => {
      closed = true;
    },
  };
}

const untouched = (): never => assert.fail('a kernel was touched');
const noKernels: Kernels = {
  checkRoom: async () => {},
  checkFit: async () => {},
  put: untouched,
  open: untouched,
  openPart: untouched,
  adoptPart: untouched,
  removeParts: untouched,
  rootHash: untouched,
};

const worldOf = (slot: OpenSlot, rest: Partial<InstallerWorld> = {}): InstallerWorld => ({
  find: async () => ({ source: memorySource(bytes), expected }),
  openSlot: async () => slot,
  kernels: noKernels,
  runningRootHash: async () => undefined,
  pool: () => assert.fail('something was decoded'),
  told: () => {},
  log: silentLog,
  ...rest,
});

const roomy = { root: MIB, verity: MIB };

async function refused(
  code: string,
  sizes: { root: number; verity?: number },
  rest: Partial<InstallerWorld> = {},
  wanted = release,
) {
  const slot = slotOf(sizes);
  await assert.rejects(prepareInstall(worldOf(slot, rest), wanted, 'b', noSignal), { code });
  return slot;
}

test('a release that fits is prepared without a write, and the slot is held until it is given up', async () => {
  const slot = slotOf(roomy);
  const prepared = await prepareInstall(worldOf(slot), release, 'b', noSignal);
  assert.equal(slot.closed(), false);
  await prepared[Symbol.asyncDispose]();
  assert.equal(slot.closed(), true);
});

test('an image larger than its partition is refused, the root as well as the tree', async () => {
  assert.equal((await refused('slot-too-small', { root: 4096, verity: MIB })).closed(), true);
  assert.equal((await refused('slot-too-small', { root: MIB, verity: 4096 })).closed(), true);
});

test('a release with a tree of its own needs a partition for it', () => {
  return refused('partition-missing', { root: MIB }).then(assert.ok);
});

test('a full ESP is found out before the slot is touched', async () => {
  const checkRoom = async (): Promise<never> => {
    throw new UpdateError('esp-full');
  };
  assert.equal((await refused('esp-full', roomy, { kernels: { ...noKernels, checkRoom } })).closed(), true);
});

test('a kernel that the boot loader could not start is found out before the slot is touched, from the bundle itself', async () => {
  const seen: Uint8Array[] = [];
  const checkFit: Kernels['checkFit'] = async (target, { size, sha256 }, content) => {
    assert.deepEqual([target, size, sha256], ['b', content.size, imageOf(manifest, 'uki')?.sha256]);
    seen.push(await content.read(0, size), await content.read(1000, 700));
    throw new UpdateError('boot-version-clash');
  };
  assert.equal((await refused('boot-version-clash', roomy, { kernels: { ...noKernels, checkFit } })).closed(), true);
  const whole = uki('2');
  assert.deepEqual(
    seen.map((one) => Buffer.from(one)),
    [Buffer.from(whole), Buffer.from(whole.subarray(1000, 1700))],
  );
});

test('a release without a kernel image is refused: nothing could start it', async () => {
  const without = await bundleBytes({ root: someBytes(64 * 1024) }, { about: own });
  const bytes = serializeManifest(without.manifest);
  const promised = { sha256: manifestDigest(bytes), size: bytes.length };
  const find = async () => ({ source: memorySource(without.bytes), expected: promised });
  await refused('uki-invalid', roomy, { find }, { ...own, manifest: promised.sha256 });
});

test('a release with the root image that is running is refused: its entry could not be told from ours', () =>
  refused('same-root', roomy, { runningRootHash: async () => rootOf(manifest).verity.rootHash }).then(assert.ok));

test('a manifest that tells another story than the metadata is refused', async () => {
  await refused('wrong-product', roomy, {}, { ...release, version: '3' as Version });
  await refused('wrong-product', roomy, {}, { ...release, counter: 3 });
  await refused('wrong-product', roomy, {}, { ...release, product: about.product });
});

test('a bundle whose manifest is not the signed one is refused before it is parsed', () =>
  refused('manifest-mismatch', roomy, {
    find: async () => ({
      source: memorySource(bytes),
      expected: { ...expected, sha256: rootOf(manifest).verity.rootHash },
    }),
  }).then(assert.ok));

test('a slot loses its names before its first byte is written: no boot entry finds half a system', async () => {
  const deeds: string[] = [];
  const slot = slotOf(roomy);
  const failing = (target: BlockTarget): BlockTarget => ({
    ...target,
    write: async () => {
      deeds.push('write');
      throw new UpdateError('disk-write-error');
    },
  });
  const recording: OpenSlot = {
    ...slot,
    root: failing(slot.root),
    verity: failing(slot.verity ?? assert.fail()),
    neutralise: async () => void deeds.push('neutralise'),
  };
  const world = worldOf(recording, { pool: directPool });
  await using prepared = await prepareInstall(world, release, 'b', noSignal);
  await assert.rejects(prepared.write(), { code: 'disk-write-error' });
  assert.deepEqual(deeds.slice(0, 2), ['neutralise', 'write']);
});
