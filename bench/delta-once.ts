/**
 * Applies one tier once and tells its figures as JSON: over HTTP, from one pair of devices into another, in a process of its own.
 * usage: delta-once.js PLAN.json   (devices need root)
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDeltaCache } from '../src/agent/install/delta/cache.ts';
import { createTransfer } from '../src/agent/install/delta/transfer.ts';
import type { RemoteFile } from '../src/agent/install/delta/world.ts';
import { prepareInstall } from '../src/agent/install/installer.ts';
import { DECODER } from '../src/bundle/decode/decoder.ts';
import { decodePool } from '../src/bundle/decode/pool.ts';
import { manifestIdentity, openBundle } from '../src/bundle/reader.ts';
import type { Product, Release, Sha256, Version } from '../src/model.ts';
import { entryKernels } from '../src/reboot/kernels/entry-kernels.ts';
import { realClock } from '../src/system/clock.ts';
import { openBlockTarget } from '../src/system/disk/block-device.ts';
import { readPart, realFiles, writePart } from '../src/system/files.ts';
import { createHttp } from '../src/system/http/http.ts';
import { fetchRanges } from '../src/system/http/ranges.ts';
import { httpSource, rangeSources } from '../src/system/http/source.ts';
import { createLog } from '../src/system/log.ts';
import { keepHeapSmall } from '../src/system/process/process.ts';
import { realRandom } from '../src/system/random.ts';
import type { TrustedDelta } from '../src/verify/deltas.ts';

/** Without `delta` it is the full tier. `uki` of `old` is a file; `esp` a folder, where the kernel image and the cache are put. */
type Plan = Readonly<{
  bundle: string;
  /** As signed metadata would name it; otherwise it is found out, at the price of a megabyte. */
  manifest?: Readonly<{ sha256: Sha256; size: number }>;
  delta?: Readonly<{
    kind: 'blocks' | 'patch';
    url: string;
    size: number;
    head: Readonly<{ size: number; sha256: Sha256 }>;
  }>;
  old: Readonly<{ root: string; verity: string; rootHash: Sha256; uki?: string }>;
  target: Readonly<{ root: string; verity: string; esp: string }>;
  workers?: number;
}>;

// As the agent does.
keepHeapSmall();
const plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Plan;
const signal = new AbortController().signal;
const log = createLog('warn', 'text');
const resumption = { clock: realClock, random: realRandom, attempts: 3 };
const counts = { requests: 0, bytes: 0 };
async function apply(): Promise<unknown> {
  const bundle = await remote(plan.bundle);
  const expected = plan.manifest ?? (await manifestIdentity(bundle.source, signal));
  const { manifest } = await openBundle(bundle.source, expected, signal);
  const release: Release = { product: manifest.product, version: manifest.version, counter: manifest.counter };
  // What an agent knows from signed metadata is not part of the measurement.
  counts.requests = 0;
  counts.bytes = 0;
  const start = performance.now();
  const transfer = createTransfer(realClock, undefined);
  const phases: Record<string, number> = {};
  {
    await using held = new AsyncDisposableStack();
    const open = { writable: true, exclusive: true } as const;
    const root = held.use(await openBlockTarget(plan.target.root, open));
    const verity = held.use(await openBlockTarget(plan.target.verity, open));
    const world = { openSlot: async () => ({ root, verity, ...nothing }), ...worldOf(manifest.product) };
    const deltas = deltaOf(release.version);
    const found = { ...bundle, expected, deltas, openDelta: () => remote(plan.delta?.url ?? '') };
    const told = (phase: string): void => {
      phases[phase] = (performance.now() - start) / 1000;
    };
    await using prepared = await prepareInstall(
      { ...world, find: async () => found, transfer, told },
      release,
      'b',
      signal,
    );
    await prepared.write();
  }
  const { planned: _, ...status } = transfer.status();
  return {
    ...status,
    seconds: (performance.now() - start) / 1000,
    /** When each phase was last told of. */
    phases,
    cpu: process.cpuUsage(),
    peakRssBytes: peakRss(),
    requests: counts.requests,
    wireBytes: counts.bytes,
  };
}

const nothing = { neutralise: async () => {}, name: async () => {}, [Symbol.asyncDispose]: async () => {} };

function deltaOf(version: Version): readonly TrustedDelta[] {
  if (!plan.delta) return [];
  const { kind, size, head } = plan.delta;
  const from = kind === 'patch' ? { from: { version, rootHash: plan.old.rootHash } } : {};
  return [{ kind, path: '', size, sha256: head.sha256, head, ...from }];
}

function worldOf(product: Product) {
  const dir = plan.target.esp;
  mkdirSync(join(dir, 'EFI', 'Linux'), { recursive: true });
  const esp = { files: realFiles, dir, product, readPart, writePart, slotOfRootHash: async () => 'b' as const, log };
  const forReading = { writable: false, exclusive: false } as const;
  return {
    kernels: entryKernels(esp, async () => Number.MAX_SAFE_INTEGER),
    runningRootHash: async () => plan.old.rootHash,
    pool: () => decodePool({ workers: plan.workers ?? 2, entry: DECODER }),
    delta: {
      openRunning: async () => {
        const root = await openBlockTarget(plan.old.root, forReading);
        const verity = await openBlockTarget(plan.old.verity, forReading);
        const uki = plan.old.uki === undefined ? undefined : await fileReader(plan.old.uki);
        const close = async (): Promise<void> => {
          await root[Symbol.asyncDispose]();
          await verity[Symbol.asyncDispose]();
        };
        return { rootHash: plan.old.rootHash, root, verity, ...(uki ? { uki } : {}), [Symbol.asyncDispose]: close };
      },
      fetchRanges: (
        ...[mirrors, ranges, options]: Parameters<import('../src/agent/install/delta/world.ts').FetchRanges>
      ) => fetchRanges(mirrors, ranges, { ...options, resumption }),
      cache: createDeltaCache(realFiles, join(dir, 'delta'), log),
    },
    log,
  };
}

async function remote(url: string): Promise<RemoteFile> {
  // Not by fetch: its memory would count.
  const answer = execFileSync('curl', ['--silent', '--fail', '--head', url]).toString();
  const size = Number(/^content-length: (\d+)/im.exec(answer)?.[1]);
  const http = createHttp({
    connectTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    userAgent: 'bench',
    clock: realClock,
    counted: ({ requests, bytes }) => {
      counts.requests += requests;
      counts.bytes += bytes;
    },
  });
  return { source: httpSource(http, url, size, resumption), mirrors: rangeSources(http, [url], size) };
}

async function fileReader(path: string) {
  const size = (await readPart(path, 0, 0))?.size ?? 0;
  const read = async (offset: number, length: number): Promise<Uint8Array> =>
    (await readPart(path, offset, length))?.bytes ?? new Uint8Array();
  return { size, read };
}

/** VmHWM rather than getrusage: the latter begins with the figure of the process that started us. */
function peakRss(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

console.log(JSON.stringify(await apply()));
