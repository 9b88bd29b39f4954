/** The question before machines are let in again on which a release has failed. Pure. */

import { question } from './confirm.ts';
import { html } from './html.ts';
import type { Page, Viewer } from './layout.ts';
import type { Shown } from './rollout-progress.ts';
import { plural } from './wording.ts';

/** Of one machine, or of all that failed. */
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
<p>What failed so far does not count any more. A machine that refuses the release by itself forgets that at its next poll, and begins when there is a place. After it has gone down three times for the same release only “updatectl forget”, run there, lets it try.</p>
${ledger.braked && html`<p>The rollout stands still, and stays so until it is resumed: ${ledger.braked.reason}.</p>`}`,
  });
}
