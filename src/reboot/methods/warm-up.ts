/** Preloads files that the next system needs first: a soft reboot keeps the page cache. */

import { join } from 'node:path';
import type { Files } from '../../system/files.ts';

type WarmUpWorld = Readonly<{
  files: Pick<Files, 'read' | 'list'>;
  /** Reads a file into the page cache; returns its bytes, 0 if it is not a regular file or larger than `most`. */
  readThrough(path: string, most: number): Promise<number>;
  monotonicMs(): number;
}>;

/**
 * Reads, below `root`, the programs and libraries that run now and the service manager's startup files, which verity would otherwise check
 * block by block while services wait. Returns the bytes. Never throws.
 */
export async function warmUp(world: WarmUpWorld, root: string): Promise<number> {
  const start = world.monotonicMs();
  const seen = new Set<string>();
  let bytes = 0;
  for await (const path of wanted(world, root)) {
    if (bytes >= MOST_BYTES || world.monotonicMs() - start > MOST_MS) break;
    if (seen.has(path)) continue;
    seen.add(path);
    bytes += await world.readThrough(join(root, path), Math.min(MOST_OF_FILE, MOST_BYTES - bytes)).catch(() => 0);
  }
  return bytes;
}

async function* wanted({ files }: WarmUpWorld, root: string): AsyncGenerator<string> {
  // The service manager first, because everything else waits for it.
  for (const pid of (await files.list('/proc')).filter((name) => /^\d+$/.test(name)).toSorted(byNumber)) {
    const maps = await files.read(`/proc/${pid}/maps`).catch(() => undefined);
    yield* mappedFiles(new TextDecoder().decode(maps ?? new Uint8Array()));
  }
  for (const dir of FOLDERS)
    for (const name of await files.list(join(root, dir)).catch(() => [])) yield join(dir, name);
}

/** The image's files mapped by a process (proc_pid_maps(5)), each once. */
export function mappedFiles(maps: string): readonly string[] {
  const paths = maps
    .split('\n')
    .map((line) => /^\S+ \S+ \S+ \S+ \S+ +(\/(?:usr|lib|lib64|bin|sbin|opt)\/.*)$/.exec(line)?.[1]);
  return [...new Set(paths.filter((path) => path !== undefined && !path.endsWith(' (deleted)')))] as string[];
}

const byNumber = (one: string, other: string): number => Number(one) - Number(other);

/** Files read at every start, and short-lived programs that are no longer running. */
const FOLDERS: readonly string[] = [
  'usr/lib/systemd/system-generators',
  'usr/lib/systemd/system',
  'usr/lib/systemd',
  'usr/lib/tmpfiles.d',
  'usr/lib/udev/rules.d',
  'etc/systemd/system',
];
const MOST_BYTES = 192 * 1024 * 1024;
/** Only parts of larger programs are used. */
const MOST_OF_FILE = 32 * 1024 * 1024;
const MOST_MS = 10_000;
