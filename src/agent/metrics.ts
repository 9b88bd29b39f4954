/** The metrics of a host: the state of its update, and every obstacle by its code. Pure. */

import { ERRORS } from '../errors.ts';
import { gauge, type Labels, type Metric } from '../formats/metrics-text.ts';
import { type HistoryEntry, METHODS, SLOT_NAMES, STATE_KINDS } from '../model.ts';
import { type Status, WELL_CODES } from '../protocol.ts';
import { standingError } from './standing-error.ts';

/** `history`: the recorded attempts. */
export function agentMetrics(status: Status, history: readonly HistoryEntry[]): readonly Metric[] {
  return [
    ...identity(status),
    ...standing(status),
    ...moments(status),
    gauge(
      'tandem_agent_refusal',
      'Current obstacles, by code; `retry`: when each is tried again automatically (now, later or never).',
      [...refusalsOf(status).values()],
    ),
    ...effort(status),
    ...past(status, history),
  ];
}

const RESULTS = ['updated', 'rolled-back', 'failed', 'withdrawn', 'disarmed'] as const;
const TIMES = '_timestamp_seconds';

function identity({ agent, machine, group, booted, running, state, offline }: Status): Metric[] {
  const release = 'release' in state ? state : undefined;
  return [
    gauge(
      'tandem_agent_up',
      '0 if the agent is not running; the other metrics then come from its files.',
      flag(!offline),
    ),
    gauge('tandem_agent_info', 'The agent, and the identity of this host in its fleet.', [
      { labels: { agent, machine: machine ?? '', group: group ?? '' }, value: 1 },
    ]),
    gauge(
      'tandem_agent_booted_info',
      'The running release and its slot.',
      running ? [{ labels: { version: running.version, slot: booted ?? '' }, value: 1 }] : [],
    ),
    gauge(
      'tandem_agent_target_info',
      'The release being installed, and its slot.',
      release ? [{ labels: { version: release.release.version, slot: release.target }, value: 1 }] : [],
    ),
  ];
}

function standing({ state, confirmed, slots, refused }: Status): Metric[] {
  const ofSlots = (value: (slot: NonNullable<Status['slots']>['a']) => number | undefined) =>
    slots ? SLOT_NAMES.map((slot) => ({ labels: { slot }, value: value(slots[slot]) })) : [];
  return [
    gauge(
      'tandem_agent_state',
      '1 for the current state of the host.',
      STATE_KINDS.map((one) => ({ labels: { state: one }, value: flag(one === state.kind) })),
    ),
    gauge(
      'tandem_agent_confirmed',
      '1 if the running system is confirmed.',
      confirmed === undefined ? undefined : flag(confirmed),
    ),
    gauge(
      'tandem_agent_slot_bootable',
      '1 if the boot loader may start the slot.',
      ofSlots((slot) => flag(slot.bootable)),
    ),
    gauge(
      'tandem_agent_slot_tries_left',
      'Tries that the boot loader has left for the slot.',
      ofSlots((slot) => slot.triesLeft),
    ),
    gauge(
      'tandem_agent_staging_attempt',
      'The number of the current attempt to write the release.',
      state.kind === 'staging' ? state.attempt : undefined,
    ),
    gauge(
      'tandem_agent_refused_releases',
      'Refused releases, which are not tried again until they are forgotten.',
      refused.length,
    ),
  ];
}

function moments(status: Status): Metric[] {
  const { state, since, lastCheck, lastGoodCheck, nextCheck, rebootBy, lastError, settings } = status;
  return [
    moment('tandem_agent_state_since', 'When the host entered its current state.', since),
    moment(
      'tandem_agent_staged',
      'Since when a release has waited for its reboot.',
      state.kind === 'staged' ? since : undefined,
    ),
    moment('tandem_agent_deadline', 'When soft gates are overridden.', rebootBy),
    moment('tandem_agent_last_check', 'The last check, successful or not.', lastCheck?.at),
    moment('tandem_agent_last_good_check', 'The last successful check since the agent started.', lastGoodCheck),
    moment('tandem_agent_next_check', 'The next check of the repository.', nextCheck),
    moment('tandem_agent_last_error', 'When the last error occurred.', lastError?.at),
    moment('tandem_agent_settings_read', 'When the fleet settings were last read from etcd.', settings?.readAt),
  ];
}

