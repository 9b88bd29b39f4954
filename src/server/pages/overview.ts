/** The start page: alarms, the fleet by version, the progress of its rollouts. Pure. */

import type { Point } from '../fleet/census-history.ts';
import type { Counted } from '../fleet/census-tally.ts';
import { coloured, versionsChart } from './chart.ts';
import { colouredTable, versionsNow } from './fleet-versions.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page } from './layout.ts';
import { rolloutCard, standstill } from './rollout-card.ts';
import type { Shown } from './rollout-progress.ts';
import { ago, count, machineLink } from './wording.ts';

export type OverviewData = Readonly<{ census: Counted; history: readonly Point[]; rollouts: readonly Shown[] }>;

export function overviewPage({ census, history, rollouts }: OverviewData, now: Date): Page {
  const numbers = versionsNow(census);
  const versions = coloured(numbers);
  const body = html`<h1>The fleet</h1>
${live('alarms', html`<div role="alert">${[clonesAlarm(census), ...rollouts.map((one) => standstill(one, now))]}</div>`)}
${live('figures', figures(census, rollouts))}
<div class="pair">
<section class="sheet" aria-labelledby="by-version"><div class="head"><h2 id="by-version">Machines by version</h2></div>
${live('versions', versionsChart(withNow(history, census), versions) ?? empty('The chart appears after the second count, in a few minutes.'), colouredTable(numbers, versions, census.machines))}
${live('counted', html`<p class="note">Counted ${ago(census.at, now)}.</p>`)}</section>
<div>${live(
    'rollouts',
    rollouts.length === 0
      ? html`<section class="sheet"><h2>Rollouts</h2>${empty('The repository has no channel yet. Create one with “updatectl repo promote”.')}</section>`
      : rollouts.map((one) => html`<section class="sheet">${rolloutCard(one, now)}</section>`),
  )}</div>
</div>`;
  return { title: 'The fleet', here: 'overview', body };
}

/** Undefined if no two machines share an id. */
function clonesAlarm({ cloned = 0, clones = [] }: Counted): Html | undefined {
  if (cloned === 0) return undefined;
  return html`<section class="sheet alarm"><h2><span aria-hidden="true">■</span> ${cloned === 1 ? 'Two machines share one id' : `${count(cloned)} ids are shared by two machines each`}</h2>
<p>Probably copies of one disk. Neither machine starts an update or gets the lock. ${clones.map(({ machine, name }) => html`${machineLink(machine, name)} `)}${cloned > clones.length && html`and ${count(cloned - clones.length)} more`}</p></section>`;
}

function figures(census: Counted, rollouts: readonly Shown[]): Html {
  const sum = (of: (one: Shown) => number) => rollouts.reduce((total, one) => total + of(one), 0);
  const failed = sum(({ ledger }) => ledger.failed.size);
  const newest = sum(({ state, tally }) => tally?.versions[state.version] ?? 0);
  const figure = (name: string, value: number, isBad = false) =>
    html`<div${isBad && html` class="bad"`}><dt>${name}</dt><dd>${count(value)}</dd></div>`;
  return html`<dl class="figures">${figure('Machines', census.machines)}${figure('Up to date', newest)}${figure(
    'Under way',
    sum(({ ledger }) => ledger.inFlight.size),
  )}${figure('Failed in rollouts', failed, failed > 0)}${figure('Silent for a day', census.silent)}</dl>`;
}

/** Ends the chart with the latest count. */
const withNow = (history: readonly Point[], { at, channels }: Counted): readonly Point[] => [
  ...history.filter((point) => point.at < at),
  { at, channels: Object.fromEntries(Object.entries(channels).map(([name, { versions }]) => [name, versions])) },
];
