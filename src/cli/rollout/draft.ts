/** The options that describe a rollout, for starting and simulating one. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import { DEFAULT_FAILURES, NO_LIMIT, type RolloutDocument, readRollout } from '../../rollout/document.ts';
import type { Draft } from '../../rollout/operate.ts';
import type { Step } from '../../rollout/rollout.ts';
import { utcText } from '../../utc.ts';
import type { Input, OptionSpec } from '../command.ts';
import { minutesFrom } from '../duration.ts';
import { versionFrom } from '../publish/publishing.ts';

export const DRAFT_OPTIONS: readonly OptionSpec[] = [
  { flags: '--start <time>', summary: 'when it begins, such as 2030-01-31T00:00:00Z; default: now' },
  { flags: '--canary <group>', summary: 'a group that gets it first', repeat: true },
  { flags: '--soak <time>', summary: 'how long only the canaries have it', default: '1d' },
  { flags: '--over <time>', summary: 'how long until every host may have it', default: '3d' },
  { flags: '--steps <n>', summary: 'number of equal steps; 0: a continuous ramp', default: '0' },
  { flags: '--delay <group=time>', summary: 'start a group later', repeat: true },
  { flags: '--hold <group=reason>', summary: 'keep a group from updating', repeat: true },
  { flags: '--pin <group=version>', summary: 'keep a group at this release', repeat: true },
  { flags: '--barrier <version=reason>', summary: 'a release that older hosts must run first', repeat: true },
  { flags: '--dead-end <version=reason>', summary: 'a release that hosts cannot update from', repeat: true },
  { flags: '--urgent', summary: 'a security fix: ignore the delays of groups' },
  { flags: '--allow-downgrade', summary: 'hosts with a newer release go back to this one' },
  { flags: '--max-in-flight <n>', summary: 'how many hosts may update at once; needs a fleet server' },
  {
    flags: '--max-failures <n>',
    summary: `how many hosts may fail before the server pulls the brake, or “none” for no brake; default: ${DEFAULT_FAILURES}`,
  },
  { flags: '--patience <time>', summary: 'a host that takes longer counts as failed', default: '2d' },
];

/** The rollout that the options describe; `stepOf` finds the releases that they name. */
export function draftFrom(input: Input, stepOf: (version: string) => Step, now: Date): Draft {
  const draft = {
    schema: 1,
    start: momentFrom('--start', input.text('start') ?? utcText(now)),
    ...canaries(input),
    ramp: { minutes: minutesFrom('--over', input.given('over')), steps: input.whole('steps') ?? 0 },
    groups: groups(input, stepOf),
    barriers: pairs(input, 'barrier').map(([version, reason]) => ({ ...stepOf(version), reason })),
    deadEnds: pairs(input, 'dead-end').map(([version, reason]) => ({ version: versionFrom(version), reason })),
    ...(input.flag('urgent') ? { urgent: true } : {}),
    ...(input.flag('allow-downgrade') ? { allowDowngrade: true } : {}),
    ...limits(input),
  };
  const { schema: _, ...checked } = readTyped(draft);
  return checked;
}

/** Options pass the same check as a document that is read. */
function readTyped(draft: object): RolloutDocument {
  try {
    return readRollout(draft, 'The command line');
  } catch (error) {
    throw new UpdateError('usage', asUpdateError(error).message, { cause: error });
  }
}

function canaries(input: Input): object {
  const groups = input.list('canary');
  return groups.length === 0 ? {} : { canaries: { groups, soakMinutes: minutesFrom('--soak', input.given('soak')) } };
}

function groups(input: Input, stepOf: (version: string) => Step): Readonly<Record<string, object>> {
  const rules: Record<string, object> = {};
  const add = (name: string, rule: object): void => {
    rules[name] = { ...rules[name], ...rule };
  };
  for (const [name, time] of pairs(input, 'delay')) add(name, { delayMinutes: minutesFrom('--delay', time) });
  for (const [name, reason] of pairs(input, 'hold')) add(name, { hold: reason });
  for (const [name, version] of pairs(input, 'pin')) add(name, { pin: stepOf(version) });
  return rules;
}

/** Defaults are written out, too: the limits are signed, not left to the reader. */
function limits(input: Input): Required<Pick<Draft, 'limits'>> {
  const failures = input.text('max-failures') === 'none' ? NO_LIMIT : input.whole('max-failures');
  return {
    limits: {
      inFlight: input.whole('max-in-flight', 1) ?? NO_LIMIT,
      failures: failures ?? DEFAULT_FAILURES,
      patienceMinutes: minutesFrom('--patience', input.given('patience')),
    },
  };
}

function pairs(input: Input, option: string): readonly (readonly [string, string])[] {
  const found = new Map<string, string>();
  for (const given of input.list(option)) {
    const at = given.indexOf('=');
    if (at < 1 || at === given.length - 1)
      throw new UpdateError('usage', `--${option} takes name=value, not “${given}”.`);
    const name = given.slice(0, at);
    if (found.has(name)) throw new UpdateError('usage', `--${option} names ${name} twice.`);
    found.set(name, given.slice(at + 1));
  }
  return [...found];
}

/** A moment like `2030-01-31T00:00:00Z` on a day that exists: Node.js would read 31 November as 1 December. */
function momentFrom(option: string, text: string): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text))
    throw new UpdateError('usage', `${option} takes a time like 2030-01-31T00:00:00Z, not “${text}”.`);
  const date = new Date(text);
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 19) !== text.slice(0, 19))
    throw new UpdateError('usage', `${option} ${text}: no such time exists.`);
  return text;
}
