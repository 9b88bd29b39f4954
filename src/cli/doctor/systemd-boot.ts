/** Whether systemd-boot starts the newest release: its loader.conf, and the firmware variables that override it. */

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
    if (why) return tell(`The firmware variable ${name} is "${value}": ${why}.`, `Clear it: \`bootctl ${verb} ""\`.`);
  }
  return ok(`Starts the newest release of ${product}.`);
}

type Variable = Readonly<{
  name: string;
  /** The bootctl verb that sets it. */
  verb: string;
  tell: typeof fail;
  fault(value: string, product: Product): string | false;
}>;

/** systemd-boot starts the first entry that matches a pattern, and the newest comes first: a pattern for every version is harmless. */
const pinned: Variable['fault'] = (value, product) =>
  !takesEveryVersion(product, value) && 'it overrides loader.conf, and does not match every version';

/** Permanent settings come before those for one start. */
const VARIABLES: readonly Variable[] = [
  { name: 'LoaderEntryPreferred', verb: 'set-preferred', tell: fail, fault: pinned },
  { name: 'LoaderEntryDefault', verb: 'set-default', tell: fail, fault: pinned },
  {
    name: 'LoaderConfigTimeout',
    verb: 'set-timeout',
    tell: fail,
    fault: (value) => waitsForKey(value) && 'every start waits for a key',
  },
  {
    name: 'LoaderEntryOneShot',
    verb: 'set-oneshot',
    tell: warn,
    fault: (value, product) =>
      !takesEveryVersion(product, value) && 'the next start takes it, whichever entry is newest',
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
