/** Why a host does not run the newest release: each obstacle, since when, until when, and the next step. Pure. */

import { standingError } from '../../agent/standing-error.ts';
import { ERRORS, isErrorCode } from '../../errors.ts';
import type { Disarmed, Refusal, State } from '../../model.ts';
import { type GateStatus, type Status, WELL_CODES } from '../../protocol.ts';
import { relative } from '../units.ts';
import { owedText } from './lock-text.ts';
import type { Obstacle } from './obstacle.ts';
import { settingsObstacles } from './settings-text.ts';

/** `up-to-date`: no newer release is known for this host. `working`: no action is needed. */
export type Explanation = Readonly<{
  schema: 1;
  verdict: 'up-to-date' | 'working' | 'held' | 'unknown';
  headline: string;
  obstacles: readonly Obstacle[];
  /** Units that do not count against the release, because they had failed before it. */
  failedBefore?: Status['failedBefore'];
  /** A gate closed when the next start was already to be into the release. */
  disarmed?: Disarmed;
  /** When something may change on its own. */
  next?: string;
}>;

/** The explanation of a status. */
export function explain(status: Status): Explanation {
  const obstacles = obstaclesOf(status);
  const verdict = verdictOf(status, obstacles);
  const next = soonest([...obstacles.map((one) => one.next), nextLook(status)]);
  return {
    schema: 1,
    verdict,
    headline: headlineOf(status, verdict),
    obstacles: [...obstacles, ...settingsObstacles(status), ...lockObstacles(status)],
    ...(status.failedBefore ? { failedBefore: status.failedBefore } : {}),
    ...(status.disarmed ? { disarmed: status.disarmed } : {}),
    ...(next === undefined ? {} : { next }),
  };
}

/** The same for people. */
export function explanationText(
  { headline, obstacles, failedBefore, disarmed, next }: Explanation,
  now: Date,
): readonly string[] {
  return [
    headline,
    ...(failedBefore
      ? [
          `Not counted against this system, because they had failed before it (${relative(failedBefore.at, now)}): ${failedBefore.units.join(', ')}.`,
        ]
      : []),
    ...(disarmed
      ? [`The restart was called off ${relative(disarmed.at, now)} and the slot disarmed: ${disarmed.reason}.`]
      : []),
    ...obstacles.flatMap(({ code, reason, since, next: then, command }) => [
      `  ${reason}. [${code}]`,
      ...(since === undefined ? [] : [`      since      ${relative(since, now)}`]),
      ...(then === undefined ? [] : [`      may change ${relative(then, now)}`]),
      ...(command === undefined ? [] : [`      next step  ${command}`]),
    ]),
    ...(next === undefined ? [] : [`This may change ${relative(next, now)}.`]),
  ];
}

/** Only a resting host checks. */
function nextLook({ offline, state, nextTry, nextCheck }: Status): string | undefined {
  if (offline) return undefined;
  return nextTry ?? (state.kind === 'idle' || state.kind === 'staged' ? nextCheck : undefined);
}

function obstaclesOf(status: Status): Obstacle[] {
  const { state } = status;
  if (status.offline)
    return [
      {
        what: 'agent',
        code: 'agent-not-running',
        reason: 'the agent is not running, so this host does not update',
        command: 'systemctl start tandem-agent',
      },
    ];
  const checked = checkOf(status);
  // A refusal quotes the failure that caused it.
  const isQuoted = ({ reason }: Obstacle): boolean =>
    checked.some((one) => one.what === 'refusal' && one.reason.endsWith(reason));
  return [...trialOf(state), ...gatesOf(status), ...checked, ...errorOf(status).filter((one) => !isQuoted(one))];
}

function trialOf(state: State): Obstacle[] {
  if (state.kind === 'trial')
    return [{ what: 'trial', code: 'on-trial', reason: `the health of ${state.release.version} is being probed` }];
  if (state.kind !== 'condemned') return [];
  return [{ what: 'trial', code: state.code, reason: `${state.release.version} failed its trial: ${state.reason}` }];
}

