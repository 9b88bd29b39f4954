/** Sources of metadata: a web server or a folder, addressed by paths relative to the repository. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { fileSource } from '../system/disk/file-source.ts';
import type { Http } from '../system/http/http.ts';
import { redactUrl } from '../system/http/shown-address.ts';

/** Reads a small file of at most `maxBytes`; undefined if it does not exist (404). */
export type MetadataFetch = (path: string, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array | undefined>;

/** One mirror; `name` is for messages. */
export type MetadataMirror = Readonly<{ name: string; fetch: MetadataFetch }>;

/** A repository on one or several web servers. */
export const httpMetadata = (http: Http, baseUrls: readonly string[]): readonly MetadataMirror[] =>
  baseUrls.map((base) => ({
    name: redactUrl(base),
    fetch: (path, maxBytes, signal) => fetchOne(http, fileUrl(base, path), { maxBytes, signal }),
  }));

/** A repository in a folder, for example on a stick. */
export const dirMetadata = (dir: string): MetadataMirror => ({
  name: dir,
  fetch: async (path, maxBytes, signal) => {
    const source = await fileSource(join(dir, path)).catch(missing);
    if (source === undefined) return undefined;
    await using file = source;
    if (file.size > maxBytes)
      throw new UpdateError('server-too-much', `${file.name} has ${file.size} bytes; at most ${maxBytes} are read.`);
    const pieces: Uint8Array[] = [];
    for await (const piece of file.open(0, signal)) pieces.push(piece);
    return Buffer.concat(pieces);
  },
});

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

/** The URL of a file in the repository; keeps a query of the base, such as an access token. */
export function fileUrl(baseUrl: string, path: string): string {
  const url = new URL(baseUrl);
  url.pathname = `${url.pathname.replace(/\/*$/, '')}/${path.split('/').map(encodeURIComponent).join('/')}`;
  return url.href;
}

function missing(error: unknown): undefined {
  if (error instanceof UpdateError && error.details['missing'] === 1) return undefined;
  throw error;
}
