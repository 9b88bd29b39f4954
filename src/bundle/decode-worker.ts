/** The decoding thread. Importing it in such a thread starts it; anywhere else it does nothing. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { asUpdateError } from '../errors.ts';
import { decodeFrame } from './decode.ts';
import type { DecodeReply, DecodeRequest, DecoderData } from './decode-messages.ts';
import { packedArea, plainArea } from './decode-messages.ts';

/** Is this thread one that a decode pool has started? The program's main file must then do nothing else. */
export const isDecodeWorker = (): boolean =>
  !isMainThread && (workerData as Partial<DecoderData> | null)?.role === 'decode';

function decode(memory: SharedArrayBuffer, request: DecodeRequest): DecodeReply {
  const { slot, length, check, ...frame } = request;
  try {
    const plain = decodeFrame({ ...frame, unchecked: packedArea(memory, slot, length) }, check);
    plainArea(memory, slot, plain.length).set(plain);
    return { slot };
  } catch (error) {
    const { code, message } = asUpdateError(error);
    return { slot, failure: { code, message } };
  }
}

if (isDecodeWorker()) {
  const { memory } = workerData as DecoderData;
  parentPort?.on('message', (request: DecodeRequest) => parentPort?.postMessage(decode(memory, request)));
}
