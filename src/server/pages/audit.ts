/** Who has changed what, when and from where. Pure. */

import type { Deed, Entry } from '../audit.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page, scrolled } from './layout.ts';
import { ago, badge, count, plural } from './wording.ts';

export const MOST_SHOWN = 300;

export function auditPage(entries: readonly Entry[], now: Date): Page {
  const table = scrolled(
    'Audit log',
    html`<table><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col" class="roomy">From</th><th scope="col">About</th></tr></thead><tbody>${entries.map((one) => row(one, now))}</tbody></table>`,
  );
  const body = html`<h1>Audit log</h1>
<p class="lead">What was changed on this server, by whom (the name of a token, or the brake), and who has signed in.</p>
<section class="sheet" aria-label="Entries">${live('audit', entries.length === 0 ? empty('Nothing has been changed yet.') : table)}
<p class="note">The newest first; ${plural(MOST_SHOWN, 'entry', 'entries')} at most.</p></section>`;
  return { title: 'Audit log', here: 'audit', body };
}

const row = ({ at, who, what, from, about, reason, times }: Entry, now: Date): Html =>
  html`<tr><td>${ago(at, now)}</td><th scope="row">${who}</th><td>${badge(...WORDS[what])}${times !== undefined && ` ${count(times)} times`}</td><td class="roomy">${from}</td><td>${about}${reason !== undefined && html`<br><span class="note">${reason}</span>`}</td></tr>`;

const WORDS: Readonly<Record<Deed, readonly ['good' | 'busy' | 'warn' | 'bad' | 'quiet', string]>> = {
  'rollout-paused': ['warn', 'rollout paused'],
  'rollout-resumed': ['good', 'rollout resumed'],
  'rollout-aborted': ['bad', 'rollout aborted'],
  'brake-pulled': ['bad', 'brake pulled'],
  'lock-freed': ['warn', 'lock freed'],
  'lock-resized': ['busy', 'lock resized'],
  'token-added': ['busy', 'token added'],
  'token-revoked': ['busy', 'token revoked'],
  'signed-in': ['quiet', 'signed in'],
  'sign-in-failed': ['bad', 'sign-in failed'],
};
