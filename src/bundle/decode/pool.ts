/** Decodes and hashes in a few threads, in order, in bounded memory shared between threads and writer. */

import { BLOCK } from '../verity.ts';
import { createBatch, type DecodeBatch, type DecodeJob } from './batch.ts';
import type { Decoder } from './decoder.ts';
import { type DecoderData, type SegmentRequest, SLOT, slotIn } from './messages.ts';
import { type DecodeThread, startThread } from './thread.ts';

/** Verified plain bytes of consecutive frames, at most 1 MiB; page-aligned, and valid until the next request. */
export type PlainRun = Readonly<{ offset: number; bytes: Uint8Array }>;

export interface DecodePool extends AsyncDisposable {
  /** Decodes and verifies frames; output in input order. One run at a time. */
  map(jobs: AsyncIterable<DecodeJob>): AsyncGenerator<PlainRun>;
  /** The salted digests of whole blocks, 32 bytes each, computed in parallel. */
  digests(saltHex: string, blocks: Uint8Array): Promise<Uint8Array>;
  /** Makes the blocks of a patch segment in the given memory, and returns their digests. */
  segment(request: SegmentRequest): Promise<Uint8Array>;
}

export type DecodePoolOptions = Readonly<{ workers?: number; entry: Decoder }>;

/** Starts the threads. Disposing the pool stops them. */
export function decodePool({ workers: count = 2, entry }: DecodePoolOptions): DecodePool {
  const slots = count + 2;
  const memory = sharedPages(slots * SLOT);
  const workerData: DecoderData = { memory };
  const threads = Array.from({ length: count }, () => startThread(entry, workerData));
  const free = Array.from({ length: slots }, (_, slot) => slot);

  const submit = async ({ batch, slot }: OpenBatch): Promise<Done> => {
    const thread = leastBusy(threads);
    const request = batch.request(slot);
    await thread.ask(request).catch((error: unknown) => {
      free.push(slot);
      throw error;
    });
    const bytes = slotIn(memory, slot).plain.subarray(0, batch.size);
    return { slot, run: { offset: request.frames[0]?.offset ?? 0, bytes } };
  };

  const digests = async (salt: string, blocks: Uint8Array): Promise<Uint8Array> => {
    const share = Math.ceil(blocks.length / BLOCK / count) * BLOCK;
    const parts = threads.map((thread, i) => thread.ask({ salt, blocks: blocks.subarray(i * share, (i + 1) * share) }));
    return Buffer.concat(await Promise.all(parts));
  };

  const openBatch = (): OpenBatch => {
    const slot = free.pop();
    if (slot === undefined) throw new RangeError('A decode pool runs one map at a time.');
    return { slot, batch: createBatch(slotIn(memory, slot)) };
  };

  async function* map(jobs: AsyncIterable<DecodeJob>): AsyncGenerator<PlainRun> {
    const waiting: Promise<Done>[] = [];
    let open: OpenBatch | undefined;
    try {
      for await (const job of jobs) {
        if (open?.batch.add(job)) continue;
        if (open) waiting.push(started(submit(open)));
        open = undefined;
        if (waiting.length === slots - 1) yield* handOut(waiting.shift());
        open = openBatch();
        open.batch.add(job);
      }
      if (open) waiting.push(started(submit(open)));
      open = undefined;
      while (waiting.length > 0) yield* handOut(waiting.shift());
    } finally {
      if (open) free.push(open.slot);
      for (const left of await Promise.allSettled(waiting)) if (left.status === 'fulfilled') free.push(left.value.slot);
    }
  }

  /** The slot is free again once the next run is requested. */
  async function* handOut(waiting: Promise<Done> | undefined): AsyncGenerator<PlainRun> {
    if (waiting === undefined) return;
    const { slot, run } = await waiting;
    try {
      yield run;
    } finally {
      free.push(slot);
    }
  }

  return {
    map,
    digests,
    segment: (request) => leastBusy(threads).ask(request),
    [Symbol.asyncDispose]: async () => void (await Promise.all(threads.map((thread) => thread.end()))),
  };
}

const leastBusy = (threads: readonly DecodeThread[]): DecodeThread =>
  threads.reduce((least, one) => (one.pending.size < least.pending.size ? one : least));

type OpenBatch = Readonly<{ slot: number; batch: DecodeBatch }>;
type Done = Readonly<{ slot: number; run: PlainRun }>;

/** A failure is reported in its turn, not earlier. */
function started<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

// The compiler's Node.js library lacks this global.
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer };
};

/** WebAssembly memory is the one kind of shared memory that is page-aligned. */
function sharedPages(bytes: number): SharedArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
}

const WASM_PAGE = 64 * 1024;
