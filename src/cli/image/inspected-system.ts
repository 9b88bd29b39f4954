/** The trust root and the settings that the system on a disk will find, in its root image and on /var. */

import { type ImageFiles, imageFiles } from '../../bundle/image/image-files.ts';
import { cleanLine } from '../../clean-text.ts';
import { CONFIG_DIRS, HOST_CONFIG_DIR, resolveSound } from '../../config/config.ts';
import { readFragments } from '../../config/fragments.ts';
import type { SlotName } from '../../model.ts';
import type { GptEntry } from '../../partitions/gpt.ts';
import type { DiskTarget } from '../../system/disk/block-target.ts';
import { rangeOf, type SlotParts } from './inspected-slots.ts';
import { typeName } from './partition-types.ts';

export type InspectedSystem = Readonly<{
  /** Whether the files of the root image, and of /var, could be read. */
  isRootReadable: boolean;
  isVarReadable: boolean;
  /** Drop-ins on /var. */
  varConfig: readonly string[];
  trustRoot?: Readonly<{ path: string; version?: number; expires?: string }>;
  product?: string;
  repository?: string;
  channel: string;
  backend: string;
}>;

/** `next`: the slot that starts. */
export async function systemOf(
  disk: DiskTarget,
  entries: readonly GptEntry[],
  slots: SlotParts,
  next: SlotName | undefined,
): Promise<InspectedSystem> {
  const slot = slots[next ?? 'a'];
  const root = slot && (await filesOn(disk, slot.root));
  const place = entries.find(({ type, label }) => label === 'var' || typeName(type) === '/var');
  const onVar = place && (await filesOn(disk, place));
  const files = joined(root, onVar);
  const dirs = CONFIG_DIRS.filter((dir) => !dir.startsWith('/run/'));
  const fragments = await readFragments(files, dirs);
  const { host, repository, trust, boot } = resolveSound(fragments);
  const trustRoot = await trustRootAt(files, trust.rootFile);
  return {
    isRootReadable: root !== undefined,
    isVarReadable: onVar !== undefined,
    varConfig: fragments.map(({ path }) => path).filter((path) => path.startsWith(HOST_CONFIG_DIR)),
    ...(trustRoot ? { trustRoot } : {}),
    ...(host.product === undefined ? {} : { product: host.product }),
    ...(repository.url === undefined ? {} : { repository: repository.url }),
    channel: repository.channel,
    backend: boot.backend,
  };
}

/** Undefined for a file system that cannot be read, or contradicts itself: a disk may hold anything. */
async function filesOn(disk: DiskTarget, entry: GptEntry): Promise<ImageFiles | undefined> {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    await using range = await rangeOf(disk, entry);
    return Uint8Array.from(await range.read(offset, length));
  };
  const files = await imageFiles(read, entry.size).catch(() => undefined);
  return (
    files && {
      read: (path, most) => files.read(path, most).catch(() => undefined),
      list: (dir) => files.list(dir).catch(() => []),
    }
  );
}

/** As mounted. */
function joined(root: ImageFiles | undefined, onVar: ImageFiles | undefined): ImageFiles {
  const place = (path: string) =>
    path.startsWith(VAR) ? ([onVar, path.slice(VAR.length - 1)] as const) : ([root, path] as const);
  return {
    read: async (path, most) => {
      const [files, own] = place(path);
      return files?.read(own, most);
    },
    list: async (dir) => {
      const [files, own] = place(dir);
      return (await files?.list(own)) ?? [];
    },
  };
}

const VAR = '/var/';

async function trustRootAt(files: ImageFiles, path: string): Promise<InspectedSystem['trustRoot']> {
  const bytes = await files.read(path);
  if (!bytes) return undefined;
  try {
    const { signed } = JSON.parse(new TextDecoder().decode(bytes)) as {
      signed?: { version?: unknown; expires?: unknown };
    };
    return {
      path,
      ...(typeof signed?.version === 'number' ? { version: signed.version } : {}),
      ...(typeof signed?.expires === 'string' ? { expires: cleanLine(signed.expires, 64) } : {}),
    };
  } catch {
    return { path };
  }
}
