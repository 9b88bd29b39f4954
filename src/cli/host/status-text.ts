/** A status as people read it. Pure. */

import { standingError } from '../../agent/standing-error.ts';
import { otherSlot, type SlotName, type State } from '../../model.ts';
import type { SlotStatus, Status } from '../../protocol.ts';
import { formatProgress } from '../progress.ts';
import { bytes, downtimeText, duration, relative } from '../units.ts';
import { owedText } from './lock-text.ts';
import { settingsLines } from './settings-text.ts';

/** The lines of `updatectl status`. */
export function statusText(status: Status, now: Date, width: number): readonly string[] {
  return [
    headline(status),
    ...(status.progress ? [`  ${progressLine(status, width - 2)}`] : []),
    ...(status.state.kind === 'staging' ? planLines(status) : []),
    ...transferLines(status),
    ...restartLines(status),
    ...gateLines(status, now),
    ...disarmedLines(status, now),
    '',
    ...machineLines(status),
    ...slotLines(status),
    ...checkLines(status, now),
    ...lastRestartLines(status, now),
    ...errorLines(status, now),
    ...lockLines(status, now),
    ...settingsLines(status, now),
    ...refusalLines(status),
  ];
}

function lockLines({ lockOwed: owed }: Status, now: Date): string[] {
  return owed ? [`  owed       ${owedText(owed)} [${owed.code}], next try ${relative(owed.next, now)}`] : [];
}

/** Each with its reason, unless that is shown above. */
function refusalLines({ refused, lastCheck, lastError }: Status): string[] {
  return refused.flatMap(({ version, reason, code }) => {
    // The last error shows the reason, and the command that lifts the refusal.
    if (lastError?.message === reason && lastError.next.includes(`forget ${version}`)) return [];
    const why = lastCheck?.code === 'refused' && lastCheck.result.endsWith(reason) ? '' : `: ${reason}`;
    return [`  refused    ${version}${why} [${code}] (lift it with \`updatectl forget ${version}\`)`];
  });
}

/** Why a request led to nothing, and how to insist on it. */
export function nothingLines({ lastCheck, refused }: Status, version = 'VERSION'): string[] {
  if (!lastCheck) return [];
  const { code, result } = lastCheck;
  const anyway = [
    ...(code === 'downgrade' ? [`updatectl install ${version} --allow-downgrade`] : []),
    ...(code === 'refused' ? [`updatectl forget ${refused.at(-1)?.version ?? version}`] : []),
  ];
  return [`  ${result}`, ...anyway.map((command) => `  To do it anyway: \`${command}\`.`)];
}

/** One sentence: the state, and what comes next. */
export function headline(status: Status): string {
  const { state, running, confirmed, waitingFor, offline } = status;
  const here = running ? `Running ${running.version}${confirmed === false ? ', unproven' : ''}. ` : '';
  const next =
    waitingFor && !offline && (state.kind === 'staged' || state.kind === 'armed') ? ` Waiting for ${waitingFor}.` : '';
  return offline
    ? `The agent is not running (\`systemctl start tandem-agent\`). ${ofRecord(state)}`
    : `${here}${nowDoing(status)}${next}`;
}

/** An idle host may be idle because of an error. */
const nowDoing = (status: Status): string =>
  status.state.kind === 'idle' && standingError(status) ? 'Idle: see the last error.' : sentence(status.state);

/** The last recorded state; what happened since is unknown. */
const ofRecord = (state: State): string =>
  state.kind === 'idle' ? 'It left no work unfinished.' : `Its last recorded state: ${sentence(state)}`;

function sentence(state: State): string {
  switch (state.kind) {
    case 'settling':
      return 'Finishing the last attempt.';
    case 'idle':
      return 'Nothing to do.';
    case 'staging':
      return `Writing ${state.release.version} to slot ${state.target} (attempt ${Math.max(1, state.attempt)}).`;
    case 'staged':
      return `${state.release.version} is ready in slot ${state.target}.`;
    case 'armed':
      return `The next start tries ${state.release.version} from slot ${state.target}.`;
    case 'trial':
      return `${state.release.version} is on trial: probing its health.`;
    case 'condemned':
      return `${state.release.version} failed its trial (${state.reason}); falling back.`;
  }
}

function progressLine({ progress }: Status, width: number): string {
  if (!progress) return '';
  const title = PHASES[progress.phase];
  return formatProgress({ title, done: progress.done, total: progress.total, sinceMs: 0, from: 0 }, width);
}

/** The titles of the progress bar. */
export const PHASES = { check: 'comparing', download: 'writing', 'read-back': 'reading back' } as const;

