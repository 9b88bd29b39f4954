/** `rollout readmit`: lets machines try a release again that has failed on them. */

import { UpdateError } from '../../errors.ts';
import { integer, object, text } from '../../formats/shape.ts';
import type { Command } from '../command.ts';
import { askServer, readAnswer, SERVER_OPTIONS } from '../server/client.ts';
import { CHANNEL_OPTION } from './channel.ts';

export const rolloutReadmit: Command = {
  name: 'rollout readmit',
  summary: 'let machines retry a release that failed on them',
  description:
    'Asks the fleet server. The failures so far do not count any more; a brake that is pulled stays so until the rollout is resumed. A machine forgets that it refuses the release at its next poll, unless it went down three times for it: then run `updatectl forget` there.',
  examples: [
    'updatectl rollout readmit 0a4d55a8d778e5022fab701977c5d840 --server https://updates.example --token-file operator.token',
    'updatectl rollout readmit --all --channel stable --server https://updates.example --token-file operator.token',
  ],
  arguments: [{ name: '[machine]', summary: 'its id, as `rollout machines` and the dashboard show it' }],
  options: [{ flags: '--all', summary: 'every machine on which it has failed' }, CHANNEL_OPTION, ...SERVER_OPTIONS],
  run: async (context, input) => {
    const machine = input.optional(0);
    if ((machine === undefined) !== input.flag('all'))
      throw new UpdateError('usage', 'Give the id of one machine, or --all.');
    const channel = encodeURIComponent(input.given('channel'));
    const body = machine === undefined ? {} : { machine };
    const answer = await askServer(context, input, 'POST', `/v1/rollouts/${channel}/readmit`, body);
    const { version, readmitted } = readAnswer(ANSWER, answer);
    const many = `${readmitted} machine${readmitted === 1 ? '' : 's'}`;
    context.out.line(readmitted === 0 ? `${version} has failed nowhere.` : `${many} may try ${version} again.`);
    context.out.document({ schema: 1, version, readmitted });
    return readmitted === 0 ? 3 : undefined;
  },
};

const ANSWER = object({ version: text(/^[0-9A-Za-z.~^-]{1,64}$/), readmitted: integer(0) }, 'ignore');
