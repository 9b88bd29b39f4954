/** A host as doctor sees it: its files, its tools, and what its repository answers. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../../src/cli/command.ts';
import { runChecks } from '../../src/cli/doctor/checks.ts';
import type { Finding } from '../../src/cli/doctor/finding.ts';
import type { NamedFinding } from '../../src/cli/doctor/report.ts';
import type { Doors } from '../../src/cli/doctor/world.ts';
import { resolveSound } from '../../src/config/config.ts';
import { UpdateError } from '../../src/errors.ts';
import { realClock } from '../../src/system/clock.ts';
import { silentLog } from '../../src/system/log.ts';

export const NOW = new Date('2026-06-01T00:00:00Z');
export const MOUNTS = `22 1 254:2 / / ro,relatime - erofs /dev/dm-0 ro
30 22 254:5 / /var rw,relatime - ext4 /dev/vda5 rw
31 22 254:1 / /efi rw,relatime - vfat /dev/vda1 rw,dirsync,fmask=0077
32 30 254:6 / /var/my\\040disk rw - ext4 /dev/vda6 rw
`;

const SHIPPED = (name: string): string => readFileSync(join(import.meta.dirname, '../../systemd', name), 'utf8');
const ID = 'ab'.repeat(16);
export const SHOWN_ID = '45 22 0:25 /machine-id /etc/machine-id ro - tmpfs tmpfs rw\n';
export const DROP_IN = '/usr/lib/systemd/system/systemd-bless-boot.service.d/10-tandem.conf';

/** By path, in latin1. */
export type HostFiles = Readonly<Record<string, string | undefined>>;

export const HEALTHY: Readonly<Record<string, string>> = {
  '/proc/self/mountinfo': `${MOUNTS}${SHOWN_ID}`,
  '/usr/share/tandem/root.json': '{"signed":{"expires":"2027-06-01T00:00:00Z"}}',
  '/var/lib/tandem/metadata/timestamp.json': '{"signed":{"expires":"2026-06-03T00:00:00Z"}}',
  '/etc/tandem/config.d/site.toml': 'host.product = "shop"\nrepository.url = "https://updates.example/"\n',
  '/efi/loader/loader.conf': 'timeout 0\ndefault shop_*\n',
  '/etc/fstab': '# what\twhere\nPARTLABEL=esp /efi vfat umask=0077,dirsync 0 2\n',
  '/usr/sbin/fsck.vfat': '',
  '/usr/lib/tandem/tandem-dead-man': SHIPPED('tandem-dead-man'),
  '/etc/machine-id': `${ID}\n`,
  '/var/lib/tandem/machine-id': `${ID}\n`,
  [DROP_IN]: SHIPPED('systemd-bless-boot.conf'),
};

/** What a program prints, by its arguments. */
export type HostTools = Readonly<Record<string, string | ((args: readonly string[]) => string)>>;

/** What systemctl prints on a good host, by a word of its arguments. */
export const SYSTEMCTL: Readonly<Record<string, string>> = {
  'is-enabled': 'enabled\n'.repeat(5),
  '--property=TimersMonotonic': '{ OnActiveUSec=10min ; next_elapse=10min }\n',
  '--property=LoadState,ActiveState': 'LoadState=loaded\nActiveState=active\n',
  '--property=LoadState,DropInPaths': `LoadState=loaded\nDropInPaths=${DROP_IN}\n`,
};

export const systemctl =
  (change: Readonly<Record<string, string>> = {}) =>
  (args: readonly string[]): string =>
    Object.entries({ ...SYSTEMCTL, ...change }).find(([word]) => args.includes(word))?.[1] ?? '';

export const TOOLS: HostTools = { timedatectl: 'yes\n', systemctl: systemctl() };

/** `modes`: of files; 0755 without. `answer`: of the repository. */
export type HostDoors = Readonly<{
  modes?: Readonly<Record<string, number>>;
  answer?(url: string): Promise<Uint8Array>;
  http?: Doors['http'];
}>;

const METADATA = Buffer.from('{"signed":{}}');

/** What the checks say on a host with these files and tools; only what they read is there. */
export async function examineHost(
  files: HostFiles = HEALTHY,
  tools: HostTools = TOOLS,
  { modes = {}, answer = async () => METADATA, http }: HostDoors = {},
): Promise<readonly NamedFinding[]> {
  const read = async (path: string) => (files[path] === undefined ? undefined : Buffer.from(files[path], 'latin1'));
  const context = {
    files: {
      read: async (path: string) =>
        OF_OTHERS.test(path) ? assert.fail(`${path} is read without a bound`) : read(path),
      list: async (dir: string) =>
        Object.entries(files).flatMap(([path, text]) =>
          path.startsWith(`${dir}/`) && text !== undefined ? [path.slice(dir.length + 1)] : [],
        ),
    },
    exec: async (program: string, args: readonly string[]) => {
      const tool = tools[program];
      if (tool === undefined) throw new UpdateError('tool-missing', `${program} is not installed.`);
      return { exitCode: 0, stdout: typeof tool === 'string' ? tool : tool(args), stderr: '' };
    },
    clock: { ...realClock, now: () => NOW },
    signal: new AbortController().signal,
    log: silentLog,
  } as unknown as Context;
  const text = files['/etc/tandem/config.d/site.toml'] ?? '';
  const config = resolveSound([{ path: 'site.toml', text }]);
  const stat = async (path: string) =>
    files[path] === undefined ? undefined : { isFile: () => true, mode: modes[path] ?? 0o100755 };
  return runChecks(context, config, {
    readHead: async (path, most) => (await read(path))?.subarray(0, most),
    stat: stat as unknown as Doors['stat'],
    http: http ?? ((() => ({ fetchBytes: answer })) as unknown as Doors['http']),
  });
}

/** The finding of one check. */
export async function findingsOn(...host: Parameters<typeof examineHost>): Promise<(name: string) => Finding> {
  const findings = await examineHost(...host);
  return (name) => findings.find((one) => one.name === name) ?? assert.fail(`no check is called ${name}`);
}

/** Others write these, so nobody knows how long they are. */
const OF_OTHERS = /^\/(efi|boot)\/|^\/etc\/[^/]+$|\/Loader|device-tree|\.json$/;
