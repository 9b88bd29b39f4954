/** The table of machines by version, next to the chart. Pure. */

import type { Counted } from '../fleet/census-tally.ts';
import { COLOURS, colourOf, swatch } from './chart.ts';
import { type Html, html } from './html.ts';
import { empty } from './layout.ts';
import { count, shares } from './wording.ts';

/** Machines by version, in all channels together. */
export function versionsNow({ channels }: Counted): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const { versions } of Object.values(channels))
    for (const [version, number] of Object.entries(versions)) sums.set(version, (sums.get(version) ?? 0) + number);
  return Object.fromEntries(sums);
}

export function colouredTable(
  numbers: Readonly<Record<string, number>>,
  versions: readonly string[],
  machines: number,
): Html {
  if (machines === 0) return empty('No machine has checked in yet.');
  const named = versions.toReversed();
  const rest = machines - named.reduce((sum, version) => sum + (numbers[version] ?? 0), 0);
  const share = shares([...named.map((version) => numbers[version] ?? 0), rest]);
  return html`<table><caption class="hidden">Machines by version now</caption>
<thead><tr><th scope="col">Version</th><th scope="col" class="number">Machines</th><th scope="col" class="number">Share</th></tr></thead><tbody>
${named.map(
  (version, at) =>
    html`<tr><th scope="row">${swatch(colourOf(versions, version))}<a href="/machines?version=${encodeURIComponent(version)}">${version}</a></th><td class="number">${count(numbers[version] ?? 0)}</td><td class="number">${share[at]}</td></tr>`,
)}
${rest > 0 && html`<tr><th scope="row">${swatch(`f${COLOURS}`)}other</th><td class="number">${count(rest)}</td><td class="number">${share.at(-1)}</td></tr>`}
</tbody></table>`;
}
