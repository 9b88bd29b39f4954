/** The failures page: machines grouped by the reason their last attempt failed. Pure. */

import { type Counted, type Failure, MANY } from '../fleet/census-tally.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page } from './layout.ts';
import { ago, count, machineLink, plural } from './wording.ts';

export function failuresPage({ failures, at }: Counted, now: Date): Page {
  const groups = failures.toSorted((one, other) => other.machines - one.machines || one.code.localeCompare(other.code));
  const sum = groups.reduce((total, { machines }) => total + machines, 0);
  const body = html`<h1>Failures</h1>
<p class="lead">Machines whose last attempt failed or fell back, and that have not run that release since.</p>
${live(
  'failures',
  groups.length === 0
    ? html`<section class="sheet">${empty('No machine reports a failed update.')}</section>`
    : html`<p>${plural(sum, 'machine')}, ${plural(groups.length, 'reason')}. <span class="note">Counted ${ago(at, now)}.</span></p>${groups.map((group) => section(group, sum, now))}`,
)}`;
  return { title: 'Failures', here: 'failures', body };
}

const section = (
  { version, code, reason, machines, last, some, names = {} }: Counted['failures'][number],
  sum: number,
  now: Date,
): Html =>
  html`<section class="sheet"><div class="head"><h2><code>${code}</code>${version !== '' && ` in ${version}`}</h2><strong>${plural(machines, 'machine')}</strong></div>
<svg class="meter" aria-hidden="true"><rect class="track" x="0" y="3" width="100%" height="8" rx="4"/><rect class="failed" x="0" y="3" width="${Math.round((machines / sum) * 1000) / 10}%" height="8" rx="3"/></svg>
<p>${reason}</p>
<p class="note">Last ${ago(last, now)}. ${some.map((id) => html`${machineLink(id, names[id])} `)}${machines > some.length && html`and <a class="keep" href="/machines?${queryOf({ version, code, reason })}">${count(machines - some.length)} more</a>`}</p></section>`;

/** The search for all machines of a group. Kinds beyond the census' limit share one group, which has no code to search for. */
const queryOf = ({ version, code, reason }: Omit<Failure, 'at'>): string =>
  code === MANY
    ? 'failed=yes'
    : new URLSearchParams({ failed: 'yes', code, attempted: version, ...(reason === '' ? {} : { reason }) }).toString();
