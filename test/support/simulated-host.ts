/** A whole host on recorded storage: the real agent, installer, boot backend and partition code; only firmware and kernel are played. */

import assert from 'node:assert/strict';
import { createAgent } from '../../src/agent/agent.ts';
import type { AgentView } from '../../src/agent/control.ts';
import type { Hold } from '../../src/agent/find/releases.ts';
import { type HookGate, noHooks } from '../../src/agent/gates/hook-gate.ts';
import { type Gates, openGates } from '../../src/agent/gates/host-gates.ts';
import type { KeptLock } from '../../src/agent/gates/kept-lock.ts';
import { createDeltaCache } from '../../src/agent/install/delta/cache.ts';
import { createTransfer } from '../../src/agent/install/delta/transfer.ts';
import { findHost } from '../../src/agent/install/host.ts';
import { prepareInstall } from '../../src/agent/install/installer.ts';
import { scrubSlot } from '../../src/agent/install/scrub.ts';
import { openJournal } from '../../src/agent/loop/journal.ts';
import { type Loop, step } from '../../src/agent/loop/loop.ts';
import { isNamed } from '../../src/agent/loop/wish.ts';
import { onlyFirmware } from '../../src/agent/restart/restart.ts';
import { type Manifest, manifestDigest, serializeManifest } from '../../src/bundle/manifest.ts';
import { BLOCK, createTreeBuilder, saltFor, superblock, treeLayout, treeUuid } from '../../src/bundle/verity.ts';
import type { Product, Release, Sha256, SlotName, Version } from '../../src/model.ts';
import { readTable } from '../../src/partitions/partition-table.ts';
import { bootedSlot, type DiskFacts } from '../../src/partitions/slots.ts';
import { uuidsOfRootHash } from '../../src/partitions/uuids.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { deadMan } from '../../src/reboot/dead-man.ts';
import { entryKernels } from '../../src/reboot/kernels/entry-kernels.ts';
import { counted, formatEntryName, parseEntryName } from '../../src/reboot/kernels/entry-name.ts';
import { entriesDir, readEsp } from '../../src/reboot/kernels/esp-entries.ts';
import type { Clock } from '../../src/system/clock.ts';
import { fetchRanges } from '../../src/system/http/ranges.ts';
import { silentLog } from '../../src/system/log.ts';
import type { TrustedDelta } from '../../src/verify/deltas.ts';
import { about, bundleBytes, noSignal, someBytes } from './bundles.ts';
import { blocksFile, type DeltaFile, patchFile } from './delta-releases.ts';
import { directPool } from './direct-pool.ts';
import { uki } from './esp.ts';
import { DISK_GUID, gptDisk } from './gpt-disk.ts';
import { noLock } from './kept-lock.ts';
import { RecordingDisk, type RecordingOptions } from './recording-disk.ts';
import { memorySource } from './sources.ts';

const PRODUCT = 'shop' as Product;
const KIB = 1024;
const ROOT_SIZE = 64 * KIB;
const PARTITION = 128 * KIB;
const START = 64 * KIB;
const LABELS = ['root-a', 'root-a-verity', 'root-b', 'root-b-verity'] as const;
const SLOTS = { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } };
const ESP = '/efi';
const STATE = '/state';
const NOW = new Date('2026-01-01T00:00:00Z');

/** What the new release does when it is started. */
export type Behaviour = 'good' | 'unbootable' | 'unhealthy';

/** `deltas` lead from release 1 to it. */
export type Update = Readonly<{
  behaviour: Behaviour;
  bundle: Uint8Array;
  manifest: Manifest;
  root: Uint8Array;
  deltas?: readonly DeltaFile[];
  /** What keeps the channel from offering it, if anything does, or that it is out of reach. */
  held?(): Hold | undefined;
  /** The tiers by which it was installed so far. */
  tiers: string[];
}>;

const rootOf = (version: string): Uint8Array => someBytes(ROOT_SIZE, version.charCodeAt(0));
const rootHashOf = (root: Uint8Array): Sha256 => {
  const tree = createTreeBuilder(saltFor(about.product), root.length / 4096);
  tree.addBlocks(root);
  return tree.finish();
};

