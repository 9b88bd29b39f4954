/** Whether the files that the configuration names are there, and the secret ones private. */

import type { Config } from '../../../config/config.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { authorities, type NamedFile, secrets } from '../named-files.ts';
import type { DoctorWorld } from '../world.ts';

export async function secretFiles(world: DoctorWorld, config: Config): Promise<Finding> {
  const { fleet, lock } = config;
  const token = { key: 'fleet.token_file', path: fleet.tokenFile };
  const others = [...authorities(config), ...secrets(config), { key: 'lock.cert_file', path: lock.certFile }].filter(
    ({ key }) => key !== token.key,
  );
  for (const one of others) {
    const fault = await fileFault(world, one);
    if (fault) return fault;
  }
  if (fleet.url === undefined) return ok('Every file that the configuration names is there.');
  if (await world.stat(token.path))
    return (await fileFault(world, token)) ?? ok('The token for the fleet server is there.');
  return warn(
    `${token.path} does not exist, so the fleet server gets no token.`,
    'If it requires one, put it there: docs/host-data.md.',
  );
}

async function fileFault({ files, stat }: DoctorWorld, { key, path }: NamedFile): Promise<Finding | undefined> {
  if (path === undefined) return undefined;
  const found = await stat(path);
  if (!found?.isFile())
    return fail(
      `${path} is ${found ? 'not a file' : 'missing'}; ${key} names it.`,
      'Put it there, or change the setting.',
    );
  if ((await files.readHead(path, 1))?.length === 0)
    return fail(`${path} is empty; ${key} names it.`, 'Put its content there, or change the setting.');
  const isSecret = !/ca_file|cert_file/.test(key);
  return isSecret && (found.mode & 0o004) !== 0
    ? warn(`Every user can read ${path} (${key}).`, `Run \`chmod 600 ${path}\`.`)
    : undefined;
}
