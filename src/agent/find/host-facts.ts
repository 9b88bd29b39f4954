/** A host's facts for its fleet server: for people who look for it, and to distinguish it from a clone with the same id. */

import { cleanLine } from '../../clean-text.ts';
import type { BootFacts, CheckIn, HostFacts } from '../../formats/check-in.ts';
import { osReleaseValue } from '../../formats/pe.ts';
import { type Files, readTextIfAny } from '../../system/files.ts';
import { readHardwareId } from '../../system/hardware-id.ts';

export type FactsWorld = Readonly<{
  files: Pick<Files, 'read'>;
  architecture: string;
  /** Our address on the route to the fleet server. */
  address(): Promise<string | undefined>;
}>;

/** The current facts: names and addresses change while an agent runs. Unknown facts are left out. */
export async function readFacts(world: FactsWorld): Promise<Pick<CheckIn, 'host' | 'boot'>> {
  const boot = await bootOf(world.files);
  return { host: await hostOf(world), ...(boot ? { boot } : {}) };
}

async function hostOf({ files, architecture, address }: FactsWorld): Promise<HostFacts> {
  const said = {
    name: await readTextIfAny(files, '/proc/sys/kernel/hostname'),
    address: await address(),
    os: systemName(await osRelease(files)),
    kernel: await readTextIfAny(files, '/proc/sys/kernel/osrelease'),
    architecture,
  };
  const known = Object.entries(said).map(([key, text = '']) => [key, cleanLine(text, LONGEST)] as const);
  return Object.fromEntries(known.filter(([, text]) => text !== ''));
}

/** The longest text that a server accepts for each. */
const LONGEST = 255;

const osRelease = async (files: Pick<Files, 'read'>): Promise<string> =>
  (await readTextIfAny(files, '/etc/os-release')) ?? (await readTextIfAny(files, '/usr/lib/os-release')) ?? '';

function systemName(text: string): string {
  const value = (key: string): string => osReleaseValue(text, key) ?? '';
  return value('PRETTY_NAME') || `${value('NAME')} ${value('VERSION_ID')}`;
}

/** Undefined if the kernel does not report it. */
async function bootOf(files: Pick<Files, 'read'>): Promise<BootFacts | undefined> {
  const id = (await readTextIfAny(files, '/proc/sys/kernel/random/boot_id'))?.replaceAll('-', '') ?? '';
  const [, seconds] = /^(\d{1,12})\.\d+ /.exec((await readTextIfAny(files, '/proc/uptime')) ?? '') ?? [];
  if (!/^[0-9a-f]{32}$/.test(id) || seconds === undefined) return undefined;
  const hardware = await readHardwareId(files);
  return { id, seconds: Number(seconds), ...(hardware === '' ? {} : { hardware }) };
}
