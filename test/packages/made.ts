/** The packages under test, and others made of them: older ones, and one of systemd with a program of the same name. */

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PROJECT, run } from '../vm/programs.ts';

export const BUILT = join(PROJECT, 'dist/packages');
export const NAMES = ['tandem', 'tandem-server', 'tandem-publisher'] as const;
export const OLDER = '0.9.0-1';

/** Of this tree, as Debian writes it. */
export const debianVersion = (): Promise<string> => run(join(PROJECT, 'packaging/version'), ['debian']);

/** The files of all packages that this machine can install. */
export async function builtPackages(): Promise<readonly string[]> {
  const version = await debianVersion();
  const files = [`tandem_${version}_amd64.deb`, ...NAMES.slice(1).map((name) => `${name}_${version}_all.deb`)];
  const missing = files.filter((file) => !readdirSync(BUILT).includes(file));
  if (missing.length > 0) throw new Error(`Run \`make packages\` first: ${missing.join(', ')} is missing.`);
  return files;
}

/** A folder that systems see as /mnt: `new`, `old` and `systemd.deb`. */
export async function packagesToTry(): Promise<Readonly<{ path: string }> & Disposable> {
  const files = await builtPackages();
  const path = mkdtempSync(join(tmpdir(), 'tandem-debs-'));
  for (const file of files) {
    cpSync(join(BUILT, file), join(path, 'new', file));
    await makeOlder(join(BUILT, file), join(path, 'old', file.replace(/_.*_/, `_${OLDER}_`)));
  }
  await makeOfSystemd(join(path, 'systemd.deb'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The same files under an older version, not compressed. */
async function makeOlder(from: string, to: string): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'tandem-older-'));
  await run('dpkg-deb', ['--raw-extract', from, join(work, 'tree')]);
  const control = join(work, 'tree/DEBIAN/control');
  const text = readFileSync(control, 'utf8');
  const [, version = ''] = /^Version: (.*)$/m.exec(text) ?? [];
  writeFileSync(control, text.replaceAll(version, OLDER));
  await pack(join(work, 'tree'), to);
  rmSync(work, { recursive: true });
}

async function makeOfSystemd(to: string): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'tandem-systemd-'));
  const files = {
    'DEBIAN/control':
      'Package: systemd-sysupdated\nVersion: 999\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n',
    'usr/bin/updatectl': '#!/bin/sh\necho of systemd\n',
    'usr/share/bash-completion/completions/updatectl': '# of systemd\n',
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(work, name)), { recursive: true });
    writeFileSync(join(work, name), text, { mode: name.includes('/bin/') ? 0o755 : 0o644 });
  }
  await pack(work, to);
  rmSync(work, { recursive: true });
}

async function pack(tree: string, to: string): Promise<void> {
  mkdirSync(dirname(to), { recursive: true });
  await run('dpkg-deb', ['--root-owner-group', '-Znone', '--build', tree, to]);
}
