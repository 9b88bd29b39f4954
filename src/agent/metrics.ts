/** A host in figures: where its update stands, and every refusal by its name. Pure. */

import { ERRORS } from '../errors.ts';
import { gauge, type Labels, type Metric } from '../formats/metrics-text.ts';
import { type HistoryEntry, METHODS, SLOT_NAMES, STATE_KINDS } from '../model.ts';
import { type Status, WELL_CODES } from '../protocol.ts';
import { standingError } from './standing-error.ts';

/** `history`: the ended attempts that are remembered. */
export function agentMetrics(status: Status, history: readonly HistoryEntry[]): readonly Metric[] {
  return [
    ...identity(status),
    ...standing(status),
    ...moments(status),
    gauge('tandem_agent_refusal', 'What stands in the way now, by its name; `retry`: now, later or never by itself.', [
      ...refusalsOf(status).values(),
    ]),
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
      '0 when the agent is not running, and the figures are those of its files.',
      flag(!offline),
    ),
    gauge('tandem_agent_info', 'The agent, and who this host is to its fleet.', [
      { labels: { agent, machine: machine ?? '', group: group ?? '' }, value: 1 },
    ]),
    gauge(
      'tandem_agent_booted_info',
      'What is running, and from which slot.',
      running ? [{ labels: { version: running.version, slot: booted ?? '' }, value: 1 }] : [],
    ),
    gauge(
      'tandem_agent_target_info',
      'The release that is on its way, and its slot.',
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
      '1 for the state that the host is in.',
      STATE_KINDS.map((one) => ({ labels: { state: one }, value: flag(one === state.kind) })),
    ),
    gauge(
      'tandem_agent_confirmed',
      '1 when the running system is proven.',
      confirmed === undefined ? undefined : flag(confirmed),
    ),
    gauge(
      'tandem_agent_slot_bootable',
      '1 when the boot loader may start the slot.',
      ofSlots((slot) => flag(slot.bootable)),
    ),
    gauge(
      'tandem_agent_slot_tries_left',
      'How often the boot loader will still try the slot.',
      ofSlots((slot) => slot.triesLeft),
    ),
    gauge(
      'tandem_agent_staging_attempt',
      'Which attempt at writing the release this is.',
      state.kind === 'staging' ? state.attempt : undefined,
    ),
    gauge(
      'tandem_agent_refused_releases',
      'Releases that are not tried again until they are forgotten.',
      refused.length,
    ),
  ];
}

function moments(status: Status): Metric[] {
  const { state, since, lastCheck, lastGoodCheck, nextCheck, rebootBy, lastError, settings } = status;
  return [
    moment('tandem_agent_state_since', 'Since when the host is in its state.', since),
    moment(
      'tandem_agent_staged',
      'Since when a release waits for its reboot.',
      state.kind === 'staged' ? since : undefined,
    ),
    moment('tandem_agent_deadline', 'When soft gates are no longer heard.', rebootBy),
    moment('tandem_agent_last_check', 'The last check, however it ended.', lastCheck?.at),
    moment(
      'tandem_agent_last_good_check',
      'The last check that was answered, since the agent was started.',
      lastGoodCheck,
    ),
    moment('tandem_agent_next_check', 'When the repository is asked next.', nextCheck),
    moment('tandem_agent_last_error', 'When the last error happened.', lastError?.at),
    moment('tandem_agent_settings_read', 'When the settings of the fleet were last read from etcd.', settings?.readAt),
  ];
}

/** One of each kind and name; an objection that is overridden stands in nobody's way. */
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
/** Names come from a server, too: whatever is none is not passed on. */
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
      'Of the running or last install: fetched, copied from the running system, and found in place.',
      Object.entries(bytes).map(([how, value]) => ({ labels: { how }, value })),
    ),
    gauge(
      'tandem_agent_transfer_planned_bytes',
      'What the running or last install has to fetch in all.',
      transfer?.planned?.bytes,
    ),
  ];
}

function past({ lastRestart }: Status, history: readonly HistoryEntry[]): Metric[] {
  const many = (isOne: (entry: HistoryEntry) => boolean) => history.filter(isOne).length;
  return [
    gauge(
      'tandem_agent_attempts',
      'Ended attempts that the history remembers, by how they ended.',
      RESULTS.map((result) => ({ labels: { result }, value: many((one) => one.result === result) })),
    ),
    gauge(
      'tandem_agent_restarts',
      'Updates that the history remembers, by the method of the restart that led to them.',
      METHODS.map((method) => ({
        labels: { method },
        value: many((one) => one.result === 'updated' && one.method === method),
      })),
    ),
    moment('tandem_agent_last_restart', 'The end of the last attempt that restarted the machine.', lastRestart?.at),
    gauge(
      'tandem_agent_last_downtime_seconds',
      'How long nothing ran at the last restart.',
      lastRestart?.downtime && lastRestart.downtime.ms / 1000,
    ),
  ];
}

const moment = (name: string, help: string, at: string | undefined): Metric =>
  gauge(`${name}${TIMES}`, help, at === undefined ? undefined : Date.parse(at) / 1000);

const flag = (isSo: boolean): 0 | 1 => (isSo ? 1 : 0);
