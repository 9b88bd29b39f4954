/** Confirmation pages for actions on rollouts, locks and machines: the consequences, and the button. Pure. */

import type { MachineRecord } from '../fleet/machines.ts';
import { type Html, html } from './html.ts';
import type { NavEntry, Page, Viewer } from './layout.ts';
import type { Shown } from './rollout-progress.ts';
import { count, holderName, moment, plural } from './wording.ts';

export const ACTS = ['pause', 'resume', 'abort'] as const;
export type Act = (typeof ACTS)[number];

/** `canSign`: the server holds the keys that an abort needs. */
export function confirmRollout(act: Act, { channel, state, ledger }: Shown, viewer: Viewer, canSign: boolean): Page {
  const back = `/rollouts/${channel}`;
  const name = `${state.version} in ${channel}`;
  const underWay = plural(ledger.inFlight.size, 'machine');
  const questions: Record<Act, () => Page> = {
    pause: () =>
      question(`Pause the rollout of ${name}?`, 'rollouts', viewer, back, {
        path: `${back}/pause`,
        button: html`<button class="stop">Pause it</button>`,
        body: html`<p>From now on no machine starts. ${underWay} under way ${ledger.inFlight.size === 1 ? 'continues' : 'continue'}; machines that have only staged the release drop it.</p>
${REASON}`,
      }),
    resume: () =>
      question(`Resume the rollout of ${name}?`, 'rollouts', viewer, back, {
        path: `${back}/resume`,
        button: html`<button>Resume it</button>`,
        body: html`<p>Stopped because: ${ledger.braked?.reason ?? 'nothing stops it'}.</p>
<p>Machines start again, following the plan as of now. ${whatIsForgiven(ledger, state.offered?.limits.maxFailures)}</p>`,
      }),
    abort: () =>
      canSign
        ? question(`Abort the rollout of ${name}?`, 'rollouts', viewer, back, {
            path: `${back}/abort`,
            button: html`<button class="stop">Abort it</button>`,
            body: html`<p>The channel returns to the release it offered before, signed immediately. Machines that run ${state.version} keep it.</p>
<input type="hidden" name="version" value="${state.version}">${REASON}`,
          })
        : abortPage(channel, name, back, ledger.braked === undefined),
  };
  return questions[act]();
}

const REASON = html`<label for="reason">Reason (shown to operators and machines)</label><input class="wide" id="reason" name="reason" required maxlength="200" autocomplete="off">`;

export const confirmFreeing = (group: string, holder: string, viewer: Viewer): Page =>
  question(`Free the lock of ${group}?`, 'locks', viewer, '/locks', {
    path: `/locks/${group}/${encodeURIComponent(holder)}`,
    button: html`<button class="stop">Free it</button>`,
    body: html`<p>The machine ${holderName(holder)} loses its place, and another may reboot immediately.</p>
<p>Do this only for a machine that will not come back: if it is still rebooting, it and the next machine are down at the same time.</p>`,
  });

export const MACHINE_ACTS = ['forget', 'reset'] as const;
export type MachineAct = (typeof MACHINE_ACTS)[number];

/** `lock`: the group whose lock the machine holds. */
export function confirmMachine(
  act: MachineAct,
  machine: MachineRecord,
  lock: string | undefined,
  viewer: Viewer,
): Page {
  const { machine: id, host } = machine;
  const back = `/machines/${id}`;
  const name = host?.name ?? id.slice(0, 12);
  const which = html`<p>Machine <span class="id">${id}</span>.</p>`;
  const questions: Record<MachineAct, () => Page> = {
    forget: () =>
      question(`Forget ${name}?`, 'machines', viewer, back, {
        path: `${back}/forget`,
        button: html`<button class="stop">Forget it</button>`,
        body: html`${which}<p>It is no longer counted, its history is deleted, and its id is no longer bound to a secret. If the machine still exists, its next check-in registers it again.</p>
${lock !== undefined && html`<p>It holds the lock of ${lock}: <a href="/locks">free the lock</a> too, or no other machine gets its place.</p>`}`,
      }),
    reset: () =>
      question(`Reset the secret of ${name}?`, 'machines', viewer, back, {
        path: `${back}/reset`,
        button: html`<button class="stop">Reset it</button>`,
        body: html`${which}<p>The server accepts the next secret presented for this id, from any machine. Do this for a reinstalled machine, and only if no other machine uses this id.</p>
${strangerLine(machine)}`,
      }),
  };
  return questions[act]();
}

const strangerLine = ({ stranger }: MachineRecord): Html | false =>
  stranger !== undefined &&
  html`<p>Last refused: ${stranger.name ?? 'an unnamed machine'}${stranger.from !== undefined && ` from ${stranger.from}`}, on ${moment(stranger.at)}.</p>`;

function whatIsForgiven({ braked, failed }: Shown['ledger'], allowed: number | undefined): string {
  const failures = plural(failed.size, 'failure');
  if (braked?.byHand) return `The ${failures} so far still ${failed.size === 1 ? 'counts' : 'count'}.`;
  return `The ${failures} so far ${failed.size === 1 ? 'is' : 'are'} forgiven, ${failed.size === 1 ? 'that machine tries' : 'those machines try'} again, and the count restarts${allowed === undefined ? '' : ` at 0 of ${count(allowed)}`}.`;
}

/** The channel document is signed, and its key is not on this server. */
function abortPage(channel: string, name: string, back: string, canPause: boolean): Page {
  const body = html`<section class="sheet narrow"><h1>Abort the rollout of ${name}</h1>
<p>An abort changes the channel’s signed document. Run this where the channels key is:</p>
<pre><code>updatectl rollout abort --channel ${channel} --reason "…" --repository ./repo --keys ./keys</code></pre>
<p>The channel then returns to the release it offered before. Until that is signed, a pause keeps other machines from starting.</p>
<div class="acts">${canPause && html`<a class="button" href="${back}/pause">Pause it now…</a>`}<a class="button second" href="${back}">Back</a></div></section>`;
  return { title: `Abort ${name}`, here: 'rollouts', body };
}

/** A confirmation form. */
export function question(
  title: string,
  here: NavEntry,
  { formToken }: Viewer,
  back: string,
  { path, button, body }: Readonly<{ path: string; button: Html; body: Html }>,
): Page {
  const form = html`<section class="sheet narrow"><h1>${title}</h1><form method="post" action="${path}">
<input type="hidden" name="form" value="${formToken}">${body}
<div class="acts">${button}<a class="button second" href="${back}">Cancel</a></div></form></section>`;
  return { title, here, body: form };
}
