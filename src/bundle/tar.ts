/** The archive format of a bundle: ustar as written by tar-stream. The only importer of tar-stream. */

import { type Pack, pack } from 'tar-stream';

/** A file of the archive. */
export type TarEntry = Readonly<{ name: string; size: number; content: AsyncIterable<Uint8Array> }>;

export const TAR_BLOCK = 512;
/** Two zero blocks end an archive. */
export const TAR_END = 2 * TAR_BLOCK;

/** Padding up to the next block, in bytes. */
export const tarPadding = (size: number): number => (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;

/** The only valid header for an entry of this name and size. */
export function tarHeader(name: string, size: number): Promise<Uint8Array> {
  const archive = pack();
  return new Promise((resolve, reject) => {
    archive.once('data', (header) => {
      resolve((header as Uint8Array).slice(0, TAR_BLOCK));
      archive.destroy();
    });
    archive.on('error', reject);
    archive.entry(plainHeader(name, size)).on('error', () => archive.destroy());
  });
}

/** The whole archive, in order; an entry's content is opened in its turn. */
export async function* tarArchive(entries: Iterable<TarEntry>): AsyncGenerator<Uint8Array> {
  const archive = pack();
  const filled = fill(archive, entries).then(
    () => archive.finalize(),
    (error: Error) => archive.destroy(error),
  );
  for await (const chunk of archive) yield chunk as Uint8Array;
  await filled;
}

async function fill(archive: Pack, entries: Iterable<TarEntry>): Promise<void> {
  for (const entry of entries) {
    const closed = Promise.withResolvers<void>();
    const sink = archive.entry(plainHeader(entry.name, entry.size), (error) =>
      error ? closed.reject(error) : closed.resolve(),
    );
    sink.on('error', closed.reject);
    // If the content fails first, this promise has no other handler.
    closed.promise.catch(() => {});
    for await (const chunk of entry.content) if (!sink.write(chunk)) await room(sink, closed.promise);
    sink.end(null);
    await closed.promise;
  }
}

type Sink = ReturnType<Pack['entry']>;

/** Waits until the sink accepts more; a closed archive ends the wait. */
const room = (sink: Sink, closed: Promise<void>): Promise<void> =>
  Promise.race([new Promise<void>((resolve) => sink.once('drain', () => resolve())), closed]);

/** Nothing in it depends on the place or time of the build. */
const plainHeader = (name: string, size: number) => ({
  name,
  size,
  type: 'file' as const,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: new Date(0),
});
