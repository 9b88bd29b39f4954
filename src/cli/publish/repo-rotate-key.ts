/** `repo rotate-key`: replaces a key of a role. */

import { UpdateError } from '../../errors.ts';
import { keyIdOf } from '../../verify/keys.ts';
import { holdersOf, readRepository } from '../../verify/publish/repository.ts';
import { rotateKey } from '../../verify/publish/rotate-key.ts';
import type { Command, Context, Input } from '../command.ts';
import { fileSigner, passphraseFrom, publicKeyFrom } from './key-files.ts';
import { PUBLISHER_OPTIONS, publishing, roleFrom } from './publishing.ts';

export const repoRotateKey: Command = {
  name: 'repo rotate-key',
  summary: 'replace a key of a role',
  description:
    'Needs enough root keys (for releases and channels: the targets, snapshot and timestamp keys). If the old key is available, hosts ' +
    'do not notice; otherwise, hosts that poll in the same second may have to poll again.',
  examples: [
    'updatectl repo rotate-key timestamp --old keys/timestamp.pub.json --new keys/timestamp-2.pem --keys keys',
  ],
  arguments: [{ name: '<role>', summary: 'root, targets, releases, channels, snapshot or timestamp' }],
  options: [
    { flags: '--old <key>', summary: 'the old key: its public key file, or its id', required: true },
    { flags: '--new <file>', summary: 'the key file of the new key', required: true },
    ...PUBLISHER_OPTIONS,
  ],
  run: async (context, input) => {
    const role = roleFrom(input.argument(0));
    const newSigner = await fileSigner(context, input.given('new'), () => passphraseFrom(context, input, false));
    await publishing(context, input, async (publisher) => {
      const { keyids } = holdersOf(await readRepository(publisher.files, publisher.dir), role);
      await rotateKey(publisher, { role, oldKeyId: await oldKey(context, input, keyids), newSigner });
    });
    context.out.line(`${role} is now signed by ${newSigner.keyId}.`);
    context.out.document({ schema: 1, role, keyId: newSigner.keyId });
    return 0;
  },
};

/** A file, an id, or a unique start of an id. */
async function oldKey(context: Context, input: Input, keyids: readonly string[]): Promise<string> {
  const given = input.given('old');
  if (!/^[0-9a-f]{8,64}$/.test(given)) return keyIdOf(await publicKeyFrom(context, given));
  const found = keyids.filter((id) => id.startsWith(given));
  if (found.length > 1) throw new UpdateError('usage', `Several keys start with ${given}.`);
  return found[0] ?? given;
}