/** The verity tree of a root, as it lies on its partition. */
function treeOf(root: Uint8Array): Uint8Array {
  const salt = saltFor(about.product);
  const dataBlocks = root.length / BLOCK;
  const bytes = new Uint8Array(treeLayout(dataBlocks).size);
  const tree = createTreeBuilder(salt, dataBlocks, (offset, block) => bytes.set(block, offset));
  tree.addBlocks(root);
  bytes.set(superblock(salt, treeUuid(tree.finish()), dataBlocks));
  return bytes;
}

/** The release that the host is offered: version 2, of which there is one for each `build`. */
export async function makeUpdate(behaviour: Behaviour, build = '2'): Promise<Update> {
  const root = rootOf(build);
  const { bundle, manifest } = await bundleOf('2', root);
  return { behaviour, bundle, manifest, root, tiers: [] };
}

/** The same, as a release that shares most blocks with release 1 and is offered with a delta of this kind. */
export async function makeDeltaUpdate(behaviour: Behaviour, kind: 'patch' | 'blocks'): Promise<Update> {
  const root = rootOf('1');
  const old = await bundleOf('1', root.slice());
  root.set(rootOf('2').subarray(0, 3 * BLOCK), 6 * BLOCK);
  root.copyWithin(0, BLOCK, 3 * BLOCK);
  const fresh = await bundleOf('2', root);
  const delta = await (kind === 'patch' ? patchFile(old, fresh) : blocksFile(old, fresh));
  return { behaviour, ...fresh, root, deltas: [delta], tiers: [] };
}

async function bundleOf(version: string, root: Uint8Array) {
  const images = { root, uki: uki(version, rootHashOf(root)) };
  const own = { product: PRODUCT, version: version as Version, counter: Number(version) };
  const { bytes, manifest, manifestBytes } = await bundleBytes(images, { about: own, frameSize: 16 * KIB });
  return { bundle: bytes, manifest, expected: { sha256: manifestDigest(manifestBytes), size: manifestBytes.length } };
}

/** Storage of a host that runs release 1 from slot a, and has nothing in slot b. */
export function freshStorage(options: Pick<RecordingOptions, 'dropSync'> = {}): RecordingDisk {
  const root = rootOf('1');
  const uuids = uuidsOfRootHash(rootHashOf(root));
  const uuidOf = (index: number): string =>
    [uuids.root, uuids.verity][index] ?? `00000000-0000-4000-8000-00000000000${index}`;
  const parts = LABELS.map((label, index) => ({
    label,
    offset: START + index * PARTITION,
    size: PARTITION,
    uuid: uuidOf(index),
  }));
  const disk = gptDisk(START + LABELS.length * PARTITION + 64 * KIB, 512, parts);
  disk.set(root, START);
  disk.set(treeOf(root), START + PARTITION);
  const files = new Map([[`${ESP}/EFI/Linux/shop_1.efi`, uki('1', rootHashOf(root))]]);
  return new RecordingDisk({ disk, files, dirs: [ESP, `${ESP}/EFI`, `${ESP}/EFI/Linux`, STATE], ...options });
}

class Rebooted extends Error {}

/** Starts the machine again and again until its agent rests; returns what it ended with. An operator may `ask` after the first start. */
export async function liveUntilRest(
  storage: RecordingDisk,
  update: Update,
  ask?: (view: AgentView) => Promise<unknown>,
  gates: Gates = openGates,
  hooks: HookGate = noHooks,
  lock: KeptLock = noLock,
) {
  const held = { gates, hooks, lock };
  for (let boots = 1; boots < 30; boots++) {
    const booted = await firmware(storage, update);
    try {
      return await agentUntilRest(storage, update, booted, String(boots), boots === 1 ? ask : undefined, held);
    } catch (error) {
      if (!(error instanceof Rebooted)) throw error;
    }
  }
  return assert.fail('never came to rest');
}

