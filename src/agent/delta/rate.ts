/** How fast the last download was, kept so that the next one can be told how long it will take. */

import { join } from 'node:path';
import { type Files, replaceFile } from '../../system/files.ts';
import { integer, literal, object, parseDocument } from '../../system/shape.ts';

/** Bytes a second; undefined where nothing is known. */
export async function loadRate(files: Pick<Files, 'read'>, stateDir: string): Promise<number | undefined> {
  const bytes = await files.read(join(stateDir, NAME));
  try {
    return bytes && parseDocument(bytes, LIMIT, 'state-unreadable', NAME, shape).bytesPerSecond;
  } catch {
    return undefined;
  }
}

/** A failure is no reason to stop. */
export async function saveRate(files: Files, stateDir: string, bytesPerSecond: number): Promise<void> {
  const text = `${JSON.stringify({ schema: 1, bytesPerSecond: Math.round(bytesPerSecond) })}\n`;
  await replaceFile(files, join(stateDir, NAME), Buffer.from(text)).catch(() => undefined);
}

const NAME = 'download-rate.json';
const LIMIT = 4096;
const shape = object({ schema: literal(1), bytesPerSecond: integer(0) }, 'ignore');
