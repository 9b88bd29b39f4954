/** The releases of the reference machine that the scenarios install: good ones, and one for each way of being bad. */

import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, updatectl } from './programs.ts';

export const PRODUCT = 'tandem-ref';

export type Kind = 'good' | 'stock-initrd' | 'panic' | 'unhealthy' | 'mute' | 'hang' | 'no-state';

/** Versions in the order of their counters. A machine is installed with version 1. */
export const RELEASES: readonly Readonly<{ version: string; kind: Kind }>[] = [
  { version: '1', kind: 'good' },
  { version: '2', kind: 'good' },
  { version: '3', kind: 'stock-initrd' },
  { version: '4', kind: 'panic' },
  { version: '6', kind: 'unhealthy' },
  { version: '7', kind: 'mute' },
  { version: '10', kind: 'hang' },
  { version: '11', kind: 'no-state' },
];

/** What the releases are made from. */
export type Ingredients = Readonly<{
  /** Scripts that make the system (packaging/image). */
  scripts: string;
  tools: string;
  base: string;
  dracut: string;
  node: string;
  agent: string;
  trustRoot: string;
  work: string;
}>;

export type Built = Readonly<{ version: string; bundle: string; rootHash: string }>;

const COMMAND_LINE =
  'console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr net.ifnames=0 systemd.show_status=no tsc=reliable ' +
  '8250.nr_uarts=1 audit=0 lsm=landlock random.trust_cpu=1 ' +
  // For an emulated processor: no tests of the ciphers at every start, no patience between readers and writers, no memory wiped twice.
  'cryptomgr.notests rcupdate.rcu_expedited=1 init_on_alloc=0';
const STOCK_COMMAND_LINE = `${COMMAND_LINE} root=/dev/mapper/root rootfstype=erofs ro`;

/** Makes the tree of one release and the bundle from it, with Tandem's own tool. */
export async function buildRelease(from: Ingredients, version: string, kind: Kind): Promise<Built> {
  const tree = join(from.work, `tree-${version}`);
  const bundle = join(from.work, `${version}.bundle`);
  await makeTree(from, tree, version, kind);
  const parts = ['--kernel', join(from.base, 'vmlinuz'), '--initrd', await initrdFor(from, kind)];
  const commandLine = kind === 'stock-initrd' ? STOCK_COMMAND_LINE : COMMAND_LINE;
  const tools = ['--stub', join(from.tools, 'efi/linuxx64.efi.stub'), '--ukify', join(from.tools, 'bin/ukify')];
  const said = await updatectl([
    ...['bundle', 'build', '--product', PRODUCT, '--version', version],
    ...['--counter', version, '--root', tree, ...parts, '--cmdline', commandLine, ...tools],
    ...['--level', '3', '--output', bundle, '--json'],
  ]);
  await rm(tree, { recursive: true });
  const { rootHash } = JSON.parse(said) as { rootHash: string };
  return { version, bundle, rootHash };
}

async function makeTree(from: Ingredients, tree: string, version: string, kind: Kind): Promise<void> {
  if (kind === 'panic') return makeEmptyTree(tree);
  const timer = { DEAD_MAN: kind === 'mute' || kind === 'no-state' ? '20s' : '4min' };
  await run(join(from.scripts, 'system'), [tree, version, PRODUCT, from.node, from.agent, from.trustRoot], timer);
  const tandem = join(tree, 'usr/lib/tandem');
  if (kind === 'unhealthy') {
    const program = join(tandem, 'health.d/required/10-database');
    await writeFile(program, '#!/bin/sh\necho "the database does not answer" >&2\nexit 1\n');
    await chmod(program, 0o755);
  }
  if (kind === 'hang') {
    const program = join(tree, 'usr/lib/systemd/systemd');
    await rm(program);
    await writeFile(program, '#!/bin/sh\necho "@@HANG" >/dev/console\nwhile :; do sleep 1000; done\n');
    await chmod(program, 0o755);
  }
  if (kind === 'no-state') {
    await rm(join(tree, 'etc/fstab'));
    await writeFile(join(tree, 'etc/fstab'), 'PARTLABEL=data /var ext4 x-systemd.device-timeout=5s 0 0\n');
  }
  if (kind === 'mute') await writeFile(join(tandem, 'updatectl.js'), 'throw new Error("this agent cannot start");\n');
}

/** A release that never gets as far as its root needs none worth the download. */
async function makeEmptyTree(tree: string): Promise<void> {
  for (const dir of ['dev', 'etc', 'proc', 'run', 'sys', 'usr']) await mkdir(join(tree, dir), { recursive: true });
  await writeFile(join(tree, 'usr/nothing'), 'There is no system here.\n');
}

/** An initrd that is none makes the kernel panic. */
async function initrdFor(from: Ingredients, kind: Kind): Promise<string> {
  if (kind === 'stock-initrd') return join(from.dracut, 'initrd');
  if (kind !== 'panic') return join(from.base, 'initrd');
  const broken = join(from.work, 'no-initrd');
  await writeFile(broken, 'This is not an initrd.\n');
  return broken;
}
