/** A decoding thread: each request gets one answer; the death of the thread fails all pending ones. */

import { Worker } from 'node:worker_threads';
import { UpdateError } from '../../errors.ts';
import type { Decoder } from './decoder.ts';
import type { DecoderData, ThreadReply, ThreadRequest } from './messages.ts';

// A thread keeps nothing between frames; without a limit, its heap would grow by megabytes.
const SMALL_HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 };

type Settle = Readonly<{ resolve: (digests: Uint8Array) => void; reject: (error: unknown) => void }>;

export type DecodeThread = Readonly<{
  pending: ReadonlyMap<number, Settle>;
  /** The requested digests; empty for frames. */
  ask(request: ThreadRequest): Promise<Uint8Array>;
  end(): Promise<unknown>;
}>;

/** Starts a thread. */
export function startThread(entry: Decoder, workerData: DecoderData): DecodeThread {
  const worker = new Worker(entry, { eval: typeof entry === 'string', workerData, resourceLimits: SMALL_HEAP });
  const pending = new Map<number, Settle>();
  let dead: Error | undefined;
  let asked = 0;
  const fail = (error: Error): void => {
    dead ??= error;
    for (const settle of pending.values()) settle.reject(error);
    pending.clear();
  };
  worker.on('message', ({ id, digests = NONE, failure }: ThreadReply) => {
    const settle = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker.unref();
    if (failure === undefined) settle?.resolve(digests);
    else settle?.reject(new UpdateError(failure.code, failure.message));
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new UpdateError('interrupted', 'A decoding thread has ended.')));
  // An idle pool must not keep the process alive.
  worker.unref();
  return {
    pending,
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (dead !== undefined) return reject(dead);
        const id = asked++;
        pending.set(id, { resolve, reject });
        worker.ref();
        worker.postMessage({ id, request });
      }),
    end: () => worker.terminate(),
  };
}

const NONE = new Uint8Array(0);
