/** `rollout readmit`: lets machines retry a release that failed on them. */

import { UpdateError } from '../../errors.ts';
import { integer, object, text } from '../../formats/shape.ts';
import type { Command } from '../command.ts';
import { askServer, readAnswer, SERVER_OPTIONS } from '../server/client.ts';
import { CHANNEL_OPTION } from './channel.ts';

export const rolloutReadmit: Command = {
  name: 'rollout readmit',
  summary: 'let machines retry a release that failed on them',
  description:
    'Asks the fleet server. Failures so far no longer count; a pulled brake stays pulled until the rollout is resumed. A machine lifts its refusal of the release at its next poll, unless the release brought it down three times: then run `updatectl forget` there.',
  examples: [
    'updatectl rollout readmit 0a4d55a8d778e5022fab701977c5d840 --server https://updates.example --token-file operator.token',
    'updatectl rollout readmit --all --channel stable --server https://updates.example --token-file operator.token',
  ],
  arguments: [{ name: '[machine]', summary: 'its id, as shown by `rollout machines` and the dashboard' }],
  options: [{ flags: '--all', summary: 'all machines on which it failed' }, CHANNEL_OPTION, ...SERVER_OPTIONS],
  run: async (context, input) => {
    const machine = input.optional(0);
    if ((machine === undefined) !== input.flag('all'))
      throw new UpdateError('usage', 'Pass the id of one machine, or --all.');
    const channel = encodeURIComponent(input.given('channel'));
    const body = machine === undefined ? {} : { machine };
    const answer = await askServer(context, input, 'POST', `/v1/rollouts/${channel}/readmit`, body);
    const { version, readmitted } = readAnswer(ANSWER, answer);
    const many = `${readmitted} machine${readmitted === 1 ? '' : 's'}`;
    context.out.line(
      readmitted === 0 ? `${version} has not failed on any machine.` : `${many} may try ${version} again.`,
    );
    context.out.document({ schema: 1, version, readmitted });
    return readmitted === 0 ? 3 : undefined;
  },
};

const ANSWER = object({ version: text(/^[0-9A-Za-z.~^-]{1,64}$/), readmitted: integer(0) }, 'ignore');
