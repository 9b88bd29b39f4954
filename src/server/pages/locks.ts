/** The page of reboot locks: holders, since when and why, and the machines that wait. Pure. */

import { type Counted, MOST_WAITING } from '../fleet/census-tally.ts';
import type { Names } from '../fleet/names.ts';
import type { ShownLock } from '../fleet/reboot-locks.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page, type Viewer } from './layout.ts';
import { table } from './table.ts';
import { ago, badge, holderName, machineLink, plural } from './wording.ts';

export type LocksData = Readonly<{ locks: readonly ShownLock[]; next?: string; census: Counted; names?: Names }>;

export function locksPage(
  { locks, next, census, names = new Map() }: LocksData,
  { mayChange }: Viewer,
  now: Date,
): Page {
  const body = html`<h1>Reboot locks</h1>
<p class="lead">A machine holds its group’s lock from before the reboot until the new release is confirmed. Only the machine or an operator releases it.</p>
${live('locks', locks.length === 0 ? html`<section class="sheet">${empty('No lock is held. A group appears here when one of its machines first requests the lock.')}</section>` : locks.map((lock) => section(lock, names, mayChange, now)))}
${next !== undefined && html`<p><a class="button second" href="/locks?after=${next}">Next groups</a></p>`}
<section class="sheet"><h2>Ready and waiting</h2>${live('waiting', waiting(census, now))}
<p class="note">There is no queue: machines retry until a place is free.</p></section>`;
  return { title: 'Reboot locks', here: 'locks', body };
}

function section(
  { group, max, maxFailures, free, holders, failures }: ShownLock,
  names: Names,
  mayChange: boolean,
  now: Date,
): Html {
  const late = holders.filter((one) => one.late).length;
  const isShut = late + failures.length > maxFailures;
  const head = isShut
    ? badge('bad', 'shut: too many machines overdue')
    : free > 0
      ? badge('good', `${free} of ${max} free`)
      : badge('busy', `all ${max} held`);
  return html`<section class="sheet${isShut && ' alarm'}"><div class="head"><h2>${group}</h2>${head}</div>
${
  holders.length === 0
    ? empty('No holders.')
    : table(
        `Holders in ${group}`,
        ['Machine', 'Since', 'Reason', 'Due back', ...(mayChange ? [{ name: 'Actions', is: 'hidden' } as const] : [])],
        holders.map((holder) => [
          holderName(holder.id, names.get(holder.id)),
          html`${ago(holder.since, now)}${holder.late && html` ${badge('bad', 'overdue')}`}`,
          holder.why,
          ago(new Date(Date.parse(holder.since) + holder.deadlineSeconds * 1000).toISOString(), now),
          ...(mayChange ? [freeing(group, holder)] : []),
        ]),
      )
}
${late > 0 && html`<p class="note">${plural(late, 'machine is', 'machines are')} overdue; ${maxFailures} ${maxFailures === 1 ? 'is' : 'are'} tolerated.</p>`}</section>`;
}

const freeing = (group: string, { id, name }: ShownLock['holders'][number]): Html =>
  html`<a id="free-${group}-${encodeURIComponent(id)}" class="keep" href="/locks/${group}/${encodeURIComponent(id)}">Free…<span class="hidden"> the place of ${name}</span></a>`;

function waiting({ waiting: rows, at }: Counted, now: Date): Html {
  if (rows.length === 0) return empty('No machine is waiting to reboot.');
  const isMore = rows.length >= MOST_WAITING;
  return html`${table(
    'Machines waiting to reboot',
    ['Machine', 'Group', 'Since', 'Waits for'],
    rows.map(({ machine, name, group, since, why }) => [machineLink(machine, name), group, ago(since, now), why]),
    html`${plural(rows.length, 'machine')}${isMore && ' or more'}, as of ${ago(at, now)}`,
  )}${isMore && html`<p><a href="/machines?state=staged">All waiting machines</a></p>`}`;
}
