/** `repo refresh`: renews signatures before they expire. */

import { lifetimesOf } from '../../verify/publish/check.ts';
import { refreshRepository } from '../../verify/publish/publisher.ts';
import { readRepository } from '../../verify/publish/repository.ts';
import { renewRole } from '../../verify/publish/rotate-key.ts';
import type { Command } from '../command.ts';
import { PUBLISHER_OPTIONS, publishing, roleFrom } from './publishing.ts';
import { lifetimeRows, warnOfExpiry } from './repo-lifetimes.ts';

export const repoRefresh: Command = {
  name: 'repo refresh',
  summary: 'renew the timestamp, and the snapshot once half its lifetime is over',
  description:
    'Run it from a timer, at least daily, with the keys timestamp and snapshot. Roles with offline keys are renewed with ' +
    '--role, once a year or after a warning.',
  examples: [
    'updatectl repo refresh --repository /srv/updates --key timestamp.pem --key snapshot.pem',
    'updatectl repo refresh --role root --repository /srv/updates --keys /media/safe/keys',
  ],
  options: [{ flags: '--role <name>', summary: 'renew this role, too', repeat: true }, ...PUBLISHER_OPTIONS],
  run: async (context, input) => {
    const roles = input.list('role').map(roleFrom);
    const repository = await publishing(context, input, async (publisher) => {
      for (const role of roles) await renewRole(publisher, role);
      // A ceremony with only offline keys must not need the timestamp's; all other roles publish a timestamp anyway.
      if (roles.length === 0) await refreshRepository(publisher);
      return readRepository(publisher.files, publisher.dir);
    });
    const lives = lifetimesOf(repository, context.clock.now());
    context.out.table(lifetimeRows(lives));
    context.out.document({ schema: 1, roles: lives });
    warnOfExpiry(context, lives);
    return 0;
  },
};
