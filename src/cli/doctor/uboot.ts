/** Whether U-Boot's environment has two copies, so that a power cut cannot destroy both. */

import { environmentCopies } from '../../reboot/bootloaders/uboot.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { type Reading, readText } from './reading.ts';

/** `path` is the fw_env.config. */
export async function ubootSettings(files: Reading, path: string): Promise<Finding> {
  const copies = await ubootCopies(files, path);
  if (copies === undefined)
    return fail(`${path} is missing.`, 'List the location of U-Boot’s environment there, or set boot.backend.');
  if (copies === 2) return ok('The environment has two copies, so a power cut leaves the old or the new one.');
  if (copies === 0) return fail(`${path} lists no environment.`, 'Give device, offset and size of both copies.');
  return warn(
    'The environment has only one copy: a power cut during a write loses all of it, and the next start is unpredictable.',
    'Build U-Boot with a redundant environment, and list both copies.',
  );
}

/** The number of copies in the file; a location listed twice counts once. */
export async function ubootCopies(files: Reading, path: string): Promise<number | undefined> {
  const config = await readText(files, path);
  return config === undefined ? undefined : environmentCopies(withoutRepeats(config));
}

/** An entry starts with each line of the old format, and with each list item in YAML. */
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

/** Device and offset, in whichever notation. */
function placeIn(part: string): string | undefined {
  const [, device, offset] = /^(\/\S+)[ \t]+(\S+)/.exec(part) ?? [];
  const path = device ?? /\bpath\s*:\s*(\S+)/.exec(part)?.[1];
  const at = offset ?? /\boffset\s*:\s*(\S+)/.exec(part)?.[1] ?? '0';
  return path === undefined ? undefined : `${path} ${Number.isNaN(Number(at)) ? at : Number(at)}`;
}
