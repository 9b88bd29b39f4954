/** The page of one machine: its blockers, its last report and its history. Pure. */

import { judgeHost, turnStarts } from '../../rollout/rollout.ts';
import { SILENT_MS } from '../fleet/census-tally.ts';
import type { MachineRecord } from '../fleet/machines.ts';
import type { Names } from '../fleet/names.ts';
import type { ShownLock } from '../fleet/reboot-locks.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page, type Viewer } from './layout.ts';
import type { Shown } from './rollout-progress.ts';
import { ago, badge, breaking, lasting, machineLink, moment, span, stateBadge } from './wording.ts';

/** `rollout`: its channel's; `lock`: its group's, with the `names` of the holders; `place`: the machine's own entry among them. */
export type MachineData = Readonly<{
  machine: MachineRecord;
  rollout?: Shown;
  lock: ShownLock;
  names: Names;
  mayChange?: boolean;
  place?: ShownLock['holders'][number];
}>;

export function machinePage(data: MachineData, { mayChange }: Viewer, now: Date): Page {
  const { machine } = data;
  const name = machine.host?.name;
  const body = html`<h1>${name === undefined ? html`Machine <span class="id">${machine.machine}</span>` : breaking(name)}</h1>
<div class="pair">
<div><section class="sheet"><h2>Blockers</h2>${live('explain', explain({ ...data, mayChange }, now))}</section>
<section class="sheet"><h2>History</h2>${live('history', history(machine, now))}</section></div>
<section class="sheet"><h2>Last report</h2>${live('facts', facts(machine, now))}${mayChange && acts(machine)}</section>
</div>`;
  return { title: name ?? `Machine ${machine.machine.slice(0, 12)}`, here: 'machines', body };
}

export function noSuchMachine(id: string): Page {
  const body = html`<section class="sheet narrow"><h1>No such machine</h1><p>No machine <span class="id">${id}</span> has ever checked in.</p><p><a href="/machines">All machines</a></p></section>`;
  return { title: 'No such machine', here: 'machines', body };
}

/** `since` for something that lasts, `at` for a moment. */
type Point = Readonly<{ who: string; what: Html | string; since?: string; at?: string; until?: string }>;

function explain(data: MachineData, now: Date): Html {
  const points = [...ofItself(data.machine, now), ...ofTheRollout(data, now), ...ofTheLock(data)];
  if (points.length === 0) return html`<p>${badge('good', 'Nothing blocks it.')}</p>`;
  return html`<dl class="terms">${points.map(
    ({ who, what, since, at, until }) =>
      html`<dt>${who}</dt><dd>${what}${since !== undefined && html` <span class="note">${lasting(since, now)}</span>`}${
        at !== undefined && html` <span class="note">${ago(at, now)}</span>`
      }${until !== undefined && html` <span class="note">until ${moment(until)}</span>`}</dd>`,
  )}</dl>`;
}

function ofItself(
  { cloned, stranger, waitingFor, hold, since, lastSeen, outcome, running }: MachineRecord,
  now: Date,
): readonly Point[] {
  const silence = now.getTime() - Date.parse(lastSeen);
  const hasFailed = outcome && outcome.version !== running.version && outcome.result !== 'updated';
  return [
    ...(silence > SILENT_MS ? [{ who: 'Silence', what: badge('warn', `no check-in for ${span(silence)}`) }] : []),
    ...(cloned
      ? [
          {
            who: 'Two machines',
            what: html`${badge('bad', 'machine-cloned')} share this id: the other is ${cloned.other.name ?? 'unnamed'}${cloned.other.address !== undefined && ` at ${cloned.other.address}`}. Give the copy its own id: on it, remove <code>/etc/machine-id</code> and <code>host-secret</code>, run <code>systemd-machine-id-setup</code>, and restart. Then reset the secret here.`,
            since: cloned.since,
          },
        ]
      : []),
    ...(stranger
      ? [
          {
            who: 'Another machine',
            what: html`${badge('bad', 'refused')} ${stranger.name ?? 'A machine'}${stranger.from !== undefined && ` from ${stranger.from}`} used this id without its secret. If this machine was reinstalled, reset the secret; otherwise two machines share the id.`,
            at: stranger.at,
          },
        ]
      : []),
    ...(waitingFor === undefined ? [] : [{ who: 'The machine', what: `waits for ${waitingFor}`, since }]),
    ...(hold
      ? [{ who: 'The server', what: `holds it: ${hold.reason}`, ...(hold.until ? { until: hold.until } : {}) }]
      : []),
    ...(hasFailed
      ? [
          {
            who: 'Last attempt',
            what: html`${outcome.version} ${badge('bad', outcome.result)} ${outcome.reason}`,
            at: outcome.at,
          },
        ]
      : []),
  ];
}

const again = ({ machine, mayChange }: MachineData): Html | false =>
  mayChange === true && html`(<a href="/rollouts/${machine.channel}/readmit?machine=${machine.machine}">retry…</a>)`;

