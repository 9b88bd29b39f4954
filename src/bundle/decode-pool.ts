/** Decodes frames in a few threads, in order, in bounded memory that writer and threads share. */

import { Worker } from 'node:worker_threads';
import { UpdateError } from '../errors.ts';
import { type CompressedFrame, FRAME_LIMIT, type LeafCheck } from './decode.ts';
import {
  type DecodeReply,
  type DecodeRequest,
  type DecoderData,
  packedArea,
  plainArea,
  SLOT,
} from './decode-messages.ts';
import { compressedBound } from './frames.ts';

/** A frame to decode and, where the tree is known, what it says of its blocks. */
export type DecodeJob = Readonly<{ frame: CompressedFrame; check?: LeafCheck }>;

/** Checked plain bytes. `bytes` begins at a page boundary and is valid until the next frame is asked for. */
export type PlainFrame = Readonly<{ index: number; offset: number; bytes: Uint8Array }>;

export interface DecodePool extends AsyncDisposable {
  /** Decodes and checks frames; they come out in the order in which they went in. One run at a time. */
  map(jobs: AsyncIterable<DecodeJob>): AsyncGenerator<PlainFrame>;
}

/** `entry` is the program file that becomes `decode-worker.ts` in a thread: that file itself, or the released single file. */
export type DecodePoolOptions = Readonly<{ workers?: number; entry: URL }>;

/** Starts the threads. Disposing the pool ends them. */
export function decodePool({ workers: count = 2, entry }: DecodePoolOptions): DecodePool {
  const slots = 2 * count + 2;
  const memory = sharedPages(slots * SLOT);
  const workerData: DecoderData = { role: 'decode', memory };
  const threads = Array.from({ length: count }, () => startThread(new Worker(entry, { workerData, stdin: false })));
  const free = Array.from({ length: slots }, (_, slot) => slot);

  const submit = async ({ frame, check }: DecodeJob, slot: number): Promise<PlainFrame & { slot: number }> => {
    const { unchecked, ...about } = frame;
    const thread = threads.reduce((least, one) => (one.pending.size < least.pending.size ? one : least));
    const request = { ...about, sha256: new Uint8Array(frame.sha256), slot, length: unchecked.length };
    await thread.decode(check === undefined ? request : { ...request, check });
    return { index: frame.index, offset: frame.offset, bytes: plainArea(memory, slot, frame.plainSize), slot };
  };

  /** Copies the compressed bytes at once: the reader may reuse them. */
  const begin = (job: DecodeJob): Promise<PlainFrame & { slot: number }> => {
    const { frame } = job;
    if (frame.plainSize > FRAME_LIMIT || frame.unchecked.length > compressedBound(frame.plainSize))
      throw new UpdateError('frame-invalid', `Frame ${frame.index} is larger than a frame may be.`);
    const slot = free.pop();
    if (slot === undefined) throw new RangeError('A decode pool runs one map at a time.');
    packedArea(memory, slot, frame.unchecked.length).set(frame.unchecked);
    return submit(job, slot).catch((error: unknown) => {
      free.push(slot);
      throw error;
    });
  };

  async function* map(jobs: AsyncIterable<DecodeJob>): AsyncGenerator<PlainFrame> {
    const waiting: Promise<PlainFrame & { slot: number }>[] = [];
    try {
      for await (const job of jobs) {
        if (waiting.length === slots) yield* release(waiting.shift());
        waiting.push(begin(job));
        waiting.at(-1)?.catch(() => {});
      }
      while (waiting.length > 0) yield* release(waiting.shift());
    } finally {
      for (const left of await Promise.allSettled(waiting)) if (left.status === 'fulfilled') free.push(left.value.slot);
    }
  }

  /** Hands a frame out; its slot is free again when the next one is asked for. */
  async function* release(waiting: Promise<PlainFrame & { slot: number }> | undefined): AsyncGenerator<PlainFrame> {
    if (waiting === undefined) return;
    const { slot, ...plain } = await waiting;
    try {
      yield plain;
    } finally {
      free.push(slot);
    }
  }

  return {
    map,
    [Symbol.asyncDispose]: async () => void (await Promise.all(threads.map((thread) => thread.end()))),
  };
}

// The compiler's library for Node.js leaves this global out.
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer };
};

/** WebAssembly memory is the one kind of shared memory that begins at a page. */
function sharedPages(bytes: number): SharedArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
}

const WASM_PAGE = 64 * 1024;

type Settle = Readonly<{ resolve: () => void; reject: (error: unknown) => void }>;
type Thread = Readonly<{
  pending: ReadonlyMap<number, Settle>;
  decode(request: DecodeRequest): Promise<void>;
  end(): Promise<unknown>;
}>;

function startThread(worker: Worker): Thread {
  const pending = new Map<number, Settle>();
  let dead: Error | undefined;
  const fail = (error: Error): void => {
    dead ??= error;
    for (const settle of pending.values()) settle.reject(error);
    pending.clear();
  };
  worker.on('message', ({ slot, failure }: DecodeReply) => {
    const settle = pending.get(slot);
    pending.delete(slot);
    if (pending.size === 0) worker.unref();
    if (failure === undefined) settle?.resolve();
    else settle?.reject(new UpdateError(failure.code, failure.message));
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new UpdateError('interrupted', 'A decoding thread has ended.')));
  // An idle pool must not keep the program alive.
  worker.unref();
  return {
    pending,
    decode: (request) =>
      new Promise((resolve, reject) => {
        if (dead !== undefined) return reject(dead);
        pending.set(request.slot, { resolve, reject });
        worker.ref();
        worker.postMessage(request);
      }),
    end: () => worker.terminate(),
  };
}
