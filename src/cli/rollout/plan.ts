/** `rollout plan`: which hosts get the release, and when. */

import { UpdateError } from '../../errors.ts';
import type { MachineId } from '../../model.ts';
import { policyOf } from '../../rollout/document.ts';
import { type Rollout, turnStarts } from '../../rollout/rollout.ts';
import type { Command } from '../command.ts';
import { REPOSITORY_OPTION } from '../publish/publishing.ts';
import { CHANNEL_OPTION, offerOf, readChannel } from './channel.ts';
import { type Row, SHARES, scheduleOf } from './schedule.ts';

export const rolloutPlan: Command = {
  name: 'rollout plan',
  summary: 'show which hosts get the release of a channel, and when',
  description: 'Shows the times at which shares of each group may have it, or the time of each named host.',
  examples: [
    'updatectl rollout plan --channel stable --repository /srv/updates',
    'updatectl rollout plan 8c6d…=lab 03ff…=default --repository /srv/updates',
  ],
  arguments: [{ name: '[host...]', summary: 'hosts as id=group; `updatectl status --json` shows the id' }],
  options: [CHANNEL_OPTION, REPOSITORY_OPTION],
  run: async (context, input) => {
    const { document } = await readChannel(context, input);
    const { step, rollout } = offerOf(document);
    if (!rollout)
      throw new UpdateError('rollout-state', `${step.version} is offered to all hosts; there is no rollout.`);
    const policy = policyOf(rollout, step);
    const hosts = input.rest(0).map((given) => turnOfHost(policy, given));
    const schedule = scheduleOf(policy);
    context.out.table(hosts.length > 0 ? hostTable(hosts) : groupTable(schedule));
    context.out.document({ schema: 1, channel: document.channel, offer: step, schedule, hosts });
    return 0;
  },
};

type Turn = Readonly<{ machine: string; group: string; at: string }>;

function turnOfHost(policy: Rollout, given: string): Turn {
  const [, machine, group = 'default'] = /^([0-9a-f]{32})(?:=(.+))?$/.exec(given) ?? [];
  if (machine === undefined) throw new UpdateError('usage', `Pass a host as id=group, not “${given}”.`);
  const at = new Date(turnStarts(policy, { machine: machine as MachineId, group })).toISOString();
  return { machine, group, at };
}

const hostTable = (hosts: readonly Turn[]): string[][] => [
  ['HOST', 'GROUP', 'FROM'],
  ...hosts.map(({ machine, group, at }) => [machine, group, shortTime(at)]),
];

const groupTable = (rows: readonly Row[]): string[][] => [
  ['GROUP', ...SHARES.map((share) => `${share * 100} %`)],
  ...rows.map(({ group, isCanary, held, times }) => [
    `${group === '' ? 'all others' : group}${isCanary ? ' (canary)' : ''}`,
    ...(held === undefined ? times.map(({ at }) => shortTime(at)) : [`held: ${held}`]),
  ]),
];

const shortTime = (at: string): string => `${at.slice(0, 16).replace('T', ' ')}Z`;
