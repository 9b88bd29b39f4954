/** Times, numbers and states as text for people. Pure. */

import { MACHINE_PATTERN } from '../../model.ts';
import type { MachineRecord } from '../fleet/machines.ts';
import { type Html, html } from './html.ts';

/** 12 345, with narrow no-break spaces. */
export const count = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f');

export function percent(part: number, whole: number): string {
  if (whole === 0) return '0 %';
  const share = (part / whole) * 100;
  if (share > 0 && share < 1) return '< 1 %';
  // 100 % only when complete.
  return `${part < whole ? Math.min(99, Math.round(share)) : Math.round(share)} %`;
}

/** Percentages that add up to 100 (largest-remainder method). */
export function shares(parts: readonly number[]): readonly string[] {
  const whole = parts.reduce((sum, part) => sum + part, 0);
  const exact = parts.map((part) => (whole === 0 ? 0 : (part / whole) * 100));
  const left = Math.round(exact.reduce((sum, share) => sum + share - Math.floor(share), 0));
  const most = [...exact.keys()]
    .toSorted((one, other) => ((exact[other] ?? 0) % 1) - ((exact[one] ?? 0) % 1))
    .slice(0, left);
  return exact.map((share, at) => {
    if (share > 0 && share < 1) return '< 1 %';
    // 100 % only when complete.
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

/** The age of a moment, with the exact time as its tooltip. */
export function ago(iso: string, now: Date): Html {
  const ms = now.getTime() - Date.parse(iso);
  const words = ms < 0 ? `in ${span(ms)}` : ms < 60_000 ? 'just now' : `${span(ms)} ago`;
  return html`<time datetime="${iso}" title="${moment(iso)}">${words}</time>`;
}

/** A duration until now, with its start as the tooltip. */
export const lasting = (iso: string, now: Date): Html =>
  html`<time datetime="${iso}" title="since ${moment(iso)}">for ${span(now.getTime() - Date.parse(iso))}</time>`;

/** 2030-01-31 23:59 UTC. */
export const moment = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;

export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

/** A link to a machine: its name and the start of its id, since names need not be unique; without a name, as much of the id as fits. */
export const machineLink = (id: string, name?: string): Html =>
  name === undefined
    ? html`<a class="id" href="/machines/${id}">${id.slice(0, 8)}<span class="roomy">${id.slice(8, 12)}</span></a>`
    : html`<span class="name"><a href="/machines/${id}" title="${id}">${breaking(name)}</a> <span class="id">${id.slice(0, 8)}</span></span>`;

/** A host name that may wrap after each dot. */
export const breaking = (name: string): readonly Html[] =>
  name.split('.').map((part, at) => (at === 0 ? html`${part}` : html`.<wbr>${part}`));

/** A lock holder: a machine that checks in, or a FleetLock client known only by the id it sent. */
export const holderName = (id: string, name?: string): Html =>
  MACHINE_PATTERN.test(id) ? machineLink(id, name) : html`<span class="id">${id}</span>`;

/** A state as shape and word, because colour alone is not accessible. */
export function badge(tone: 'good' | 'busy' | 'warn' | 'bad' | 'quiet', words: string | Html): Html {
  return html`<span class="badge ${tone}"><span aria-hidden="true">${SIGNS[tone]}</span> ${words}</span>`;
}

const SIGNS = { good: '●', busy: '◐', warn: '▲', bad: '■', quiet: '○' } as const;

/** A machine's state; idle after a failed attempt is a warning. */
export function stateBadge({ state, outcome, running }: Pick<MachineRecord, 'state' | 'outcome' | 'running'>): Html {
  if (state === 'condemned') return badge('bad', state);
  if (state !== 'idle' && state !== 'settling') return badge('busy', state);
  const isBehind = outcome !== undefined && outcome.result !== 'updated' && outcome.version !== running.version;
  return isBehind ? badge('warn', `${state}, ${outcome.result}`) : badge('good', state);
}