function ofTheRollout(data: MachineData, now: Date): readonly Point[] {
  const { machine, rollout } = data;
  const policy = rollout?.state.offered?.policy;
  if (!rollout || !policy) return [];
  const { ledger } = rollout;
  const verdict = judgeHost(policy, machine, now.getTime());
  if (verdict.result === 'current') return [];
  const failure = ledger.failed.get(machine.machine);
  const due = ledger.inFlight.get(machine.machine)?.due;
  return [
    ...(ledger.braked ? [{ who: 'The brake', what: ledger.braked.reason, since: iso(ledger.braked.at) }] : []),
    ...(failure === undefined
      ? []
      : [{ who: 'The rollout', what: html`counts it as failed: ${failure.reason} ${again(data)}` }]),
    ...(machine.refuses === undefined || failure !== undefined
      ? []
      : [{ who: 'The machine', what: html`refuses ${machine.refuses} after its own failed attempts ${again(data)}` }]),
    ...(ledger.readmitted.has(machine.machine)
      ? [{ who: 'An operator', what: 'readmitted it; it has not started yet' }]
      : []),
    ...(due === undefined ? [] : [{ who: 'The rollout', what: 'waits for its report', until: iso(due) }]),
    ...(verdict.result === 'hold'
      ? [
          {
            who: 'The policy',
            what: verdict.reason,
            ...(verdict.until === undefined ? {} : { until: iso(verdict.until) }),
          },
        ]
      : [
          {
            who: 'The policy',
            what: html`offers it ${verdict.step.version}${verdict.barrier !== undefined && ` as an intermediate step: ${verdict.barrier}`}`,
            since: iso(turnStarts(policy, machine)),
          },
        ]),
  ];
}

function ofTheLock({ machine, lock, names, place: mine }: MachineData): readonly Point[] {
  if (mine)
    return [
      {
        who: 'The lock',
        what: html`of ${lock.group} is held by this machine${mine.late && html` ${badge('bad', 'late')}`}`,
        since: mine.since,
      },
    ];
  if (machine.state !== 'staged' || lock.free > 0) return [];
  return [
    {
      who: 'The lock',
      what: html`of ${lock.group} is held by ${lock.holders.map(({ id }) => html`${machineLink(id, names.get(id))} `)}`,
    },
  ];
}

function history({ events, firstSeen }: MachineRecord, now: Date): Html {
  if (events.length === 0) return empty(`No events since it was first seen on ${moment(firstSeen)}.`);
  return html`<ol class="story">${events
    .toReversed()
    .map(
      ({ at, what, version, reason }) =>
        html`<li class="${TONES[what] ?? ''}"><p><strong>${WORDS[what] ?? what} ${version}</strong> <span class="note">${ago(at, now)}</span></p>${reason !== undefined && html`<p>${reason}</p>`}</li>`,
    )}<li><p><strong>First seen</strong> <span class="note">${ago(firstSeen, now)}</span></p></li></ol>`;
}

const WORDS: Readonly<Record<string, string>> = {
  updated: 'Updated to',
  'rolled-back': 'Rolled back from',
  failed: 'Failed to install',
  withdrawn: 'Gave up',
  runs: 'Running',
};
const TONES: Readonly<Record<string, string>> = { updated: 'good', 'rolled-back': 'bad', failed: 'bad' };

const facts = (machine: MachineRecord, now: Date): Html => html`<dl class="terms">
<dt>Id</dt><dd class="id">${machine.machine}</dd>
${whereabouts(machine).map(([term, text]) => text !== undefined && html`<dt>${term}</dt><dd>${text}</dd>`)}
<dt>Running</dt><dd>${machine.product} ${machine.running.version} ${machine.confirmed ? badge('good', 'confirmed') : badge('warn', 'on trial')}</dd>
<dt>State</dt><dd>${stateBadge(machine)} <span class="note">${lasting(machine.since, now)}</span></dd>
<dt>Updating to</dt><dd>${machine.wants ?? 'nothing'}</dd>
<dt>Group</dt><dd><a href="/machines?group=${machine.group}">${machine.group}</a></dd>
<dt>Channel</dt><dd><a href="/rollouts/${machine.channel}">${machine.channel}</a></dd>
<dt>Agent</dt><dd>${machine.agent}</dd>
<dt>Last seen</dt><dd>${ago(machine.lastSeen, now)}</dd>
</dl>
<p class="note">Run “updatectl explain” on the machine for more: windows, sessions and inhibitors.</p>`;

const acts = ({ machine, secret, cloned }: MachineRecord): Html =>
  html`<div class="acts">${(secret !== undefined || cloned !== undefined) && html`<a class="button second" href="/machines/${machine}/reset">Reset its secret…</a>`}<a class="button second" href="/machines/${machine}/forget">Forget it…</a></div>`;

/** As the machine reports it. */
const whereabouts = ({ host = {}, from }: MachineRecord): readonly (readonly [string, string | undefined])[] => [
  ['Address', host.address],
  ['Connects from', from],
  ['System', host.os],
  [
    'Kernel',
    host.kernel === undefined ? undefined : `${host.kernel}${host.architecture ? `, ${host.architecture}` : ''}`,
  ],
];

const iso = (time: number): string => new Date(time).toISOString();
