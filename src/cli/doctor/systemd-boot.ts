/** Whether systemd-boot takes the newest release: what its loader.conf says, and what the firmware's variables say in spite of it. */

import type { Product } from '../../model.ts';
import { loaderConfFaults, takesEveryVersion, waitsForKey } from '../../reboot/bootloaders/loader-conf.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { loaderVariable } from './loader-variables.ts';
import type { Reading } from './reading.ts';

/** `esp` is where the EFI system partition is mounted. */
export async function systemdBootSettings(files: Reading, esp: string, product: Product): Promise<Finding> {
  const [wrong] = await loaderConfFaults(files.readHead, esp, product);
  if (wrong !== undefined) return fail(wrong, 'Correct loader.conf.');
  for (const { name, verb, tell, fault } of VARIABLES) {
    const value = await loaderVariable(files, name);
    const why = value ? fault(value, product) : undefined;
    if (why) return tell(`The firmware’s variable ${name} is "${value}": ${why}.`, `End that: \`bootctl ${verb} ""\`.`);
  }
  return ok(`Starts the newest release of ${product}.`);
}

type Variable = Readonly<{
  name: string;
  /** With which bootctl sets it. */
  verb: string;
  tell: typeof fail;
  fault(value: string, product: Product): string | false;
}>;

/** Of a pattern the first entry that matches is taken, and the newest stands first: one that takes every version does no harm. */
const pinned: Variable['fault'] = (value, product) =>
  !takesEveryVersion(product, value) && 'that comes before loader.conf, and does not take every version';

/** What lasts comes before what passes. */
const VARIABLES: readonly Variable[] = [
  { name: 'LoaderEntryPreferred', verb: 'set-preferred', tell: fail, fault: pinned },
  { name: 'LoaderEntryDefault', verb: 'set-default', tell: fail, fault: pinned },
  {
    name: 'LoaderConfigTimeout',
    verb: 'set-timeout',
    tell: fail,
    fault: (value) => waitsForKey(value) && 'no start ends without somebody at the keyboard',
  },
  {
    name: 'LoaderEntryOneShot',
    verb: 'set-oneshot',
    tell: warn,
    fault: (value, product) => !takesEveryVersion(product, value) && 'the next start takes that, whatever is newest',
  },
  {
    name: 'LoaderConfigTimeoutOneShot',
    verb: 'set-timeout-oneshot',
    tell: warn,
    fault: () => 'the next start stops in the menu',
  },
  {
    name: 'LoaderConfigTimeout',
    verb: 'set-timeout',
    tell: warn,
    fault: (value) => Number(value) > 0 && `every start waits ${value} seconds in the menu`,
  },
];