/** The closed gates; an overridden gate is no obstacle. */
function gatesOf({ state, gates = [], waitingFor, since }: Status): Obstacle[] {
  if (state.kind !== 'staged') return [];
  const closed = gates.filter(({ overriddenBy }) => overriddenBy === undefined).map(ofGate);
  if (closed.length > 0 || waitingFor === undefined) return closed;
  const reason = `${state.release.version} waits for ${waitingFor}`;
  return [{ what: 'operator', code: 'waiting', reason, since, command: 'updatectl apply' }];
}

const ofGate = ({ code, reason, strength, since, next, command }: GateStatus): Obstacle => ({
  what: code === 'apply-awaited' ? 'operator' : 'gate',
  code,
  reason: sentence(reason),
  ...(since === undefined ? {} : { since }),
  ...(next === undefined ? {} : { next }),
  ...(command === undefined ? (strength === 'soft' ? { command: 'updatectl apply' } : {}) : { command }),
});

/** The result of the last check, unless all is well. Every code is shown, even one that only a newer server knows. */
function checkOf({ lastCheck, lastError, refused, state, gates = [] }: Status): Obstacle[] {
  if (!lastCheck?.code || WELL_CODES.has(lastCheck.code) || state.kind === 'trial') return [];
  // The gate already says so.
  if (gates.some(({ code }) => code === 'offer-held')) return [];
  const { at, code, result, until } = lastCheck;
  // The last error has its sentence and next step.
  if (code === lastError?.code) return [];
  const said = { code, reason: sentence(result), since: at };
  if (isErrorCode(code)) return [{ ...said, what: 'error', command: ERRORS[code].next }];
  if (code === 'refused') return [{ ...said, ...refusalOf(refused.at(-1)), what: 'refusal' }];
  const command = code === 'downgrade' ? { command: 'updatectl install VERSION --allow-downgrade' } : {};
  return [{ ...said, ...command, what: 'rollout', ...(until === undefined ? {} : { next: until }) }];
}

const refusalOf = (refusal: Refusal | undefined): Partial<Obstacle> =>
  refusal ? { code: refusal.code, since: refusal.at, command: `updatectl forget ${refusal.version}` } : {};

function errorOf(status: Status): Obstacle[] {
  const error = standingError(status);
  if (!error) return [];
  const { code, message, next, at } = error;
  return [{ what: 'error', code, reason: sentence(message), since: at, command: next }];
}

/** It blocks other hosts, not this one. */
const lockObstacles = ({ lockOwed: owed }: Status): Obstacle[] =>
  owed ? [{ what: 'lock', code: owed.code, reason: sentence(owedText(owed)), since: owed.since, next: owed.next }] : [];

function verdictOf({ state, lastCheck, offline }: Status, obstacles: readonly Obstacle[]): Explanation['verdict'] {
  if (offline) return 'unknown';
  if (state.kind === 'staging' || state.kind === 'armed' || state.kind === 'trial') return 'working';
  if (obstacles.length > 0) return 'held';
  if (state.kind !== 'idle') return 'working';
  return lastCheck?.code === 'up-to-date' ? 'up-to-date' : 'unknown';
}

function headlineOf({ state, running }: Status, verdict: Explanation['verdict']): string {
  const here = running?.version ?? 'an unknown version';
  if ('release' in state && state.kind !== 'condemned')
    return `${NOW[state.kind](state.release.version)} This host runs ${here}.`;
  switch (verdict) {
    case 'up-to-date':
      return `This host is up to date: it runs ${here}.`;
    case 'working':
      return `This host runs ${here}; its agent is working.`;
    case 'held':
      return `This host runs ${here} and is held back for now.`;
    case 'unknown':
      return `This host runs ${here}; whether a newer release exists is unknown.`;
  }
}

const NOW = {
  staging: (version: string) => `${version} is being written.`,
  staged: (version: string) => `${version} is ready and waits for the reboot.`,
  armed: (version: string) => `The next start tries ${version}.`,
  trial: (version: string) => `${version} is on trial.`,
} as const;

/** Without the full stop. */
const sentence = (text: string): string => text.replace(/\.$/, '');

const soonest = (moments: readonly (string | undefined)[]): string | undefined =>
  moments.filter((one) => one !== undefined).toSorted()[0];
