/** Releases for boxes: a small root with Tandem's own units in it, a kernel that only the firmware of a box starts, one bundle of both. */

import { createCipheriv } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createTreeBuilder, saltFor } from '../../src/bundle/verity.ts';
import { bundleBuild } from '../../src/cli/publish/bundle-build.ts';
import type { Product } from '../../src/model.ts';
import { runCommand } from '../support/command-line.ts';
import { peFile } from '../support/pe.ts';
import { PROJECT, run } from '../vm/programs.ts';
import { PANIC } from './firmware.ts';

export const PRODUCT = 'box' as Product;

export type ReleaseOptions = Readonly<{
  version: string;
  /** Must grow; else the version is taken for it. */
  counter?: number;
  /** Files of the image by path, beside or instead of the usual ones; what begins with #! can be run. */
  files?: Readonly<Record<string, string>>;
  /** What fills the image: another seed is other bytes. */
  seed?: string;
  contentMib?: number;
  /** Patches from so many of the releases before it, and the file for hosts on any version; none of them unless said. */
  patchFrom?: number;
  blocks?: boolean;
  /** Its kernel does not start. */
  panics?: boolean;
  /** Of another product than the boxes. */
  product?: string;
}>;

export type Release = Readonly<{ version: string; bundle: string; rootHash: string }>;

const UNITS = 'slot/usr/lib/systemd/system';
const EMPTY = ['dev', 'efi', 'proc', 'root', 'run', 'sys', 'tmp', 'usr', 'var', 'opt/tandem'];
/** What Node.js has compiled once, which halves the time of every later start. */
const CACHE = '/opt/tandem/node_modules/.cache/box';
/** The log takes the place of the journal. ProtectProc= gives the agent a /proc of its own, which has to be imitated, too. */
const IMITATED = 'BindReadOnlyPaths=/dev/boot_id:/proc/sys/kernel/random/boot_id /dev/cmdline:/proc/cmdline';
const AGENT_DROP_IN = `[Service]
StandardError=append:/dev/agent.log
ReadWritePaths=${CACHE}
${IMITATED}
`;
const SHIPPED = join(PROJECT, 'systemd');

/** Makes the images and the bundle in `dir`. `trustRoot`: the root of trust that the image brings. */
export async function buildRelease(dir: string, trustRoot: string, options: ReleaseOptions): Promise<Release> {
  const { version, seed = version, product = PRODUCT } = options;
  const at = (name: string): string => join(dir, `${version}${seed === version ? '' : `-${seed}`}${name}`);
  await makeTree(at('.tree'), trustRoot, options);
  const root = at('.erofs');
  await run('mkfs.erofs', ['--quiet', '-T0', '-E', 'noinline_data', '--all-root', root, at('.tree')]);
  await rm(at('.tree'), { recursive: true });
  const rootHash = await rootHashOf(root, product);
  await writeFile(at('.efi'), ukiOf(options, rootHash));
  const inputs = ['--root', root, '--uki', at('.efi'), '--output', at('.bundle'), '--level', '1'];
  const names = ['--product', product, '--version', version, '--counter', String(options.counter ?? Number(version))];
  await runCommand(bundleBuild, dir, [...names, ...inputs]);
  return { version, bundle: at('.bundle'), rootHash };
}

const ukiOf = ({ version, product, panics }: ReleaseOptions, rootHash: string): Uint8Array =>
  peFile([
    ['.osrel', osRelease(version, product)],
    ['.cmdline', `quiet roothash=${rootHash}`],
    ['.linux', panics ? PANIC : new Uint8Array(256 * 1024).fill(7)],
  ]);

const osRelease = (version: string, product: string = PRODUCT): string =>
  `ID=${product}\nIMAGE_VERSION=${version}\nVERSION_ID=${version}\n`;

async function makeTree(tree: string, trustRoot: string, options: ReleaseOptions): Promise<void> {
  const { version, seed = version, contentMib = 1, files = {} } = options;
  for (const path of EMPTY) await mkdir(join(tree, path), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(tree, name));
  for (const [path, text] of Object.entries({ ...commonFiles(version), ...files })) await put(tree, path, text);
  await put(tree, 'usr/share/tandem/root.json', await readFile(trustRoot, 'utf8'));
  await writeFile(join(tree, 'content'), content(seed, contentMib));
  await copyUnits(tree);
}

/** A path below `usr` is laid over this machine's /usr. */
async function put(tree: string, path: string, text: string): Promise<void> {
  const inside = join(tree, path.startsWith('usr/') ? 'slot' : '', path);
  await mkdir(dirname(inside), { recursive: true });
  await writeFile(inside, text);
  if (text.startsWith('#!')) await chmod(inside, 0o755);
}

