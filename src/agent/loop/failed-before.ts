/** The units that had failed in the previous system: they do not count against a release. Written before it is armed. */

import { join } from 'node:path';
import { asUpdateError, UpdateError } from '../../errors.ts';
import { lastOf, literal, object, parseDocument, text } from '../../formats/shape.ts';
import { SLOT_NAMES, type SlotName } from '../../model.ts';
import type { Status } from '../../protocol.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import { type Format, inFormat } from '../../system/format.ts';

/** In the system that ran from `slot`. */
export type FailedBefore = Readonly<{ at: string; slot: SlotName; units: readonly string[] }>;

/** Durable when it returns. Beyond the limit, units count as new, so that no release can hide behind them. */
export async function recordFailed(files: Files, stateDir: string, found: FailedBefore): Promise<void> {
  const units = found.units.filter((unit) => UNIT.test(unit)).slice(0, MOST_UNITS);
  const path = join(stateDir, NAME);
  await replaceFile(files, path, inFormat(failedBeforeFormat, { ...found, units }).bytes).catch((error: unknown) => {
    const message = `${path} cannot be written: ${asUpdateError(error).message}`;
    throw new UpdateError('state-unwritable', message, { cause: error });
  });
}

/** The record of a system other than the one in `booted`. Without a record, every failed unit counts. */
export async function readFailedBefore(
  files: Pick<Files, 'read'>,
  stateDir: string,
  booted?: SlotName,
): Promise<FailedBefore | undefined> {
  try {
    const bytes = await files.read(join(stateDir, NAME));
    const found = bytes && failedBeforeFormat.read(bytes);
    return found?.slot === booted ? undefined : found;
  } catch {
    return undefined;
  }
}

/** The same, for the status. */
export async function excused(
  files: Pick<Files, 'read'>,
  stateDir: string,
  booted: SlotName,
): Promise<Pick<Status, 'failedBefore'>> {
  const { at = '', units = [] } = (await readFailedBefore(files, stateDir, booted)) ?? {};
  return units.length > 0 ? { failedBefore: { at, units } } : {};
}

const NAME = 'failed-units.json';
const LIMIT = 256 * 1024;
const MOST_UNITS = 256;
/** As systemd names them; it escapes everything else. */
const UNIT = /^[A-Za-z0-9:_.\\@-]{1,255}$/;

/** failed-units.json. */
export const failedBeforeFormat: Format<FailedBefore> = {
  name: NAME,
  write: (found) => `${JSON.stringify({ schema: 1, ...found })}\n`,
  read: (bytes) => {
    const { schema: _, ...found } = parseDocument(bytes, LIMIT, 'state-unreadable', NAME, shape);
    return found;
  },
};

const shape = object(
  {
    schema: literal(1),
    at: text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, 'a time in UTC'),
    slot: literal(...SLOT_NAMES),
    units: lastOf(text(UNIT, 'a unit'), MOST_UNITS),
  },
  'ignore',
);
