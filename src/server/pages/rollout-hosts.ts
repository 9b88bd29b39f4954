/** The machines of a rollout that failed or are under way: the first few on its page, all on pages of their own. Pure. */

import type { Names } from '../fleet/names.ts';
import { type Html, html, type Part } from './html.ts';
import { empty, live, type Page, type Viewer } from './layout.ts';
import type { Shown } from './rollout-progress.ts';
import { table } from './table.ts';
import { count, machineLink, moment } from './wording.ts';

export const HOST_LISTS = ['failed', 'under-way'] as const;
export type HostList = (typeof HOST_LISTS)[number];

/** One page of all machines of a kind, after the machine with id `after`. */
export function hostsPage(which: HostList, shown: Shown, after: string | undefined, viewer: Viewer): Page {
  const { channel, state } = shown;
  const title = `${which === 'failed' ? 'Failed' : 'Under way'}: ${state.version} in ${channel}`;
  const all = listed(which, shown, viewer.mayChange);
  const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
  const rows = all.slice(from, from + PAGE);
  const rest = all.length - from - rows.length;
  const body = html`<h1>${title}</h1>
<section class="sheet" aria-label="Machines">${live('hosts', of(which, rows))}
<div class="acts"><span class="note">${count(rows.length)} of ${count(all.length)}.</span>${rest > 0 && html`<a class="button second" href="/rollouts/${channel}/${which}?after=${rows.at(-1)?.id}">Next</a>`}<a class="button second" href="/rollouts/${channel}">Back to the rollout</a></div></section>`;
  return { title, here: 'rollouts', body };
}

/** The first machines of a kind, for the page of the rollout. */
export function firstHosts(which: HostList, shown: Shown, { mayChange }: Viewer): Html {
  const all = listed(which, shown, mayChange);
  const more = all.length - MOST_NAMED;
  const path = `/rollouts/${shown.channel}`;
  return html`${of(which, all.slice(0, MOST_NAMED))}
${more > 0 && html`<p><a href="${path}/${which}">All ${count(all.length)}</a></p>`}
${which === 'failed' && mayChange && all.length > 0 && html`<div class="acts"><a class="button second" id="readmit-all" href="${path}/readmit">Retry all…</a></div>`}`;
}

export const MOST_NAMED = 20;
const PAGE = 200;

type Row = Readonly<{ id: string; cells: readonly Part[] }>;

function listed(which: HostList, { channel, ledger, names }: Shown, mayChange: boolean): readonly Row[] {
  if (which === 'under-way')
    return [...ledger.inFlight].map(([id, { due, via }]) => ({
      id,
      cells: [link(id, names), html`by ${moment(new Date(due).toISOString())}${via !== undefined && `, via ${via}`}`],
    }));
  return [...ledger.failed].map(([id, { reason, doubt, via }]) => ({
    id,
    cells: [
      link(id, names),
      html`${via !== undefined && `${via}: `}${reason}${doubt !== undefined && html` <span class="note">Uncertain: the machine may retry on its own.</span>`}`,
      mayChange &&
        html`<a class="keep" id="readmit-${id}" href="/rollouts/${channel}/readmit?machine=${id}">Retry…</a>`,
    ],
  }));
}

const link = (id: string, names: Names | undefined): Html => machineLink(id, names?.get(id));

function of(which: HostList, rows: readonly Row[]): Html {
  if (rows.length === 0) return empty(which === 'failed' ? 'No machine has failed.' : 'No machine is under way.');
  const columns =
    which === 'failed' ? ['Machine', 'Reason', { name: 'Actions', is: 'hidden' } as const] : ['Machine', 'Report due'];
  return table(
    which === 'failed' ? 'Failed' : 'Under way',
    columns,
    rows.map(({ cells }) => cells),
  );
}
