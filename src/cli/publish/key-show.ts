/** `key show`: the id of a key, and which roles of a repository it signs. */

import { resolve } from 'node:path';
import { keyIdOf } from '../../verify/keys.ts';
import { ROLE_NAMES } from '../../verify/names.ts';
import { holdersOf, readRepository } from '../../verify/publish/repository.ts';
import type { Command } from '../command.ts';
import { publicKeyFrom } from './key-files.ts';

export const keyShow: Command = {
  name: 'key show',
  summary: 'show the id of a key and what it signs',
  examples: ['updatectl key show keys/releases.pub.json --repository /srv/updates'],
  arguments: [{ name: '<file>', summary: 'a public key file' }],
  options: [{ flags: '--repository <folder>', summary: 'also show which of its roles the key signs' }],
  run: async (context, input) => {
    const keyId = keyIdOf(await publicKeyFrom(context, input.argument(0)));
    const folder = input.text('repository');
    const repository =
      folder === undefined ? undefined : await readRepository(context.files, resolve(context.cwd(), folder));
    const roles = repository && ROLE_NAMES.filter((role) => holdersOf(repository, role).keyids.includes(keyId));
    context.out.line(`Key ${keyId}`);
    if (roles) context.out.line(roles.length > 0 ? `Signs ${roles.join(', ')}.` : 'Signs nothing in this repository.');
    context.out.document({ schema: 1, keyId, ...(roles ? { roles } : {}) });
    return 0;
  },
};
