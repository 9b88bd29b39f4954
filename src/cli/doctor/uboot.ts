/** Whether U-Boot's environment is kept in two places, so that a power cut cannot take both. */

import { environmentCopies } from '../../reboot/bootloaders/uboot.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { type Reading, readText } from './reading.ts';

/** `path` is the fw_env.config. */
export async function ubootSettings(files: Reading, path: string): Promise<Finding> {
  const copies = await ubootCopies(files, path);
  if (copies === undefined)
    return fail(`${path} is missing.`, 'Say there where U-Boot’s environment lies, or set boot.backend.');
  if (copies === 2) return ok('The environment is kept twice, so a power cut leaves the old or the new one.');
  if (copies === 0) return fail(`${path} names no environment.`, 'Give device, offset and size of both copies.');
  return warn(
    'The environment is kept once only: a power cut while it is written loses all of it, and what starts then is chance.',
    'Build U-Boot with a redundant environment, and name both copies.',
  );
}

/** How many copies the file names; a place that it names twice holds one. */
export async function ubootCopies(files: Reading, path: string): Promise<number | undefined> {
  const config = await readText(files, path);
  return config === undefined ? undefined : environmentCopies(withoutRepeats(config));
}

/** Begins anew with each line of the old form, and with each item of a list in YAML. */
function withoutRepeats(config: string): string {
  const seen = new Set<string>();
  const isNew = (part: string): boolean => {
    const place = placeIn(part);
    if (place === undefined) return true;
    const before = seen.size;
    return seen.add(place).size > before;
  };
  return config
    .split(/^(?=[ \t]*- |[^#\s])/m)
    .filter(isNew)
    .join('');
}

/** Device and offset, however the number is written. */
function placeIn(part: string): string | undefined {
  const [, device, offset] = /^(\/\S+)[ \t]+(\S+)/.exec(part) ?? [];
  const path = device ?? /\bpath\s*:\s*(\S+)/.exec(part)?.[1];
  const at = offset ?? /\boffset\s*:\s*(\S+)/.exec(part)?.[1] ?? '0';
  return path === undefined ? undefined : `${path} ${Number.isNaN(Number(at)) ? at : Number(at)}`;
}
