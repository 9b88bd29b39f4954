/** Machines, a page at a time, and the search among them. Pure. */

import { SILENT_MS } from '../census-tally.ts';
import type { Found, Search } from '../machine-search.ts';
import type { MachineRecord } from '../machines.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page, scrolled } from './layout.ts';
import { ago, badge, count, machineLink, stateBadge } from './wording.ts';

export const STATES = ['settling', 'idle', 'staging', 'staged', 'armed', 'trial', 'condemned'] as const;

export function machinesPage(search: Search, found: Found, now: Date): Page {
  const body = html`<h1>Machines</h1>
<section class="sheet" aria-label="Search"><form class="row" method="get" action="/machines">
<label>Name or address <input name="name" value="${search.name ?? ''}" maxlength="100" autocomplete="off" spellcheck="false"></label>
<label>Id begins with <input name="id" value="${search.id ?? ''}" maxlength="32" size="14" pattern="[0-9a-fA-F]*" title="hexadecimal digits" autocomplete="off" spellcheck="false"></label>
<label>Version <input name="version" value="${search.version ?? ''}" maxlength="64" size="14" autocomplete="off" spellcheck="false"></label>
<label>Group <input name="group" value="${search.group ?? ''}" maxlength="64" size="14" autocomplete="off" spellcheck="false"></label>
<label>State <select name="state"><option value="">any</option>${STATES.map((state) => html`<option${state === search.state && html` selected`}>${state}</option>`)}</select></label>
<button>Search</button>${isFiltered(search) && html`<a class="button second" href="/machines">All machines</a>`}
</form></section>
<section class="sheet" aria-label="Machines found">${live('found', listed(found, now))}
${pager(search, found)}</section>`;
  return { title: 'Machines', here: 'machines', body };
}

/** The row of a machine in any list. */
export function machineRow(machine: MachineRecord, now: Date): Html {
  const { machine: id, host, running, group, lastSeen, hold, waitingFor } = machine;
  const isSilent = now.getTime() - Date.parse(lastSeen) > SILENT_MS;
  return html`<tr><th scope="row">${machineLink(id, host?.name)}</th><td>${running.version}${!machine.confirmed && html` ${badge('warn', 'on trial')}`}</td><td>${stateBadge(machine)}</td><td class="roomy">${group}</td><td class="roomy">${host?.address}</td><td>${isSilent ? badge('warn', ago(lastSeen, now)) : ago(lastSeen, now)}</td><td class="roomy">${waitingFor ?? hold?.reason}</td></tr>`;
}

const isFiltered = ({ name, id, version, group, state }: Search): boolean =>
  Boolean(name ?? id ?? version ?? group ?? state);

function listed({ machines, more }: Found, now: Date): Html {
  if (machines.length === 0)
    return empty(more === undefined ? 'No machine is like this.' : 'None among those looked at so far.');
  return scrolled(
    'Machines',
    html`<table><thead><tr><th scope="col">Machine</th><th scope="col">Runs</th><th scope="col">State</th><th scope="col" class="roomy">Group</th><th scope="col" class="roomy">Address</th><th scope="col">Last heard of</th><th scope="col" class="roomy">What holds it back</th></tr></thead>
<tbody>${machines.map((machine) => machineRow(machine, now))}</tbody></table>`,
  );
}

function pager(search: Search, { machines, looked, more }: Found): Html {
  const query = new URLSearchParams(Object.entries(search).filter(([, value]) => value !== undefined));
  const first =
    search.after !== undefined &&
    html`<a class="button second" href="/machines?${withAfter(query, undefined)}">From the start</a>`;
  const next =
    more !== undefined &&
    html`<a class="button second" href="/machines?${withAfter(query, more)}">${machines.length === 0 ? 'Look further' : 'Next'}</a>`;
  const words = isFiltered(search)
    ? `${count(machines.length)} shown of ${count(looked)} looked at.`
    : `${count(machines.length)} shown, by id.`;
  return html`<div class="acts"><span class="note">${words}</span>${first}${next}</div>`;
}

function withAfter(query: URLSearchParams, after: string | undefined): string {
  const copy = new URLSearchParams(query);
  if (after === undefined) copy.delete('after');
  else copy.set('after', after);
  return copy.toString();
}
