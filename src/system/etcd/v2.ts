/** etcd's API v2, with a store separate from v3's. From 3.4 on, members serve it only if enabled; from 3.6 on, never. */

import { object, parseDocument, text } from '../../formats/shape.ts';
import type { Http } from '../http/http.ts';

export type ValueV2 = Readonly<{ key: string; value: Uint8Array }>;

export interface EtcdV2 {
  /** The values of these keys, from any member. Never throws: a member without API v2 has none. */
  valuesAt(keys: readonly string[]): Promise<readonly ValueV2[]>;
}

export type EtcdV2Options = Readonly<{
  http: Pick<Http, 'post'>;
  endpoints: readonly string[];
  timeoutMs: number;
  signal: AbortSignal;
}>;

/** Asks all members, because each may have been started with other flags. */
export function createEtcdV2(options: EtcdV2Options): EtcdV2 {
  return {
    valuesAt: async (keys) => {
      const asked = keys.flatMap((key) => options.endpoints.map((endpoint) => valueAt(options, endpoint, key)));
      return (await Promise.all(asked)).filter((one) => one !== undefined);
    },
  };
}

async function valueAt(
  { http, timeoutMs, signal }: EtcdV2Options,
  endpoint: string,
  key: string,
): Promise<ValueV2 | undefined> {
  try {
    const { status, body } = await http.post(new URL(`/v2/keys/${key}`, endpoint).href, {
      method: 'GET',
      maxBytes: MOST_BYTES,
      totalTimeoutMs: timeoutMs,
      signal,
    });
    if (status !== 200) return undefined;
    const { node } = parseDocument(body, MOST_BYTES, 'etcd-protocol', 'the answer of etcd', ANSWER);
    return { key, value: new TextEncoder().encode(node.value) };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

const MOST_BYTES = 1024 * 1024;
const ANSWER = object({ node: object({ value: text(/^/) }, 'ignore') }, 'ignore');
