/** Whether this host can believe its repository: the root of trust, the cached metadata, and the clock. */

import type { Config } from '../../../config/config.ts';
import { isClockSynchronised } from '../../../system/clock-sync.ts';
import { readFloors } from '../../../verify/floors.ts';
import { duration } from '../../units.ts';
import { type Finding, fail, ok, unknown, warn } from '../finding.ts';
import type { DoctorWorld } from '../world.ts';

export async function trustRoot({ files, clock: { now } }: DoctorWorld, { trust }: Config): Promise<Finding> {
  const content = await files.readHead(trust.rootFile, MOST_BYTES);
  if (!content) return fail(`${trust.rootFile} is missing.`, 'Put the repository’s root.json into the image.');
  const expires = expiryOf(content);
  if (!expires) return fail(`${trust.rootFile} is not a trust root.`, 'Use the repository’s metadata/1.root.json.');
  const left = expires.getTime() - now().getTime();
  // An expired root still starts the chain to the repository's current one.
  if (left < 0)
    return warn(
      `The trust root expired ${duration(-left)} ago.`,
      'The repository must have a newer root that follows it.',
    );
  if (left < SOON_MS)
    return warn(`The trust root expires in ${duration(left)}.`, 'Sign a newer root: `updatectl repo refresh`.');
  return ok(`Valid for another ${duration(left)}.`);
}

export async function metadata({ files, clock: { now } }: DoctorWorld, { agent }: Config): Promise<Finding> {
  const content = await files.readHead(`${agent.stateDir}/metadata/timestamp.json`, MOST_BYTES);
  if (!content) return warn('The repository was never checked.', 'Check it: `updatectl check`.');
  const expires = expiryOf(content);
  if (!expires) return warn('The cached repository metadata is damaged.', 'Fetch it again: `updatectl check`.');
  const left = expires.getTime() - now().getTime();
  if (left >= 0) return ok(`Valid for another ${duration(left)}.`);
  return fail(
    `The cached repository metadata expired ${duration(-left)} ago, so this host installs nothing.`,
    'Run `updatectl check`. If the repository has nothing newer, its publisher runs `updatectl repo refresh`.',
  );
}

function expiryOf(content: Uint8Array): Date | undefined {
  const expires = /"expires"\s*:\s*"([0-9TZ:.-]{10,40})"/.exec(new TextDecoder().decode(content));
  const date = new Date(expires?.[1] ?? '');
  return Number.isNaN(date.getTime()) ? undefined : date;
}

export async function clock({ files, exec, clock: { now } }: DoctorWorld, { agent }: Config): Promise<Finding> {
  const floor = floorIn(await files.readHead(`${agent.stateDir}/floors.json`, MOST_BYTES));
  if (floor !== undefined && now() < floor)
    return fail(
      `The clock is behind ${floor.toISOString()}, the signing time of metadata that was accepted here.`,
      'Set the clock; it decides whether metadata has expired.',
    );
  const isSynchronised = await isClockSynchronised(exec);
  if (isSynchronised === undefined)
    return unknown('systemd does not report whether the clock is synchronised.', 'Check `timedatectl`.');
  if (isSynchronised) return ok('Synchronised.');
  return warn(
    'The clock is not synchronised.',
    'Turn on time synchronisation; the clock decides whether metadata has expired.',
  );
}

/** The agent replaces a damaged floors file, and reports it. */
function floorIn(bytes: Uint8Array | undefined): Date | undefined {
  try {
    const { issued, waived = '' } = (bytes && readFloors(bytes)[0]) ?? {};
    return issued !== undefined && issued > waived ? new Date(issued) : undefined;
  } catch {
    return undefined;
  }
}

const MOST_BYTES = 1024 * 1024;
const SOON_MS = 30 * 86_400_000;
