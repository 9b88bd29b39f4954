/** Whether the configuration in a tree is valid, and the files that it names are there and private. */

import { CONFIG_DIRS, loadConfig } from '../../../config/config.ts';
import { asUpdateError } from '../../../errors.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { namesAuthorities } from '../../../system/http/trust-store.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { authorities, secrets } from '../named-files.ts';
import type { TreeWorld } from './world.ts';

/** Folders that keep what the tree puts there: something else is mounted on the others. */
export const isInImage = (path: string): boolean => !/^\/(run|var|tmp|dev|proc|sys)(\/|$)/.test(path);

export const IMAGE_DIRS = CONFIG_DIRS.filter(isInImage);

export async function configuration({ tree, with: { product, architecture } }: TreeWorld): Promise<Finding> {
  const loaded = await loadConfig(tree, IMAGE_DIRS).catch(asUpdateError);
  if (loaded instanceof Error) return fail(loaded.message, loaded.entry.next);
  const { host, repository } = loaded;
  if (host.product === undefined)
    return fail('host.product is not set: hosts would install nothing.', `Set it in a drop-in in ${IMAGE_DIRS[0]}.`);
  if (product !== undefined && host.product !== product)
    return fail(
      `Hosts would install ${host.product}, but the release is of ${product}.`,
      'Set host.product, or pass another --product.',
    );
  if (architecture !== undefined && (host.architecture ?? architecture) !== architecture)
    return fail(
      `host.architecture is ${host.architecture}, but the release is for ${architecture}.`,
      'Remove host.architecture: hosts know their own.',
    );
  const lost = await lostDropIn(tree);
  if (lost !== undefined) return lost;
  if (repository.url !== undefined) return ok(`Installs ${host.product} from ${new URL(repository.url).host}.`);
  return warn(
    'repository.url is not set, so every host needs it in a drop-in of its own.',
    `Set it in a drop-in in ${IMAGE_DIRS[0]}.`,
  );
}

async function lostDropIn(tree: FileTree): Promise<Finding | undefined> {
  for (const dir of IMAGE_DIRS)
    for (const name of await tree.list(dir))
      if (!/\.toml$|^\.|^README/.test(name))
        return warn(`${dir}/${name} is not read: its name does not end in .toml.`, 'Rename it, or remove it.');
  for (const dir of CONFIG_DIRS.filter((one) => !isInImage(one)))
    for (const name of await tree.list(dir))
      return warn(
        `${dir}/${name} is not seen by hosts: another file system is mounted there.`,
        `Move it to ${IMAGE_DIRS[0]}.`,
      );
  return undefined;
}

/** Files that the configuration names, if they belong to the image. */
export async function namedFiles({ tree, config }: TreeWorld): Promise<Finding> {
  const named = [
    ...authorities(config),
    ...secrets(config),
    { key: 'lock.cert_file', path: config.lock.certFile },
  ].flatMap(({ key, path }) => (path !== undefined && isInImage(path) ? [{ key, path }] : []));
  for (const { key, path } of named)
    if ((await tree.find(path))?.kind !== 'file')
      return fail(`${path} is missing; ${key} names it.`, 'Put the file into the tree, or change the setting.');
  for (const { key, path } of authorities(config))
    if (path !== undefined && isInImage(path) && !namesAuthorities((await tree.read(path)) ?? new Uint8Array()))
      return fail(
        `${path} holds no certificate in PEM; ${key} names it.`,
        'Replace it by the certificate of the authority, in PEM.',
      );
  return ok(named.length === 0 ? 'The configuration names no file in the image.' : `All there: ${named.length}.`);
}

/** Whatever an image holds, everyone reads who can download it; on the host, at least, other users should not. */
export async function privateFiles({ tree, config }: TreeWorld): Promise<Finding> {
  for (const { key, path } of secrets(config)) {
    const node = path === undefined || !isInImage(path) ? undefined : await tree.find(path);
    if (node && (node.mode & 0o004) !== 0)
      return warn(
        `Every user of a host can read ${path} (${key}).`,
        `Run \`chmod 600\` on it in the tree; better, give each host a secret of its own below /var.`,
      );
  }
  return ok('No secret is readable for every user.');
}
