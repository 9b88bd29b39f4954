/** The audit log page: who changed what, when and from where. Pure. */

import type { AuditEntry, Deed } from '../fleet/audit.ts';
import { html, type Part } from './html.ts';
import { empty, live, type Page } from './layout.ts';
import { table } from './table.ts';
import { ago, badge, count, plural } from './wording.ts';

export const MOST_SHOWN = 300;

export function auditPage(entries: readonly AuditEntry[], now: Date): Page {
  const rows = entries.map((one) => row(one, now));
  const list = table('Audit log', ['Who', 'When', 'What', 'From', 'About'], rows);
  const body = html`<h1>Audit log</h1>
<p class="lead">Changes made on this server, who made them (a token’s name, or the brake), and sign-ins.</p>
<section class="sheet" aria-label="Entries">${live('audit', entries.length === 0 ? empty('No changes yet.') : list)}
<p class="note">Newest first; at most ${plural(MOST_SHOWN, 'entry', 'entries')}.</p></section>`;
  return { title: 'Audit log', here: 'audit', body };
}

const row = ({ at, who, what, from, about, reason, times }: AuditEntry, now: Date): readonly Part[] => [
  who,
  ago(at, now),
  html`${badge(...WORDS[what])}${times !== undefined && ` ${count(times)} times`}`,
  from,
  (about ?? reason) !== undefined &&
    html`${about}${reason !== undefined && html` <span class="note">${reason}</span>`}`,
];

const WORDS: Readonly<Record<Deed, readonly ['good' | 'busy' | 'warn' | 'bad' | 'quiet', string]>> = {
  'rollout-paused': ['warn', 'rollout paused'],
  'rollout-resumed': ['good', 'rollout resumed'],
  'rollout-aborted': ['bad', 'rollout aborted'],
  'machine-readmitted': ['busy', 'machine readmitted'],
  'brake-pulled': ['bad', 'brake pulled'],
  'lock-freed': ['warn', 'lock freed'],
  'lock-resized': ['busy', 'lock resized'],
  'machine-forgotten': ['warn', 'machine forgotten'],
  'machine-reset': ['warn', 'machine secret reset'],
  'token-added': ['busy', 'token added'],
  'token-revoked': ['busy', 'token revoked'],
  'signed-in': ['quiet', 'signed in'],
  'sign-in-failed': ['bad', 'sign-in failed'],
};
