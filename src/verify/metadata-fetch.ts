/** Where metadata comes from: a web server or a folder, named by paths from the repository's top. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { fileSource } from '../system/file-source.ts';
import type { Http } from '../system/http.ts';

/** At most `maxBytes` of a small file; undefined where it does not exist (404). */
export type MetadataFetch = (path: string, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array | undefined>;

/** A repository on a web server, or the same one on several: a mirror that fails comes last from then on. */
export function httpMetadata(http: Http, baseUrls: string | readonly string[], totalTimeoutMs = 60_000): MetadataFetch {
  const order = [...[baseUrls].flat()];
  return async (path, maxBytes, signal) => {
    let failure: unknown;
    for (const base of [...order]) {
      try {
        const found = await fetchOne(http, fileUrl(base, path), { maxBytes, totalTimeoutMs, signal });
        if (found !== undefined || NEXT_ROOT.test(path)) return found;
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
        order.push(...order.splice(order.indexOf(base), 1));
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  };
}

/** A repository in a folder, as on a stick. */
export const dirMetadata =
  (dir: string): MetadataFetch =>
  async (path, maxBytes, signal) => {
    const source = await fileSource(join(dir, path)).catch(missing);
    if (source === undefined) return undefined;
    await using file = source;
    if (file.size > maxBytes)
      throw new UpdateError('server-too-much', `${file.name} has ${file.size} bytes; at most ${maxBytes} are read.`);
    const pieces: Uint8Array[] = [];
    for await (const piece of file.open(0, signal)) pieces.push(piece);
    return Buffer.concat(pieces);
  };

// That there is no newer root is the usual answer; a mirror that lags behind is found out by the other documents.
const NEXT_ROOT = /(^|\/)\d+\.root\.json$/;

async function fetchOne(
  http: Http,
  url: string,
  request: Parameters<Http['fetchBytes']>[1],
): Promise<Uint8Array | undefined> {
  try {
    return await http.fetchBytes(url, request);
  } catch (error) {
    if (error instanceof UpdateError && error.details['status'] === 404) return undefined;
    throw error;
  }
}

/** The address of a file of the repository; a query in the base, such as an access token, stays. */
export function fileUrl(baseUrl: string, path: string): string {
  const url = new URL(baseUrl);
  url.pathname = `${url.pathname.replace(/\/*$/, '')}/${path.split('/').map(encodeURIComponent).join('/')}`;
  return url.href;
}

function missing(error: unknown): undefined {
  if (error instanceof UpdateError && error.details['missing'] === 1) return undefined;
  throw error;
}
