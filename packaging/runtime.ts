/** The private Node.js of a package, without its symbols: `node packaging/runtime.ts [ARCH]` prints its folder. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const PROJECT = join(import.meta.dirname, '..');
const KEPT = join(PROJECT, 'dist/runtime');

/** By all the names that Debian, Node.js, the kernel and systemd give them. */
const ARCHITECTURES = {
  x64: {
    names: ['x64', 'amd64', 'x86_64', 'x86-64'],
    strip: 'x86_64-linux-gnu-strip',
    binutils: 'binutils-x86-64-linux-gnu',
  },
  arm64: { names: ['arm64', 'aarch64'], strip: 'aarch64-linux-gnu-strip', binutils: 'binutils-aarch64-linux-gnu' },
} as const;

export type Architecture = keyof typeof ARCHITECTURES;
type Locked = Readonly<{ version: string; integrity: string }>;

/** Makes the runtime unless it is there. This machine's own needs no network. */
export function runtimeFor(architecture: Architecture): string {
  const { version, integrity } = lockedVersion(`node-linux-${architecture}`);
  const folder = join(KEPT, `node-${version}-${architecture}`);
  if (existsSync(folder)) return folder;
  mkdirSync(KEPT, { recursive: true });
  const work = mkdtempSync(join(KEPT, '.new-'));
  try {
    const unpacked = installed(architecture, version) ?? fetched(architecture, { version, integrity }, work);
    mkdirSync(join(work, 'made'), { mode: 0o755 });
    execFileSync(stripFor(architecture), ['-s', '-o', join(work, 'made/node'), join(unpacked, 'bin/node')]);
    // Another build may have made the same one in the meantime.
    if (!existsSync(folder)) renameSync(join(work, 'made'), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

export function architectureNamed(name: string): Architecture {
  const wanted = name === '' ? process.arch : name;
  const found = (['x64', 'arm64'] as const).find((one) => ARCHITECTURES[one].names.some((each) => each === wanted));
  if (found !== undefined) return found;
  throw new Error(`There is no runtime for “${wanted}”: ARCH is amd64 or arm64. Pass another program as NODE=path.`);
}

function lockedVersion(name: string): Locked {
  const lock = JSON.parse(readFileSync(join(PROJECT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const found = lock.packages[`node_modules/${name}`];
  if (found !== undefined) return found;
  throw new Error(`package-lock.json has no ${name}.`);
}

/** As `npm ci` has unpacked and checked it, for this machine's own architecture. */
function installed(architecture: Architecture, version: string): string | undefined {
  const folder = join(PROJECT, `node_modules/node-linux-${architecture}`);
  if (!existsSync(join(folder, 'bin/node'))) return undefined;
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  return about.version === version ? folder : undefined;
}

/** npm refuses to install a package for another architecture, so its archive is fetched and checked against the lock file. */
function fetched(architecture: Architecture, { version, integrity }: Locked, work: string): string {
  const name = `node-linux-${architecture}`;
  execFileSync('npm', ['pack', '--silent', '--pack-destination', work, `${name}@${version}`], { cwd: PROJECT });
  const archive = join(work, `${name}-${version}.tgz`);
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (found !== integrity) throw new Error(`${name} ${version} is not the one of package-lock.json: it has ${found}.`);
  execFileSync('tar', ['-xzf', archive, '-C', work, 'package/bin/node']);
  return join(work, 'package');
}

function stripFor(architecture: Architecture): string {
  const { strip, binutils } = ARCHITECTURES[architecture];
  const tools = architecture === process.arch ? [strip, 'strip'] : [strip];
  const found = tools.find(isThere);
  if (found !== undefined) return found;
  throw new Error(
    `${strip} is missing (Debian package ${binutils}). To keep the symbols, pass another program as NODE=path.`,
  );
}

function isThere(tool: string): boolean {
  try {
    execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  try {
    console.log(runtimeFor(architectureNamed(process.argv[2] ?? '')));
  } catch (error) {
    console.error(`runtime: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