/** One of each kind and code; an overridden gate is no obstacle. */
function refusalsOf(status: Status): ReadonlyMap<string, Readonly<{ labels: Labels; value: 1 }>> {
  const { state, gates = [], lastCheck, lockOwed, refused, transfer, settings, offline } = status;
  const error = standingError(status);
  const named: readonly (readonly [string, string | undefined])[] = [
    ['agent', offline ? 'agent-not-running' : undefined],
    ['trial', state.kind === 'condemned' ? state.code : undefined],
    ...gates.filter(({ overriddenBy }) => overriddenBy === undefined).map(({ code }) => ['gate', code] as const),
    ['check', isBadNews(lastCheck?.code) && lastCheck?.code !== error?.code ? lastCheck?.code : undefined],
    ['error', error?.code],
    ['lock', lockOwed?.code],
    ...refused.map(({ code }) => ['release', code] as const),
    ...(transfer?.fallen ?? []).map(({ code }) => ['tier', code] as const),
    ...(settings?.faults ?? []).map(({ code }) => ['setting', code] as const),
    ['setting', settings?.error?.code],
  ];
  return new Map(
    named.flatMap(([what, given]) => {
      if (given === undefined) return [];
      const code = CODE.test(given) ? given : 'others';
      return [[`${what} ${code}`, { labels: { what, code, retry: retryOf(what, code) }, value: 1 }] as const];
    }),
  );
}

const isBadNews = (code = ''): boolean => !WELL_CODES.has(code);
/** Codes come from a server, too: anything that is not a code is dropped. */
const CODE = /^[a-z0-9-]{1,64}$/;

function retryOf(what: string, code: string): string {
  if (what === 'release') return 'never';
  return Object.hasOwn(ERRORS, code) ? ERRORS[code as keyof typeof ERRORS].retry : 'later';
}

function effort({ transfer }: Status): Metric[] {
  const { fetched, copied, kept } = transfer ?? {};
  const bytes = { fetched, copied, kept };
  return [
    gauge(
      'tandem_agent_transfer_bytes',
      'Bytes of the current or last install: fetched, copied from the running system, or kept in place.',
      Object.entries(bytes).map(([how, value]) => ({ labels: { how }, value })),
    ),
    gauge(
      'tandem_agent_transfer_planned_bytes',
      'Total bytes to fetch in the current or last install.',
      transfer?.planned?.bytes,
    ),
  ];
}

function past({ lastRestart }: Status, history: readonly HistoryEntry[]): Metric[] {
  const many = (isOne: (entry: HistoryEntry) => boolean) => history.filter(isOne).length;
  return [
    gauge(
      'tandem_agent_attempts',
      'Ended attempts in the history, by result.',
      RESULTS.map((result) => ({ labels: { result }, value: many((one) => one.result === result) })),
    ),
    gauge(
      'tandem_agent_restarts',
      'Updates in the history, by restart method.',
      METHODS.map((method) => ({
        labels: { method },
        value: many((one) => one.result === 'updated' && one.method === method),
      })),
    ),
    moment('tandem_agent_last_restart', 'The end of the last attempt that restarted the machine.', lastRestart?.at),
    gauge(
      'tandem_agent_last_downtime_seconds',
      'How long nothing ran during the last restart.',
      lastRestart?.downtime && lastRestart.downtime.ms / 1000,
    ),
  ];
}

const moment = (name: string, help: string, at: string | undefined): Metric =>
  gauge(`${name}${TIMES}`, help, at === undefined ? undefined : Date.parse(at) / 1000);

const flag = (isSo: boolean): 0 | 1 => (isSo ? 1 : 0);
