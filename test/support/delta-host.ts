/** A host on recorded storage that runs one release and installs another into its free slot by the real installer. */

import { createDeltaCache } from '../../src/agent/install/delta/cache.ts';
import { createTransfer, type Transfer } from '../../src/agent/install/delta/transfer.ts';
import { type InstallerWorld, type OpenSlot, prepareInstall } from '../../src/agent/install/installer.ts';
import type { ByteSource } from '../../src/bundle/byte-source.ts';
import type { Sha256, SlotName } from '../../src/model.ts';
import { bootFiles } from '../../src/reboot/bootloaders/boot-files.ts';
import { entryKernels } from '../../src/reboot/kernels/entry-kernels.ts';
import type { Clock } from '../../src/system/clock.ts';
import type { BlockTarget } from '../../src/system/disk/block-target.ts';
import { type Files, readPartOf, writePartOf } from '../../src/system/files.ts';
import { fetchRanges } from '../../src/system/http/ranges.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import type { TrustedDelta } from '../../src/verify/deltas.ts';
import { noSignal } from './bundles.ts';
import type { Built, DeltaFile } from './delta-releases.ts';
import { BLOCK, PRODUCT } from './delta-releases.ts';
import { directPool } from './direct-pool.ts';
import { RecordingDisk, type RecordingOptions } from './recording-disk.ts';
import { memorySource } from './sources.ts';

const ESP = '/efi';
const STATE = '/state/delta';

/** What is done to a source before it is read; for faults. */
export type Tamper = (source: ByteSource, kind: 'bundle' | 'blocks' | 'patch') => ByteSource;

export type DeltaHost = Readonly<{
  storage: RecordingDisk;
  old: Built;
  fresh: Built;
  deltas: readonly DeltaFile[];
  /** Bytes of each partition, root-a, verity-a, root-b, verity-b, one after the other. */
  partition: number;
}>;

/** Runs `old` from slot a; slot b holds `before`, or nothing. */
export function deltaHost(
  old: Built,
  fresh: Built,
  deltas: readonly DeltaFile[],
  { before, options = {} }: { before?: Built; options?: RecordingOptions } = {},
): DeltaHost {
  const partition = Math.max(old.root.length, fresh.root.length, before?.root.length ?? 0) + 8 * BLOCK;
  const disk = new Uint8Array(4 * partition);
  for (const [slot, built] of [old, before].entries()) {
    if (!built) continue;
    disk.set(built.root, 2 * slot * partition);
    disk.set(built.tree, (2 * slot + 1) * partition);
  }
  const files = new Map([[`${ESP}/EFI/Linux/${PRODUCT}_${old.version}.efi`, old.uki]]);
  const dirs = [ESP, `${ESP}/EFI`, `${ESP}/EFI/Linux`, '/state'];
  return { storage: new RecordingDisk({ disk, files, dirs, ...options }), old, fresh, deltas, partition };
}

export type Attempt = Readonly<{
  tamper?: Tamper;
  /** What the running system's partition gives. */
  running?: (root: BlockTarget) => BlockTarget;
  /** The free slot's partition as it is written and read. */
  free?: (root: BlockTarget) => BlockTarget;
  log?: Log;
  /** The files on the ESP. */
  esp?: (files: Files) => Files;
  /** Each kind's bytes as they are fetched. */
  fetched?: (kind: string, bytes: number) => void;
  /** Where the release is found instead of in memory. */
  find?: InstallerWorld['find'];
  /** Told what is opened, and closed, by its kind. */
  handled?: (what: 'opened' | 'closed', kind: string) => void;
  signal?: AbortSignal;
  /** Nothing that a release can be put together from. */
  isBare?: boolean;
}>;

/** One attempt; returns what was counted. */
export async function attempt(host: DeltaHost, how: Attempt = {}): Promise<ReturnType<Transfer['status']>> {
  const transfer = createTransfer(ticking(), undefined);
  const world = worldOf(host, transfer, how);
  await using prepared = await prepareInstall(world, host.fresh.release, 'b', how.signal ?? noSignal);
  await prepared.write();
  return transfer.status();
}

