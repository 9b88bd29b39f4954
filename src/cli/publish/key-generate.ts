/** `key generate`: a new signing key. */

import { resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { keyIdOf } from '../../verify/keys.ts';
import type { Command } from '../command.ts';
import { makeKey, PASSPHRASE_OPTION, passphraseFrom } from './key-files.ts';

export const keyGenerate: Command = {
  name: 'key generate',
  summary: 'create a signing key',
  description: 'Writes the secret <name>.pem and the public <name>.pub.json.',
  examples: ['updatectl key generate keys/releases-2 --encrypt'],
  arguments: [{ name: '<name>', summary: 'path of the new files, without extension' }],
  options: [{ flags: '--encrypt', summary: 'protect the secret file with a passphrase' }, PASSPHRASE_OPTION],
  run: async (context, input) => {
    const wanted = input.flag('encrypt') || input.text('passphrase-file') !== undefined;
    const passphrase = wanted ? await passphraseFrom(context, input, true) : undefined;
    if (wanted && passphrase === undefined) throw new UpdateError('key-passphrase');
    const path = resolve(context.cwd(), input.argument(0).replace(/\.pem$/, ''));
    const key = await makeKey(path, passphrase);
    context.out.line(`Wrote ${path}.pem (secret) and ${path}.pub.json.`);
    context.out.line(`Key ${keyIdOf(key)}`);
    context.out.document({ schema: 1, keyId: keyIdOf(key), private: `${path}.pem`, public: `${path}.pub.json` });
    return 0;
  },
};
