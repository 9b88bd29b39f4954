/** The programs before a restart that were started and must be undone, recorded across power cuts. */

import { join } from 'node:path';
import { list, literal, object, parseDocument, text } from '../../formats/shape.ts';
import { type Files, removeFile, replaceFile } from '../../system/files.ts';
import { type Format, inFormat } from '../../system/format.ts';

export type Begun = Readonly<{
  /** The started programs, the first one first. A list that cannot be parsed counts as empty; an unreadable one throws. */
  read(): Promise<readonly string[]>;
  /** Durable when it returns. */
  add(path: string): Promise<void>;
  remove(path: string): Promise<void>;
}>;

/** The list in the state directory. */
export function openBegun(files: Files, stateDir: string): Begun {
  const file = join(stateDir, NAME);
  let known: readonly string[] | undefined;
  const read = async (): Promise<readonly string[]> => {
    known ??= understood(await files.read(file));
    return known;
  };
  const write = async (paths: readonly string[]): Promise<void> => {
    if (paths.length === 0) await removeFile(files, file);
    else await replaceFile(files, file, inFormat(begunFormat, paths).bytes);
    known = paths;
  };
  return {
    read,
    add: async (path) => {
      const paths = await read();
      if (!paths.includes(path)) await write([...paths, path]);
    },
    remove: async (path) => write((await read()).filter((one) => one !== path)),
  };
}

const NAME = 'pre-reboot.json';

export const begunFormat: Format<readonly string[]> = {
  name: NAME,
  write: (begun) => `${JSON.stringify({ schema: 1, begun })}\n`,
  read: (bytes) => parseDocument(bytes, MOST_BYTES, 'state-unreadable', NAME, shape).begun,
};

function understood(bytes: Uint8Array | undefined): readonly string[] {
  try {
    return bytes ? begunFormat.read(bytes) : [];
  } catch {
    return [];
  }
}

/** A path of 4096 bytes may take six times as many in JSON. */
const MOST_BYTES = 32 * 1024 * 1024;
const shape = object({ schema: literal(1), begun: list(text(/^\//, 'an absolute path'), 1000) }, 'ignore');