const commonFiles = (version: string): Record<string, string> => ({
  'etc/os-release': osRelease(version),
  'etc/machine-id': '',
  'etc/hosts': '127.0.0.1 localhost\n',
  'etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\nmessagebus:x:101:101::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n',
  'etc/group': 'root:x:0:\nmessagebus:x:101:\ntandem:x:998:\nnogroup:x:65534:\n',
  'etc/systemd/system.conf.d/box.conf': '[Manager]\nDefaultTimeoutStopSec=5s\n',
  'etc/systemd/system/tandem-agent.service.d/box.conf': AGENT_DROP_IN,
  'etc/systemd/system/tandem-trial-began.service.d/box.conf': `[Service]\n${IMITATED}\n`,
  'opt/node': '',
  'usr/bin/updatectl': `#!/bin/sh\nexport NODE_COMPILE_CACHE=${CACHE}\nexec /opt/node /opt/tandem/src/main.ts "$@"\n`,
  'usr/lib/systemd/system-generators/README': 'None here.\n',
  'usr/lib/sysusers.d/README': 'Users are in /etc/passwd.\n',
});

/** Those of this machine's systemd that are named in `units`, and Tandem's, as they are shipped. */
async function copyUnits(tree: string): Promise<void> {
  const units = join(tree, UNITS);
  const stock = (await readFile(join(import.meta.dirname, 'units'), 'utf8')).trim().split('\n');
  for (const unit of stock) await copy(join('/usr/lib/systemd/system', unit), join(units, unit));
  const wanted = {
    'default.target': 'multi-user.target',
    'dbus-org.freedesktop.login1.service': 'systemd-logind.service',
    'sockets.target.wants/dbus.socket': '../dbus.socket',
    'sysinit.target.wants/systemd-tmpfiles-setup.service': '../systemd-tmpfiles-setup.service',
  };
  for (const [name, to] of Object.entries(wanted)) await link(join(units, name), to);
  const shipped = (await readdir(SHIPPED)).filter((name) => /\.(service|timer)$/.test(name));
  for (const unit of shipped) await copy(join(SHIPPED, unit), join(units, unit));
  await enable(units);
  await copy(
    join(SHIPPED, 'systemd-tmpfiles-setup.conf'),
    join(units, 'systemd-tmpfiles-setup.service.d/10-tandem.conf'),
  );
  await copy(join(SHIPPED, 'tandem.tmpfiles'), join(tree, 'slot/usr/lib/tmpfiles.d/tandem.conf'));
  for (const program of ['tandem-dead-man', 'tandem-machine-id'])
    await copy(join(SHIPPED, program), join(tree, 'slot/usr/lib/tandem', program));
}

/** What `systemctl preset` does where a package is installed. */
async function enable(units: string): Promise<void> {
  const preset = await readFile(join(SHIPPED, 'tandem.preset'), 'utf8');
  for (const [, unit = ''] of preset.matchAll(/^enable (\S+)$/gm)) {
    const text = await readFile(join(units, unit), 'utf8');
    for (const [, verb, target] of text.matchAll(/^(Want|Requir)edBy=(\S+)$/gm))
      await link(join(units, `${target}.${verb === 'Want' ? 'wants' : 'requires'}`, unit), `../${unit}`);
  }
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}

async function link(path: string, to: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await symlink(to, path);
}

/** Mostly the same in all releases, so that deltas have something to save, and not to be compressed away. */
function* content(seed: string, mib: number): Generator<Uint8Array> {
  const stream = (key: string) => createCipheriv('aes-128-ctr', key.padEnd(16).slice(0, 16), Buffer.alloc(16));
  const common = stream('common');
  const own = stream(seed).update(Buffer.alloc(4096));
  for (let done = 0; done < mib; done += 1) {
    const bytes = common.update(Buffer.alloc(1024 * 1024));
    for (let at = 0; at < bytes.length; at += 65_536) own.copy(bytes, at);
    yield bytes;
  }
}

/** Of an image, which is filled up to whole blocks. */
async function rootHashOf(image: string, product: string): Promise<string> {
  const blocks = Math.ceil((await stat(image)).size / 4096);
  await truncate(image, blocks * 4096);
  const builder = createTreeBuilder(saltFor(product as Product), blocks);
  for await (const bytes of createReadStream(image, { highWaterMark: 1024 * 1024 })) builder.addBlocks(bytes as Buffer);
  return builder.finish();
}
