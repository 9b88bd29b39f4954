/** The list of machines, a page at a time, with its search form. Pure. */

import { STATE_KINDS } from '../../model.ts';
import { SILENT_MS } from '../fleet/census-tally.ts';
import type { FailureSearch, Found, Search } from '../fleet/machine-search.ts';
import type { MachineRecord } from '../fleet/machines.ts';
import { type Html, html, type Part } from './html.ts';
import { empty, live, type Page } from './layout.ts';
import { table } from './table.ts';
import { ago, badge, count, machineLink, stateBadge } from './wording.ts';

export function machinesPage(search: Search, found: Found, now: Date): Page {
  const body = html`<h1>Machines</h1>
<section class="sheet" aria-label="Search"><form class="row" method="get" action="/machines">
<label>Name or address <input name="name" value="${search.name ?? ''}" maxlength="100" autocomplete="off" spellcheck="false"></label>
<label>Id starts with <input name="id" value="${search.id ?? ''}" maxlength="32" size="14" pattern="[0-9a-fA-F]*" title="hexadecimal digits" autocomplete="off" spellcheck="false"></label>
<label>Version <input name="version" value="${search.version ?? ''}" maxlength="64" size="14" autocomplete="off" spellcheck="false"></label>
<label>Group <input name="group" value="${search.group ?? ''}" maxlength="64" size="14" autocomplete="off" spellcheck="false"></label>
<label>State <select name="state"><option value="">any</option>${STATE_KINDS.map((state) => html`<option${state === search.state && html` selected`}>${state}</option>`)}</select></label>
${failureFilter(search)}<button>Search</button>${isFiltered(search) && html`<a class="button second" href="/machines">All machines</a>`}
</form></section>
<section class="sheet" aria-label="Machines found">${live('found', listed(found, now))}
${pager(search, found)}</section>`;
  return { title: 'Machines', here: 'machines', body };
}

function machineRow(machine: MachineRecord, now: Date): readonly Part[] {
  const { machine: id, host, running, group, lastSeen, hold, waitingFor } = machine;
  const isSilent = now.getTime() - Date.parse(lastSeen) > SILENT_MS;
  return [
    machineLink(id, host?.name),
    html`${running.version}${!machine.confirmed && html` ${badge('warn', 'on trial')}`}`,
    machine.cloned ? badge('bad', 'machine-cloned') : stateBadge(machine),
    group,
    host?.address,
    isSilent ? badge('warn', ago(lastSeen, now)) : ago(lastSeen, now),
    waitingFor ?? hold?.reason,
  ];
}

const COLUMNS = ['Machine', 'Running', 'State', 'Group', 'Address', 'Last seen', 'Blocked by'];

const isFiltered = ({ name, id, version, group, state, ...failure }: Search): boolean =>
  Boolean(name ?? id ?? version ?? group ?? state) || hasFailed(failure);

const hasFailed = ({ failed, code, attempted, reason }: FailureSearch): boolean =>
  Boolean(failed ?? code ?? attempted ?? reason);

/** Keeps the failure filter, so that a further search stays within the same machines. */
function failureFilter({ failed, code, attempted, reason }: Search): Html | undefined {
  const fields = Object.entries({ failed, code, attempted, reason }).filter(([, value]) => value !== undefined);
  if (fields.length === 0) return undefined;
  return html`${fields.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
<p class="wide">Only machines whose last attempt failed${code !== undefined && html`: <code>${code}</code>`}${attempted !== undefined && ` in ${attempted}`}${reason !== undefined && html`<br><span class="note">${reason}</span>`}</p>`;
}

function listed({ machines, more }: Found, now: Date): Html {
  if (machines.length === 0)
    return empty(more === undefined ? 'No matching machines.' : 'No match among the machines searched so far.');
  return table(
    'Machines',
    COLUMNS,
    machines.map((machine) => machineRow(machine, now)),
  );
}

function pager(search: Search, { machines, looked, more }: Found): Html {
  const query = new URLSearchParams(Object.entries(search).filter(([, value]) => value !== undefined));
  const first =
    search.after !== undefined &&
    html`<a class="button second" href="/machines?${withAfter(query, undefined)}">First page</a>`;
  const next =
    more !== undefined &&
    html`<a class="button second" href="/machines?${withAfter(query, more)}">${machines.length === 0 ? 'Search further' : 'Next'}</a>`;
  const words = isFiltered(search)
    ? `${count(machines.length)} shown of ${count(looked)} searched.`
    : `${count(machines.length)} shown, by id.`;
  return html`<div class="acts"><span class="note">${words}</span>${first}${next}</div>`;
}

function withAfter(query: URLSearchParams, after: string | undefined): string {
  const copy = new URLSearchParams(query);
  if (after === undefined) copy.delete('after');
  else copy.set('after', after);
  return copy.toString();
}