/** The planned tier: size, source and time, and the alternatives. */
export function planLines({ transfer }: Pick<Status, 'transfer'>): string[] {
  if (!transfer?.planned) return [];
  const { tier, planned, choices = [] } = transfer;
  const time = planned.seconds === undefined ? '' : `, ${duration(planned.seconds * 1000)} at the last measured rate`;
  const others = choices
    .filter((one) => one.tier !== tier)
    .map((one) => `${TIERS[one.tier]} ${one.atLeast ? 'at least ' : ''}${bytes(one.bytes)}`);
  return [
    `  plan       ${TIERS[tier]}: ${bytes(planned.bytes)} from ${planned.from}${time}`,
    ...(others.length > 0 ? [`             instead of: ${others.join(', ')}`] : []),
  ];
}

/** Bytes fetched, copied and kept so far, and the tiers that were given up. */
export function transferLines({ transfer }: Pick<Status, 'transfer'>): string[] {
  if (!transfer) return [];
  const { tier, fetched, copied, kept, fallen } = transfer;
  return [
    `  ${TIERS[tier].padEnd(10)} fetched ${bytes(fetched)}, copied ${bytes(copied)}, kept ${bytes(kept)}`,
    ...fallen.map((one) => `             ${TIERS[one.tier]} was given up [${one.code}]`),
  ];
}

/** The restart method, and why faster ones are ruled out. */
function restartLines({ restart }: Status): string[] {
  if (!restart) return [];
  const slower = restart.method === 'firmware' ? [] : restart.ruledOut;
  return [
    `  restart    by ${restart.method}: ${restart.reason}`,
    ...slower.map((one) => `             no ${one.method}: ${one.reason}`),
  ];
}

/** The closed gates, when they may open, and which are overridden. */
function gateLines({ gates = [], rebootBy }: Status, now: Date): string[] {
  const lines = gates.map(({ code, reason, next, overriddenBy }) => {
    const heard = overriddenBy === undefined ? '' : `, overridden by ${OVERRIDES[overriddenBy]}`;
    const until = next === undefined || overriddenBy !== undefined ? '' : `, may open ${relative(next, now)}`;
    return `  gate       ${reason}${until}${heard} [${code}]`;
  });
  return rebootBy === undefined ? lines : [...lines, `  deadline   ${relative(rebootBy, now)}: overrides soft gates`];
}

const OVERRIDES = { apply: 'an operator', deadline: 'the deadline' } as const;

const disarmedLines = ({ disarmed }: Status, now: Date): string[] =>
  disarmed ? [`  disarmed   ${relative(disarmed.at, now)}: ${disarmed.reason}`] : [];

function lastRestartLines({ lastRestart }: Status, now: Date): string[] {
  if (!lastRestart) return [];
  const time = lastRestart.downtime ? `, ${downtimeText(lastRestart.downtime)} of downtime` : '';
  return [`  restarted  ${relative(lastRestart.at, now)} by ${lastRestart.method}${time}`];
}

const TIERS = { patch: 'patch', blocks: 'blocks', full: 'full image' } as const;

/** The id and group of this host at the fleet server and the lock. */
const machineLines = ({ machine, group }: Status): string[] =>
  machine === undefined ? [] : [`  machine    ${machine}${group === undefined ? '' : `, group ${group}`}`];

function slotLines({ slots, booted }: Status): string[] {
  if (!slots || !booted) return [];
  const line = (name: SlotName): string => `  slot ${name}     ${slotText(slots[name], name === booted)}`;
  return [line(booted), line(otherSlot(booted))];
}

function slotText(slot: SlotStatus, isBooted: boolean): string {
  const version = slot.version ?? 'nothing bootable';
  const proof = !slot.bootable
    ? ''
    : slot.confirmed
      ? ', proven'
      : `, unproven${slot.triesLeft === undefined ? '' : ` (${slot.triesLeft} tries left)`}`;
  return `${version}${isBooted ? ', running' : ''}${proof}`;
}

function checkLines({ lastCheck, nextCheck, nextTry }: Status, now: Date): string[] {
  return [
    ...(lastCheck
      ? [`  last check ${relative(lastCheck.at, now)}: ${checkText(lastCheck)}${untilText(lastCheck.until, now)}`]
      : []),
    ...(nextTry ? [`  next try   ${relative(nextTry, now)}`] : []),
    ...(nextCheck && !nextTry ? [`  next check ${relative(nextCheck, now)}`] : []),
  ];
}

const checkText = ({ result, code }: NonNullable<Status['lastCheck']>): string =>
  code === undefined || code === result ? result : `${result} [${code}]`;

const untilText = (until: string | undefined, now: Date): string =>
  until === undefined ? '' : `; may change ${relative(until, now)}`;

function errorLines({ lastError }: Status, now: Date): string[] {
  if (!lastError) return [];
  return [
    `  last error ${relative(lastError.at, now)}: ${lastError.message} [${lastError.code}]`,
    `             ${lastError.next}`,
  ];
}
