/** Reads an etcd watch, one JSON message per line, until a change. */

import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';
import { changeIn } from './messages.ts';
import { EtcdRefusal } from './refusal.ts';

/** `compacted`: there may have been a change, but etcd no longer has the history. */
export type Heard = 'changed' | 'compacted';

/** Throws if the watch ends for another reason. */
export async function listen(stream: AsyncIterable<Uint8Array>): Promise<Heard> {
  for await (const line of linesOf(stream)) {
    const change = changeIn(line);
    if (typeof change === 'object') throw new EtcdRefusal(UNKNOWN, cleanLine(change.ended, 200)).named();
    if (change !== undefined) return change;
  }
  throw new UpdateError('etcd-unavailable', 'etcd has ended the watch.');
}

const UNKNOWN = 2;
/** A message that exceeds the limit is certainly a change. */
const MOST_BYTES = 8 * 1024 * 1024;
const NEW_LINE = 0x0a;

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    let rest = chunk;
    for (let end = rest.indexOf(NEW_LINE); end >= 0; end = rest.indexOf(NEW_LINE)) {
      yield Buffer.concat([...pieces, rest.subarray(0, end)]);
      [pieces, size] = [[], 0];
      rest = rest.subarray(end + 1);
    }
    size += rest.length;
    if (size > MOST_BYTES)
      throw new UpdateError('server-too-much', `A message of etcd is longer than ${MOST_BYTES} bytes.`);
    pieces.push(rest);
  }
}
