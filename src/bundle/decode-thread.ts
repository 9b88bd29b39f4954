/** One decoding thread: requests go in, each is answered once, and its death is the answer to all. */

import { Worker } from 'node:worker_threads';
import { UpdateError } from '../errors.ts';
import type { DecodeReply, DecodeRequest, DecoderData } from './decode-messages.ts';

// A thread keeps nothing from one frame to the next.
const SMALL_HEAP = { maxYoungGenerationSizeMb: 2 };

type Settle = Readonly<{ resolve: () => void; reject: (error: unknown) => void }>;

export type DecodeThread = Readonly<{
  pending: ReadonlyMap<number, Settle>;
  decode(request: DecodeRequest): Promise<void>;
  end(): Promise<unknown>;
}>;

/** Starts a thread that runs `entry` as a decoder. */
export function startThread(entry: URL, workerData: DecoderData): DecodeThread {
  const worker = new Worker(entry, { workerData, resourceLimits: SMALL_HEAP });
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
