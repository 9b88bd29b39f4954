/** `repo verify`: checks a repository as a host would, and every file in it. */

import { checkRepository } from '../../verify/publish/check.ts';
import type { Command } from '../command.ts';
import { bytes } from '../units.ts';
import { REPOSITORY_OPTION, repositoryFolder } from './publishing.ts';
import { lifetimeRows, warnOfExpiry } from './repo-lifetimes.ts';

export const repoVerify: Command = {
  name: 'repo verify',
  summary: 'check all metadata and every file, and show expiry times',
  examples: ['updatectl repo verify --repository /srv/updates'],
  options: [REPOSITORY_OPTION],
  run: async (context, input) => {
    const dir = repositoryFolder(context, input);
    const report = await checkRepository(context.files, dir, context.clock.now(), context.signal);
    context.out.table(lifetimeRows(report.roles));
    context.out.line();
    for (const { product, version, counter } of report.releases)
      context.out.line(`release ${product} ${version} (counter ${counter})`);
    for (const { channel, product, version } of report.channels)
      context.out.line(`channel ${channel} offers ${product} ${version}`);
    context.out.line(`${report.files} files, ${bytes(report.bytes)}: all as signed.`);
    context.out.document({ schema: 1, ...report });
    warnOfExpiry(context, report.roles);
    return 0;
  },
};