/** What the free slot holds, and what waits on the ESP. */
export async function holds({ storage, fresh, partition }: DeltaHost) {
  const name = `${ESP}/EFI/Linux/.${PRODUCT}_${fresh.version}.efi.tandem-new`;
  return {
    root: Buffer.from(storage.bytes(2 * partition, fresh.root.length)).equals(fresh.root),
    tree: Buffer.from(storage.bytes(3 * partition, fresh.tree.length)).equals(fresh.tree),
    uki: Buffer.from((await storage.files.read(name)) ?? []).equals(fresh.uki),
    part: await storage.files.read(`${ESP}/EFI/Linux/.${PRODUCT}_${fresh.version}.efi.tandem-part`),
    cache: await storage.files.list(STATE),
  };
}

export const RIGHT = { root: true, tree: true, uki: true, part: undefined, cache: [] };

function worldOf(
  { storage, old, fresh, deltas, partition }: DeltaHost,
  transfer: Transfer,
  how: Attempt,
): InstallerWorld {
  const {
    tamper = (source) => source,
    running = (root) => root,
    free = (root) => root,
    log = silentLog,
    fetched = () => {},
    handled = () => {},
    esp: onEsp = (files) => files,
  } = how;
  const slotOfRootHash = async (hash: Sha256): Promise<SlotName | undefined> =>
    hash === old.rootHash ? 'a' : hash === fresh.rootHash ? 'b' : undefined;
  const files = onEsp(storage.files);
  const { writableSpace, ...io } = bootFiles({
    files,
    readPart: readPartOf(files),
    writePart: writePartOf(files),
    writableSpace: async () => Number.MAX_SAFE_INTEGER,
  });
  const kernels = entryKernels({ ...io, dir: ESP, product: PRODUCT, slotOfRootHash, log }, writableSpace);
  const clock = ticking();
  const source = (bytes: Uint8Array, kind: 'bundle' | 'blocks' | 'patch'): ByteSource =>
    counted(tamper(memorySource(bytes, 5000, kind), kind), (count) => fetched(kind, count));
  const at = (index: number): BlockTarget => storage.partition(index * partition, partition);
  const slot: OpenSlot = {
    root: free(at(2)),
    verity: at(3),
    neutralise: async () => {},
    name: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const inMemory: InstallerWorld['find'] = async () => ({
    source: source(fresh.bundle, 'bundle'),
    expected: fresh.expected,
    deltas: deltas.map(({ delta }) => delta),
    openDelta: async (delta: TrustedDelta) => {
      const found = source(deltas.find((one) => one.delta === delta)?.bytes ?? new Uint8Array(), delta.kind);
      handled('opened', delta.kind);
      return { source: found, mirrors: [found], [Symbol.asyncDispose]: async () => handled('closed', delta.kind) };
    },
  });
  return {
    find: how.find ?? inMemory,
    openSlot: async () => slot,
    kernels,
    runningRootHash: async () => old.rootHash,
    pool: directPool,
    transfer,
    delta: {
      openRunning: async () => {
        if (how.isBare) return undefined;
        const uki = await kernels.open('a');
        handled('opened', 'running');
        return {
          rootHash: old.rootHash,
          root: readOnly(running(at(0))),
          verity: readOnly(at(1)),
          ...(uki ? { uki } : {}),
          [Symbol.asyncDispose]: async () => handled('closed', 'running'),
        };
      },
      fetchRanges: (mirrors, ranges, options) =>
        fetchRanges(mirrors, ranges, {
          ...options,
          resumption: { clock, random: { fraction: () => 0, bytes: () => new Uint8Array() }, attempts: 2 },
          connections: 2,
        }),
      cache: createDeltaCache(storage.files, STATE, log),
    },
    told: () => {},
    log,
  };
}

const readOnly = (target: BlockTarget): BlockTarget => ({
  ...target,
  write: async () => {
    throw new Error('DANGER: the running slot was written');
  },
});

function counted(source: ByteSource, count: (bytes: number) => void): ByteSource {
  return {
    ...source,
    open: async function* (offset, signal, end) {
      for await (const bytes of source.open(offset, signal, end)) {
        count(bytes.length);
        yield bytes;
      }
    },
  };
}

/** A clock on which every look takes a moment, and no sleep takes long. */
function ticking(): Clock {
  let now = 0;
  return { now: () => new Date(0), monotonicMs: () => ++now, sleep: async () => {} };
}
