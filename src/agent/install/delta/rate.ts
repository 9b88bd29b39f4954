/** The speed of the last download, kept to estimate the time of the next one. */

import { join } from 'node:path';
import { integer, literal, object, parseDocument } from '../../../formats/shape.ts';
import { type Files, replaceFile } from '../../../system/files.ts';
import { type Format, inFormat } from '../../../system/format.ts';

/** Bytes per second; undefined if unknown. */
export async function loadRate(files: Pick<Files, 'read'>, stateDir: string): Promise<number | undefined> {
  const bytes = await files.read(join(stateDir, NAME));
  try {
    return bytes && rateFormat.read(bytes);
  } catch {
    return undefined;
  }
}

/** A failure is no reason to stop. */
export async function saveRate(files: Files, stateDir: string, bytesPerSecond: number): Promise<void> {
  try {
    await replaceFile(files, join(stateDir, NAME), inFormat(rateFormat, Math.round(bytesPerSecond)).bytes);
  } catch {}
}

const NAME = 'download-rate.json';

export const rateFormat: Format<number> = {
  name: NAME,
  write: (bytesPerSecond) => `${JSON.stringify({ schema: 1, bytesPerSecond })}\n`,
  read: (bytes) => parseDocument(bytes, LIMIT, 'state-unreadable', NAME, shape).bytesPerSecond,
};

const LIMIT = 4096;
const shape = object({ schema: literal(1), bytesPerSecond: integer(0) }, 'ignore');
