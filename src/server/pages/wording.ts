/** Times, numbers and states as people read them. Pure. */

import { MACHINE_PATTERN } from '../../model.ts';
import type { MachineRecord } from '../fleet/machines.ts';
import { type Html, html } from './html.ts';

/** 12 345 with thin spaces, which do not break. */
export const count = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f');

export function percent(part: number, whole: number): string {
  if (whole === 0) return '0 %';
  const share = (part / whole) * 100;
  if (share > 0 && share < 1) return '< 1 %';
  // All but one is not everything.
  return `${part < whole ? Math.min(99, Math.round(share)) : Math.round(share)} %`;
}

/** The shares of a whole, which no rounding makes more than that: what rounding down leaves goes where most was cut off. */
export function shares(parts: readonly number[]): readonly string[] {
  const whole = parts.reduce((sum, part) => sum + part, 0);
  const exact = parts.map((part) => (whole === 0 ? 0 : (part / whole) * 100));
  const left = Math.round(exact.reduce((sum, share) => sum + share - Math.floor(share), 0));
  const most = [...exact.keys()]
    .toSorted((one, other) => ((exact[other] ?? 0) % 1) - ((exact[one] ?? 0) % 1))
    .slice(0, left);
  return exact.map((share, at) => {
    if (share > 0 && share < 1) return '< 1 %';
    // All but one is not everything.
    return `${share < 100 ? Math.min(99, Math.floor(share) + (most.includes(at) ? 1 : 0)) : 100} %`;
  });
}

/** “5 min”, “3 h”, “12 days”. */
export function span(ms: number): string {
  const minutes = Math.floor(Math.abs(ms) / 60_000);
  if (minutes < 1) return 'less than a minute';
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}

/** How long ago, with the exact moment behind it. */
export function ago(iso: string, now: Date): Html {
  const ms = now.getTime() - Date.parse(iso);
  const words = ms < 0 ? `in ${span(ms)}` : ms < 60_000 ? 'just now' : `${span(ms)} ago`;
  return html`<time datetime="${iso}" title="${moment(iso)}">${words}</time>`;
}

/** For how long, with the moment of its beginning behind it. */
export const lasting = (iso: string, now: Date): Html =>
  html`<time datetime="${iso}" title="since ${moment(iso)}">for ${span(now.getTime() - Date.parse(iso))}</time>`;

/** 2030-01-31 23:59 UTC. */
export const moment = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;

export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

/** The way to a machine: by its name and the beginning of its id, since a name may be another's; by as much of its id as there is room for without one. */
export const machineLink = (id: string, name?: string): Html =>
  name === undefined
    ? html`<a class="id" href="/machines/${id}">${id.slice(0, 8)}<span class="roomy">${id.slice(8, 12)}</span></a>`
    : html`<span class="name"><a href="/machines/${id}" title="${id}">${breaking(name)}</a> <span class="id">${id.slice(0, 8)}</span></span>`;

/** A name that may go on in the next line after each of its dots. */
export const breaking = (name: string): readonly Html[] =>
  name.split('.').map((part, at) => (at === 0 ? html`${part}` : html`.<wbr>${part}`));

/** Who holds a lock: a machine that checks in, or one that is known by the name it gave itself. */
export const holderName = (id: string, name?: string): Html =>
  MACHINE_PATTERN.test(id) ? machineLink(id, name) : html`<span class="id">${id}</span>`;

/** A state with a shape and a word, since a colour alone tells nothing to many. */
export function badge(tone: 'good' | 'busy' | 'warn' | 'bad' | 'quiet', words: string | Html): Html {
  return html`<span class="badge ${tone}"><span aria-hidden="true">${SIGNS[tone]}</span> ${words}</span>`;
}

const SIGNS = { good: '●', busy: '◐', warn: '▲', bad: '■', quiet: '○' } as const;

/** The state of a machine; one that rests after a failed attempt is not well, whatever its state is called. */
export function stateBadge({ state, outcome, running }: Pick<MachineRecord, 'state' | 'outcome' | 'running'>): Html {
  if (state === 'condemned') return badge('bad', state);
  if (state !== 'idle' && state !== 'settling') return badge('busy', state);
  const isBehind = outcome !== undefined && outcome.result !== 'updated' && outcome.version !== running.version;
  return isBehind ? badge('warn', `${state}, ${outcome.result}`) : badge('good', state);
}
