/** The mount of a path, from the kernel's list. */

import type { Reading } from './reading.ts';

/** `options` are those of the mount and those of its file system. */
export type Mount = Readonly<{
  path: string;
  device: string;
  type: string;
  readOnly: boolean;
  options: readonly string[];
}>;

/** The mount that covers `path`; undefined where the kernel lists none. */
export async function mountOf(files: Reading, path: string): Promise<Mount | undefined> {
  return findMount(await mountInfo(files), path);
}

/** A mount of the device `major:minor`, if there is one. */
export async function mountOfDevice(files: Reading, device: string): Promise<Mount | undefined> {
  return (await mountInfo(files))
    .split('\n')
    .flatMap(parseLine)
    .find((mount) => mount.device === device);
}

/** The longest mount point that is a folder above `path`; of two on the same one, the later covers the earlier. Pure. */
export function findMount(mountinfo: string, path: string): Mount | undefined {
  const above = mountinfo
    .split('\n')
    .flatMap(parseLine)
    .filter((mount) => mount.path === '/' || path === mount.path || path.startsWith(`${mount.path}/`));
  return above.reduce<Mount | undefined>(
    (best, mount) => (best && best.path.length > mount.path.length ? best : mount),
    undefined,
  );
}

const MOST_BYTES = 1024 * 1024;

const mountInfo = async ({ readHead }: Reading): Promise<string> =>
  new TextDecoder().decode(await readHead('/proc/self/mountinfo', MOST_BYTES));

/** `id parent dev root MOUNTPOINT OPTIONS … - TYPE source SUPEROPTIONS`, blanks as `\040`. */
function parseLine(line: string): Mount[] {
  const [before = '', after = ''] = line.split(' - ');
  const [, , device, , escaped, ofMount = ''] = before.split(' ');
  const [type, , ofFileSystem = ''] = after.split(' ');
  if (device === undefined || escaped === undefined || type === undefined) return [];
  const path = escaped.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  const options = [ofMount, ofFileSystem].flatMap((list) => list.split(','));
  return [{ path, device, type, readOnly: options.includes('ro'), options }];
}
