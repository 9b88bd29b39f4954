/** The publisher's side of a scenario: a repository with its keys, worked with Tandem's own commands. */

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run, updatectl } from './programs.ts';

export const CHANNEL = 'stable';

/** What is served. */
export const servedBy = (repository: string): string => join(repository, 'www');

/** Makes an empty repository and its keys in a folder; returns the root of trust for the images. */
export async function createRepository(repository: string): Promise<string> {
  await mkdir(servedBy(repository), { recursive: true });
  await updatectl(['repo', 'init', ...where(repository)]);
  return join(servedBy(repository), 'metadata/1.root.json');
}

/** Without deltas: most scenarios are about the full image. */
export async function addBundle(repository: string, bundle: string): Promise<void> {
  await updatectl(['repo', 'add', bundle, '--patch-from', '0', '--no-blocks', ...where(repository)]);
}

/** Adds what saves downloading, as `repo add` does by itself. `patches` is from how many releases before. */
export async function addDeltas(repository: string, version: string, product: string, patches: number): Promise<void> {
  const folder = join(servedBy(repository), 'targets/releases', product);
  const name = (await readdir(folder)).find((one) => one.endsWith(`.${version}.bundle`));
  if (name === undefined) throw new Error(`no release ${version} in ${folder}`);
  await updatectl(['repo', 'add', join(folder, name), '--patch-from', String(patches), ...where(repository)]);
}

/** Offers a release to the machines of a channel. */
export async function promote(repository: string, version: string, product: string): Promise<void> {
  const options = ['--product', product, '--channel', CHANNEL, '--allow-downgrade', '--insist', 'channel-new'];
  await updatectl(['repo', 'promote', version, ...options, ...where(repository)]);
}

/** A copy to change; files are replaced and never rewritten, so links will do. */
export async function copyRepository(from: string, to: string): Promise<void> {
  await run('cp', ['-al', from, to]).catch(() => run('cp', ['-a', from, to]));
}

const where = (repository: string): string[] => [
  '--repository',
  servedBy(repository),
  '--keys',
  join(repository, 'keys'),
];
