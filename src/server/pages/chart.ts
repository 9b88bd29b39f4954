/** Charts over time as SVG: the fleet by version as areas, a rollout against its plan as lines. Pure. */

import { OTHER, type Point } from '../fleet/census-history.ts';
import { type Html, html } from './html.ts';
import { count, moment, percent } from './wording.ts';

/** The most common versions, which get a colour of their own; oldest first. */
export function coloured(now: Readonly<Record<string, number>>): readonly string[] {
  return Object.entries(now)
    .filter(([name]) => name !== OTHER)
    .toSorted(([a, one], [b, other]) => other - one || a.localeCompare(b))
    .slice(0, COLOURS)
    .map(([name]) => name)
    .toSorted((one, other) => one.localeCompare(other, 'en', { numeric: true }));
}

export const COLOURS = 8;

/** The CSS class of a version's colour. Hashed, so that a version usually keeps its colour when others come and go; the rest share one. */
export function colourOf(versions: readonly string[], version: string): string {
  const taken = new Map<number, string>();
  for (const name of versions) {
    let colour = [...name].reduce((sum, sign) => (sum * 31 + sign.charCodeAt(0)) % 8191, 7) % COLOURS;
    while (taken.has(colour)) colour = (colour + 1) % COLOURS;
    taken.set(colour, name);
  }
  const [colour = COLOURS] = [...taken].find(([, name]) => name === version) ?? [];
  return `f${colour}`;
}

/** Machines by version over time; the label says the same in words. */
export function versionsChart(points: readonly Point[], versions: readonly string[]): Html | undefined {
  const rows = points.map(({ at, channels }) => ({ time: Date.parse(at), counts: summed(channels, versions) }));
  const [first, last] = [rows[0], rows.at(-1)];
  if (!first || !last || first.time === last.time) return undefined;
  const most = Math.max(1, ...rows.map(({ counts }) => counts.reduce((sum, one) => sum + one, 0)));
  const x = scaleX(first.time, last.time);
  const y = (value: number) => round(TOP + HEIGHT - (value / most) * HEIGHT);
  const areas = [...versions, OTHER].map((name, at) => {
    const edge = (row: (typeof rows)[number], until: number) =>
      `${x(row.time)},${y(row.counts.slice(0, until).reduce((sum, one) => sum + one, 0))}`;
    const outline = [...rows.map((row) => edge(row, at + 1)), ...rows.toReversed().map((row) => edge(row, at))];
    const isSeen = rows.some(({ counts }) => (counts[at] ?? 0) > 0);
    return isSeen && html`<polygon class="area ${colourOf(versions, name)}" points="${outline.join(' ')}"/>`;
  });
  const words = versions.map(
    (name, at) => `${name} from ${count(first.counts[at] ?? 0)} to ${count(last.counts[at] ?? 0)}`,
  );
  const label = `Machines by version, ${moment(iso(first.time))} to ${moment(iso(last.time))}: ${words.join('; ')}.`;
  return frame(label, [first.time, last.time], most, html`${areas}`);
}

/** Points of (milliseconds since the epoch, machines). */
export type Curve = readonly (readonly [number, number])[];

export function planChart(plan: Curve, done: Curve, most: number, label: string): Html {
  const [begin = 0, end = 1] = [plan[0]?.[0], plan.at(-1)?.[0]];
  const x = scaleX(begin, end);
  const y = (value: number) => round(TOP + HEIGHT - (value / Math.max(1, most)) * HEIGHT);
  const line = (curve: Curve) => curve.map(([time, value]) => `${x(time)},${y(value)}`).join(' ');
  const tip = done.at(-1);
  return frame(
    label,
    [begin, end],
    most,
    html`<polyline class="plan" points="${line(plan)}"/><polyline class="done" points="${line(done)}"/>${
      tip && html`<circle class="f0" cx="${x(tip[0])}" cy="${y(tip[1])}" r="4"/>`
    }`,
  );
}

/** A progress bar: done, under way, and a mark for the plan. The text next to it says the same. */
export function meter(done: number, underWay: number, plan: number | undefined, whole: number): Html {
  const part = (number: number) => round(whole === 0 ? 0 : Math.min(100, (number / whole) * 100));
  const label = `${percent(done, whole)} done${plan === undefined ? '' : `, ${percent(plan, whole)} planned by now`}`;
  return html`<svg class="meter" role="img" aria-label="${label}"><rect class="track" x="0" y="3" width="100%" height="8" rx="4"/>
<rect class="f0" x="0" y="3" width="${part(done)}%" height="8" rx="3"/><rect class="under-way" x="${part(done)}%" y="3" width="${part(underWay)}%" height="8"/>
${plan !== undefined && html`<rect class="mark" x="${Math.min(99.6, part(plan))}%" y="0" width="2" height="14"/>`}</svg>`;
}

export const swatch = (colour: string): Html =>
  html`<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true"><rect class="${colour}" width="10" height="10" rx="2"/></svg>`;

const WIDTH = 720;
const HEIGHT = 200;
const TOP = 18;
const LEFT = 120;

const round = (value: number): number => Math.round(value * 10) / 10;
const iso = (time: number): string => new Date(time).toISOString();
const scaleX =
  (from: number, to: number) =>
  (time: number): number =>
    round(LEFT + ((Math.min(to, Math.max(from, time)) - from) / Math.max(1, to - from)) * (WIDTH - LEFT - 12));

/** Machines of all channels by version; the last sum is every other version. */
function summed(channels: Point['channels'], versions: readonly string[]): readonly number[] {
  const sums = new Array<number>(versions.length + 1).fill(0);
  for (const counts of Object.values(channels))
    for (const [name, number] of Object.entries(counts)) {
      const at = versions.includes(name) ? versions.indexOf(name) : versions.length;
      sums[at] = (sums[at] ?? 0) + number;
    }
  return sums;
}

function frame(label: string, [from, to]: readonly [number, number], most: number, content: Html): Html {
  // Machines are whole numbers: with a single one, half of it would round to a duplicate level.
  const levels = [...new Set([0, Math.round(most / 2), most])];
  const times = [0, 1 / 3, 2 / 3, 1];
  const x = scaleX(from, to);
  const isLong = to - from > 36 * 3_600_000;
  const words = (time: number) => (isLong ? iso(time).slice(0, 10) : `${iso(time).slice(11, 16)} UTC`);
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT + TOP + 24}" role="img" aria-label="${label}">
${levels.map((level) => {
  const y = round(TOP + HEIGHT - (level / Math.max(1, most)) * HEIGHT);
  return html`<line class="grid" x1="${LEFT}" x2="${WIDTH - 12}" y1="${y}" y2="${y}"/><text x="${LEFT - 8}" y="${y + 4}" text-anchor="end">${count(level)}</text>`;
})}
${content}
${times.map((share, at) => {
  const time = from + share * (to - from);
  const anchor = at === 0 ? 'start' : at === times.length - 1 ? 'end' : 'middle';
  return html`<text${at > 0 && at < times.length - 1 && html` class="between"`} x="${x(time)}" y="${HEIGHT + TOP + 18}" text-anchor="${anchor}">${words(time)}</text>`;
})}
</svg>`;
}
