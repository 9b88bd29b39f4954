/** `rollout simulate`: plays a rollout on an imaginary fleet before it is signed. */

import { resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { seeded } from '../../rollout/dice.ts';
import { limitsOf, policyOf, type RolloutDocument } from '../../rollout/document.ts';
import { doubtsOf } from '../../rollout/doubts.ts';
import type { Step } from '../../rollout/rollout.ts';
import { type Fleet, type Played, play } from '../../rollout/simulate.ts';
import { replaceFile } from '../../system/files.ts';
import type { Command, Context, Input } from '../command.ts';
import { durationText, minutesFrom } from '../duration.ts';
import { REPOSITORY_OPTION, versionFrom } from '../publish/publishing.ts';
import { CHANNEL_OPTION, offerOf, readChannel } from './channel.ts';
import { curveSvg, curveText } from './curve.ts';
import { DRAFT_OPTIONS, draftFrom } from './draft.ts';
import { limitsText } from './limits.ts';

const YEAR = 366 * 1440;

export const rolloutSimulate: Command = {
  name: 'rollout simulate',
  summary: 'simulate a rollout on an imaginary fleet',
  description:
    'With --signed, plays the rollout of the channel; otherwise the one described by the options of `rollout start`. Signs and changes nothing.',
  examples: [
    'updatectl rollout simulate --hosts 100000 --failure-rate 0.02 --canary lab --max-in-flight 500 --max-failures 100',
    'updatectl rollout simulate --signed --channel stable --repository /srv/updates --hosts 5000 --svg curve.svg',
  ],
  options: [
    { flags: '--hosts <n>', summary: 'hosts in the fleet', default: '1000' },
    {
      flags: '--group <name=share>',
      summary: 'a group and its share of the hosts, such as lab=0.01; the rest are in “default”',
      repeat: true,
    },
    { flags: '--failure-rate <share>', summary: 'share of updates that fail, from 0 to 1', default: '0' },
    {
      flags: '--hindered-rate <share>',
      summary: 'share of updates hindered by disk or network and tried again, from 0 to 1',
      default: '0',
    },
    { flags: '--release-after <time>', summary: 'an operator releases the brake this long after it was pulled' },
    { flags: '--poll <time>', summary: 'how often hosts poll', default: '30m' },
    { flags: '--install <time>', summary: 'time to download and write', default: '10m' },
    { flags: '--reboot <time>', summary: 'time from the reboot to the verdict', default: '3m' },
    { flags: '--window <hh:mm+time>', summary: 'when hosts may reboot each day (UTC), such as 02:00+4h' },
    { flags: '--lock <n>', summary: 'how many hosts may reboot at once' },
    { flags: '--seed <n>', summary: 'the same seed gives the same fleet', default: '1' },
    { flags: '--svg <file>', summary: 'also write the curve to an SVG file' },
    { flags: '--signed', summary: 'play the signed rollout of the channel' },
    ...DRAFT_OPTIONS,
    CHANNEL_OPTION,
    REPOSITORY_OPTION,
  ],
  run: async (context, input) => {
    const { step, document } = await described(context, input);
    const fleet = fleetFrom(input);
    const policy = policyOf(document, step);
    const played = play(policy, limitsOf(document), fleet, seeded(input.whole('seed') ?? 1), {
      minutes: YEAR,
      sampleEvery: 15,
    });
    const svg = input.text('svg');
    if (svg !== undefined)
      await replaceFile(
        context.files,
        resolve(context.cwd(), svg),
        new TextEncoder().encode(curveSvg(played, fleet.hosts)),
      );
    for (const line of curveText(played, fleet.hosts, context.out.width)) context.out.line(line);
    context.out.line(`Played with ${limitsText(limitsOf(document))}.`);
    for (const line of verdict(played, fleet)) context.out.line(line);
    context.out.document({ schema: 1, offer: step, fleet, ...played });
    return 0;
  },
};

/** The releases named by options are unknown here, so barriers keep the order of the command line. */
async function described(context: Context, input: Input): Promise<Readonly<{ step: Step; document: RolloutDocument }>> {
  if (input.flag('signed')) {
    const { step, rollout } = offerOf((await readChannel(context, input)).document);
    if (!rollout)
      throw new UpdateError('rollout-state', `${step.version} is offered to all hosts; there is no rollout.`);
    return { step, document: rollout };
  }
  const known: string[] = [];
  const stepOf = (text: string): Step => {
    if (!known.includes(text)) known.push(text);
    return { version: versionFrom(text), counter: known.indexOf(text) + 2 };
  };
  const draft = draftFrom(input, stepOf, context.clock.now());
  const step = { version: versionFrom('new'), counter: known.length + 2 };
  for (const doubt of doubtsOf(draft, step)) context.out.warn(`Probably a mistake: ${doubt}.`);
  return { step, document: { schema: 1, ...draft } };
}

function fleetFrom(input: Input): Fleet {
  const running: Step = { version: versionFrom('old'), counter: 1 };
  const named = input.list('group').map((given) => {
    const [name = '', share = ''] = given.split('=');
    return { name, share: shareFrom('--group', share), running };
  });
  const rest = 1 - named.reduce((sum, { share }) => sum + share, 0);
  if (rest < 0) throw new UpdateError('usage', 'The shares of the groups add up to more than 1.');
  const window = windowFrom(input.text('window'));
  const lock = input.whole('lock', 1);
  const releaseAfter = input.text('release-after');
  return {
    hosts: input.whole('hosts', 1) ?? 1000,
    groups: [...named, { name: 'default', share: rest, running }],
    poll: Math.max(1, minutesFrom('--poll', input.given('poll'))),
    install: Math.max(1, minutesFrom('--install', input.given('install'))),
    reboot: Math.max(1, minutesFrom('--reboot', input.given('reboot'))),
    failureRate: shareFrom('--failure-rate', input.given('failure-rate')),
    hindranceRate: shareFrom('--hindered-rate', input.given('hindered-rate')),
    ...(releaseAfter === undefined ? {} : { releaseAfter: Math.max(1, minutesFrom('--release-after', releaseAfter)) }),
    ...(window ? { window } : {}),
    ...(lock === undefined ? {} : { lock }),
  };
}

function shareFrom(option: string, text: string): number {
  const share = Number(text);
  if (/^(0|1|0?\.\d{1,9}|1\.0+)$/.test(text)) return share;
  throw new UpdateError('usage', `${option} takes a share from 0 to 1, like 0.02, not “${text}”.`);
}

function windowFrom(text: string | undefined): Fleet['window'] {
  if (text === undefined) return undefined;
  const [, hour, minute, length] = /^([01]\d|2[0-3]):([0-5]\d)\+(\w+)$/.exec(text) ?? [];
  if (length === undefined)
    throw new UpdateError('usage', `--window takes a time and a length, like 02:00+4h, not “${text}”.`);
  return { start: Number(hour) * 60 + Number(minute), length: Math.min(1440, minutesFrom('--window', length)) };
}

function verdict(played: Played, { hosts }: Fleet): string[] {
  const { samples, braked, finishedAt, mostInFlight, mostRebooting } = played;
  const last = samples.at(-1);
  return [
    ...(braked ? [`After ${durationText(braked.at)} the brake is pulled: ${braked.reason}.`] : []),
    ...(finishedAt === undefined ? [] : [`After ${durationText(finishedAt)} all ${hosts} hosts have it.`]),
    `In the end, ${last?.updated} have updated, ${last?.failed} have failed and ${last?.waiting} still wait.`,
    `At most ${mostInFlight} updated and ${mostRebooting} rebooted at the same time.`,
  ];
}