/** What systemd-boot and the kernel do: take the first entry, count it, and start what its root hash finds, if it is whole. */
async function firmware(storage: RecordingDisk, update: Update): Promise<SlotName> {
  for (let tries = 0; tries < 20; tries++) {
    const esp = await espOf(storage);
    const [entry] = (await readEsp(esp)).entries;
    assert.ok(entry, 'BRICK: no boot entry leads to a slot');
    const name = parseEntryName(PRODUCT, entry.file);
    if (name?.counter)
      await rename(storage, entry.file, formatEntryName(PRODUCT, { ...name, counter: counted(name.counter) }));
    const isWhole = rootHashOf(await rootOn(storage, entry.slot)) === entry.rootHash;
    if (isWhole && (entry.version !== '2' || update.behaviour !== 'unbootable')) return entry.slot;
    assert.ok(name?.counter, `BRICK: slot ${entry.slot} cannot start and is not counted`);
  }
  return assert.fail('BRICK: nothing starts');
}

async function agentUntilRest(
  storage: RecordingDisk,
  update: Update,
  booted: SlotName,
  bootId: string,
  ask: ((view: AgentView) => Promise<unknown>) | undefined,
  held: Readonly<{ gates: Gates; hooks: HookGate; lock: KeptLock }>,
) {
  const { files } = storage;
  const esp = { ...(await espOf(storage)), log: silentLog };
  const host = await hostOf(storage, booted);
  const boot = systemdBoot(esp);
  const kernels = entryKernels(esp, async () => 1024 * KIB);
  const journal = openJournal(files, STATE, silentLog);
  const manifest = serializeManifest(update.manifest);
  const release: Release & { counter: number; manifest: Sha256 } = {
    product: PRODUCT,
    version: '2' as Version,
    counter: 2,
    manifest: manifestDigest(manifest),
  };
  const expected = { sha256: release.manifest, size: manifest.length };
  const bundle = { path: 'b', size: update.bundle.length, sha256: release.manifest };
  const trusted = {
    release,
    architecture: 'x86-64',
    minAgent: '0.1.0',
    manifest: expected,
    bundle,
    deltas: [],
  } as const;
  const agent = await createAgent(
    {
      product: PRODUCT,
      architecture: 'x86-64',
      version: '0.1.0',
      member: { group: 'default' },
      booted,
      bootId,
      systemVersion: '1' as Version,
      tries: 3,
      ...held,
      journal,
      boot,
      deadMan: deadMan(files, { stateDir: STATE, runtimeDir: '/run' }, boot.name, kernels.rootHash),
      releases: {
        find: async (asked) => {
          const hold = isNamed(asked) ? undefined : update.held?.();
          return hold ? { hold } : { trusted, allowDowngrade: false };
        },
        open: () => assert.fail('not asked'),
      },
      prepare: async (wanted, target, told, signal) => {
        const transfer = createTransfer(stillClock, undefined);
        const prepared = await prepareInstall(
          {
            find: async () => ({ source: memorySource(update.bundle), expected, ...openDeltas(update) }),
            openSlot: host.openSlot,
            kernels,
            runningRootHash: () => kernels.rootHash(booted),
            pool: directPool,
            delta: {
              openRunning: async () => {
                const rootHash = await kernels.rootHash(booted);
                const kernel = await kernels.open(booted);
                return (
                  rootHash && { rootHash, ...(await host.openForReading(booted)), ...(kernel ? { uki: kernel } : {}) }
                );
              },
              fetchRanges: (mirrors, ranges, options) =>
                fetchRanges(mirrors, ranges, {
                  ...options,
                  resumption: { clock: stillClock, random: still },
                  connections: 1,
                }),
              cache: createDeltaCache(files, `${STATE}/delta`, silentLog),
            },
            transfer,
            told,
            log: silentLog,
          },
          wanted,
          target,
          signal,
        );
        const write = async (): Promise<void> => {
          await prepared.write();
          update.tiers.push(transfer.status().tier);
        };
        return { ...prepared, write };
      },
      scrub: async (slot, told, signal) => {
        const rootHash = await kernels.rootHash(slot);
        assert.ok(rootHash);
        await using open = await host.openForReading(slot);
        await scrubSlot(open, rootHash, told, signal);
      },
      probe: async () => {
        const isSick = update.behaviour === 'unhealthy' && (await boot.read()).slots[booted].version === '2';
        return isSick ? { ok: false, reason: 'sick' } : { ok: true };
      },
      reboot: async () => {
        throw new Rebooted();
      },
      restart: onlyFirmware(bootId, stillClock),
      proven: async () => {},
      waiveClock: async () => undefined,
      limits: { jitterMs: 0, backoffMs: 1, backoffLimitMs: 1 },
      scheduled: () => new Date(NOW.getTime() + 1e9),
      clock: stillClock,
      random: { fraction: () => 0, bytes: () => new Uint8Array() },
      log: silentLog,
    },
    noSignal,
  );
  let failure: Error | undefined;
  const failed: Loop['failed'] = (action, error) => {
    agent.loop.failed(action, error);
    // The next turn asks again.
    if (error.code !== 'server-unreachable') failure = error;
  };
  const loop = { ...agent.loop, failed };
  let asked = ask === undefined;
  for (let turns = 0; turns < 60; turns++) {
    const reason = await step(loop);
    if (failure?.cause instanceof Rebooted || failure instanceof Rebooted) throw new Rebooted();
    if (failure) throw failure;
    if (reason === 'the next check' && !asked) {
      asked = true;
      await ask?.(agent.view);
      continue;
    }
    // In `staged` a gate is what it waits for.
    if (reason !== undefined && (reason === 'the next check' || agent.loop.state().kind === 'staged'))
      return {
        booted,
        ...(await agent.view.status()),
        marker: await deadMan(files, { stateDir: STATE, runtimeDir: '/run' }, boot.name, kernels.rootHash).read(),
      };
  }
  return assert.fail('the agent never rested');
}

