/** A random-access file on one or several web servers, resumed after a broken connection. */

import type { Http } from './http.ts';
import { createMirrors, type RangeSource } from './mirrors.ts';
import { DEFAULT_MAX_DELAY_MS, type Resumption, resumed } from './resumed.ts';
import { redactUrl } from './shown-address.ts';

export type { Resumption } from './resumed.ts';

export interface HttpSource {
  readonly name: string;
  readonly size: number;
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}

/** The file at `urls`, best first, whose signed size is `size`. */
export function httpSource(
  http: Http,
  urls: string | readonly string[],
  size: number,
  resumption: Resumption,
): HttpSource {
  const { clock, maxDelayMs = DEFAULT_MAX_DELAY_MS } = resumption;
  const sources = [urls].flat().map((url) => onceFrom(http, url, size, false));
  return {
    name: sources[0]?.name ?? '',
    size,
    open: async function* (offset, signal, end = size) {
      const mirrors = createMirrors(sources, clock, maxDelayMs);
      for await (const { bytes } of resumed(mirrors, { start: offset, end }, resumption, signal)) yield bytes;
    },
  };
}

/** The file for `fetchRanges`, one source per URL; these neither resume nor accept a whole file for a part. */
export const rangeSources = (http: Http, urls: readonly string[], size: number): readonly RangeSource[] =>
  urls.map((url) => onceFrom(http, url, size, true));

const onceFrom = (http: Http, url: string, size: number, partsOnly: boolean): RangeSource => ({
  name: redactUrl(url),
  size,
  open: (offset, signal, end = size) => http.openBytes(url, { offset, end, expectedTotal: size, partsOnly, signal }),
});
