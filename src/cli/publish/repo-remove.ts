/** `repo remove`: removes a release from a repository. */

import { readRollout } from '../../rollout/document.ts';
import { needOf } from '../../rollout/doubts.ts';
import { type Needs, removeRelease } from '../../verify/publish/publisher.ts';
import type { Command } from '../command.ts';
import { PRODUCT_OPTION, PUBLISHER_OPTIONS, productFrom, publishing, versionFrom } from './publishing.ts';

export const repoRemove: Command = {
  name: 'repo remove',
  summary: 'remove a release from the repository and delete its file',
  description:
    'Needs the keys releases, snapshot and timestamp. A release that a channel offers cannot be removed; one that a rollout ' +
    'needs on the way can be removed only with --insist.',
  examples: ['updatectl repo remove 1.0 --repository /srv/updates --keys ~/keys'],
  arguments: [{ name: '<version>', summary: 'a published release' }],
  options: [PRODUCT_OPTION, ...PUBLISHER_OPTIONS],
  run: async (context, input) => {
    const version = versionFrom(input.argument(0));
    await publishing(context, input, (publisher) => removeRelease(publisher, version, needs, productFrom(input)));
    context.out.line(`Removed ${version}.`);
    context.out.document({ schema: 1, removed: version });
    return 0;
  },
};

/** A rollout that this version does not understand may need it. */
const needs: Needs = ({ rollout, channel }, version) => {
  if (rollout === undefined) return undefined;
  try {
    return needOf(readRollout(rollout, channel), version);
  } catch {
    return 'perhaps: this version does not understand it';
  }
};
