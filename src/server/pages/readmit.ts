/** Confirms the readmission of machines on which a release has failed. Pure. */

import { question } from './confirm.ts';
import { html } from './html.ts';
import type { Page, Viewer } from './layout.ts';
import type { Shown } from './rollout-progress.ts';
import { plural } from './wording.ts';

/** For one machine, or for all that failed if `machine` is undefined. */
export function confirmReadmission(
  { channel, state, ledger }: Shown,
  machine: string | undefined,
  viewer: Viewer,
): Page {
  const back = `/rollouts/${channel}`;
  const who = machine === undefined ? `the ${plural(ledger.failed.size, 'machine')} that failed` : 'this machine';
  return question(`Let ${who} try ${state.version} again?`, 'rollouts', viewer, back, {
    path: `${back}/readmit`,
    button: html`<button>Let ${machine === undefined ? 'them' : 'it'} try</button>`,
    body: html`${machine !== undefined && html`<p><a class="id" href="/machines/${machine}">${machine}</a></p><input type="hidden" name="machine" value="${machine}">`}
<p>These failures no longer count. A machine that refuses the release drops the refusal at its next poll and starts when there is a place. After three rollbacks from the same release, only “updatectl forget” on the machine allows another attempt.</p>
${ledger.braked && html`<p>The rollout stays stopped until it is resumed: ${ledger.braked.reason}.</p>`}`,
  });
}
