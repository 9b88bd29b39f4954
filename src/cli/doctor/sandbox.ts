/** Whether the agent's unit lets it open the slots' disk: the unit must name the disk's driver. */

import { slotLabels } from '../../agent/install/host.ts';
import type { Config } from '../../config/config.ts';
import { readDiskFacts } from '../../partitions/disk-facts.ts';
import { partitionsOf, resolveSlots } from '../../partitions/slots.ts';
import type { Context } from '../command.ts';
import { type Finding, fail, ok, unknown } from './finding.ts';
import { diskOf } from './gpt.ts';

const UNIT = 'tandem-agent.service';

export async function sandbox({ files, exec }: Context, config: Config): Promise<Finding> {
  const { disk, a, b } = resolveSlots(slotLabels(config), await readDiskFacts(diskOf(config)));
  const devices = [disk, ...partitionsOf(a), ...partitionsOf(b)];
  const args = ['show', '--property=DevicePolicy', '--property=DeviceAllow', UNIT];
  const { exitCode, stdout } = await exec('systemctl', args);
  if (exitCode !== 0)
    return unknown(`systemd does not report what ${UNIT} may open.`, 'Check that systemd is running.');
  const drivers = new TextDecoder().decode(await files.read('/proc/devices'));
  return judgeSandbox(devices, blockDrivers(drivers), stdout);
}

type Device = Readonly<{ path: string; rdev?: string }>;

/** `drivers` by major device number; `shown` is systemctl's output for the unit. */
export function judgeSandbox(devices: readonly Device[], drivers: ReadonlyMap<string, string>, shown: string): Finding {
  const rules = [...shown.matchAll(/^DeviceAllow=(\S+) (\S+)$/gm)].map(([, what = '', how = '']) => ({ what, how }));
  const isOpen = rules.length === 0 && /^DevicePolicy=auto$/m.test(shown);
  const closed = isOpen ? undefined : devices.find((device) => !isAllowed(device, drivers, rules));
  if (!closed) return ok(`${UNIT} may open the slots’ disk.`);
  const driver = driverOf(closed, drivers) ?? '?';
  return fail(
    `${UNIT} may not open ${closed.path}: the unit does not allow the driver ${driver}.`,
    `Run \`systemctl edit ${UNIT}\` and add DeviceAllow=block-${driver} rw under [Service] (docs/disks.md).`,
  );
}

/** The second half of /proc/devices. */
export const blockDrivers = (text: string): ReadonlyMap<string, string> =>
  new Map(
    [...(text.split('Block devices:')[1] ?? '').matchAll(/^\s*(\d+) (\S+)$/gm)].map(
      ([, number = '', name = '']) => [number, name] as const,
    ),
  );

type Rule = Readonly<{ what: string; how: string }>;

/** A disk in a file needs no permission. */
function isAllowed(device: Device, drivers: ReadonlyMap<string, string>, rules: readonly Rule[]): boolean {
  if (device.rdev === undefined) return true;
  const names = [device.path, `block-${driverOf(device, drivers)}`];
  return rules.some(
    ({ what, how }) => how.includes('r') && how.includes('w') && names.some((name) => fits(what, name)),
  );
}

const driverOf = ({ rdev = '' }: Device, drivers: ReadonlyMap<string, string>): string | undefined =>
  drivers.get(rdev.split(':')[0] ?? '');

/** Matches the name of a driver as systemd does. */
const fits = (pattern: string, name: string): boolean =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  ).test(name);