function openDeltas({ deltas = [] }: Update) {
  return {
    deltas: deltas.map(({ delta }) => delta),
    openDelta: async (delta: TrustedDelta) => {
      const source = memorySource(deltas.find((one) => one.delta === delta)?.bytes ?? new Uint8Array());
      return { source, mirrors: [source] };
    },
  };
}

const still = { fraction: () => 0, bytes: () => new Uint8Array() };
const stillClock: Clock = { now: () => NOW, monotonicMs: () => 0, sleep: async () => {} };

async function espOf(storage: RecordingDisk) {
  const slotOfRootHash = async (rootHash: Sha256): Promise<SlotName | undefined> => {
    const { entries } = await readTable(storage.disk, [512]);
    const uuids = uuidsOfRootHash(rootHash);
    return (['a', 'b'] as const).find((slot) =>
      entries.some((one) => one.label === `root-${slot}` && one.uuid === uuids.root),
    );
  };
  return { files: storage.files, dir: ESP, product: PRODUCT, slotOfRootHash };
}

const numberOf = (booted: SlotName): string => (booted === 'a' ? '254:1' : '254:3');

function hostOf(storage: RecordingDisk, booted: SlotName) {
  const facts = async (): Promise<DiskFacts> => {
    const table = await readTable(storage.disk, [512]);
    const partitions = table.entries.map((entry) => ({
      ...entry,
      path: `/dev/d${entry.number}`,
      rdev: `254:${entry.number}`,
    }));
    const disk = { path: '/dev/d', rdev: '254:0', guid: DISK_GUID, sectorSize: 512 };
    return { disk, partitions, rootDevices: [numberOf(booted)], elsewhere: [] };
  };
  return findHost(
    { slots: SLOTS },
    {
      facts,
      placeOf: async () => assert.fail('no firmware to be told'),
      booted: bootedSlot,
      openFree: async (slot, role) => {
        assert.notEqual(slot.name, booted, 'DANGER: the running slot was opened for writing');
        const at = slot[role];
        assert.ok(at);
        return storage.partition(at.offset, at.size);
      },
      openForReading: async (at) => storage.partition(at.offset, at.size),
      openTable: async () => storage.disk,
    },
  );
}

async function rootOn(storage: RecordingDisk, slot: SlotName): Promise<Uint8Array> {
  const { entries } = await readTable(storage.disk, [512]);
  const found = entries.find((one) => one.label === `root-${slot}`);
  assert.ok(found);
  return storage.bytes(found.offset, ROOT_SIZE).slice();
}

/** The boot loader renames in place; what it did is on the disk. */
async function rename(storage: RecordingDisk, from: string, to: string): Promise<void> {
  const dir = entriesDir({ dir: ESP });
  await storage.files.rename(`${dir}/${from}`, `${dir}/${to}`);
  await storage.files.syncDir(dir);
}
