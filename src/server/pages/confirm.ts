/** Questions before something is done to a rollout or a lock: what will happen, and a button that does it. Pure. */

import type { MachineRecord } from '../fleet/machines.ts';
import { type Html, html } from './html.ts';
import type { Entry, Page, Viewer } from './layout.ts';
import type { Shown } from './rollout-progress.ts';
import { count, holderName, moment, plural } from './wording.ts';

export const ACTS = ['pause', 'resume', 'abort'] as const;
export type Act = (typeof ACTS)[number];

/** `canSign`: the server has the keys that an abort needs. */
export function confirmRollout(act: Act, { channel, state, ledger }: Shown, viewer: Viewer, canSign: boolean): Page {
  const back = `/rollouts/${channel}`;
  const name = `${state.version} in ${channel}`;
  const underWay = plural(ledger.inFlight.size, 'machine');
  const questions: Record<Act, () => Page> = {
    pause: () =>
      question(`Pause the rollout of ${name}?`, 'rollouts', viewer, back, {
        path: `${back}/pause`,
        button: html`<button class="stop">Pause it</button>`,
        body: html`<p>From now on no machine begins. ${underWay} under way ${ledger.inFlight.size === 1 ? 'goes' : 'go'} on; machines that have only made the release ready give it up.</p>
${REASON}`,
      }),
    resume: () =>
      question(`Resume the rollout of ${name}?`, 'rollouts', viewer, back, {
        path: `${back}/resume`,
        button: html`<button>Resume it</button>`,
        body: html`<p>It stands still: ${ledger.braked?.reason ?? 'nothing stops it'}.</p>
<p>Machines begin again as the plan has it by now. ${whatIsForgiven(ledger, state.offered?.limits.maxFailures)}</p>`,
      }),
    abort: () =>
      canSign
        ? question(`Abort the rollout of ${name}?`, 'rollouts', viewer, back, {
            path: `${back}/abort`,
            button: html`<button class="stop">Abort it</button>`,
            body: html`<p>The channel offers again what it offered before, and that is signed at once. Machines that run ${state.version} keep it.</p>
<input type="hidden" name="version" value="${state.version}">${REASON}`,
          })
        : abortPage(channel, name, back, ledger.braked === undefined),
  };
  return questions[act]();
}

const REASON = html`<label for="reason">Why (operators and machines are told)</label><input class="wide" id="reason" name="reason" required maxlength="200" autocomplete="off">`;

export const confirmFreeing = (group: string, holder: string, viewer: Viewer): Page =>
  question(`Free the lock of ${group}?`, 'locks', viewer, '/locks', {
    path: `/locks/${group}/${encodeURIComponent(holder)}`,
    button: html`<button class="stop">Free it</button>`,
    body: html`<p>The machine ${holderName(holder)} loses its place, and another may reboot at once.</p>
<p>Do this only for a machine that will not come back: one that still reboots would then be away together with the next.</p>`,
  });

export const MACHINE_ACTS = ['forget', 'reset'] as const;
export type MachineAct = (typeof MACHINE_ACTS)[number];

/** `lock`: the group of which it holds the lock. */
export function confirmMachine(
  act: MachineAct,
  machine: MachineRecord,
  lock: string | undefined,
  viewer: Viewer,
): Page {
  const { machine: id, host } = machine;
  const back = `/machines/${id}`;
  const name = host?.name ?? id.slice(0, 12);
  const which = html`<p>It is the machine <span class="id">${id}</span>.</p>`;
  const questions: Record<MachineAct, () => Page> = {
    forget: () =>
      question(`Forget ${name}?`, 'machines', viewer, back, {
        path: `${back}/forget`,
        button: html`<button class="stop">Forget it</button>`,
        body: html`${which}<p>It is counted no more, its history is gone, and its id is bound to no secret. If it is still there, it is known again with its next check-in.</p>
${lock !== undefined && html`<p>It holds the lock of ${lock}: <a href="/locks">free that</a>, too, or nobody else gets it.</p>`}`,
      }),
    reset: () =>
      question(`Let ${name} show another secret?`, 'machines', viewer, back, {
        path: `${back}/reset`,
        button: html`<button class="stop">Reset it</button>`,
        body: html`${which}<p>The next secret that is shown for this id counts, whoever shows it. Do this for a machine that was reinstalled, when it is the only one that asks.</p>
${strangerLine(machine)}`,
      }),
  };
  return questions[act]();
}

const strangerLine = ({ stranger }: MachineRecord): Html | false =>
  stranger !== undefined &&
  html`<p>Refused last: ${stranger.name ?? 'a machine without a name'}${stranger.from !== undefined && ` from ${stranger.from}`}, on ${moment(stranger.at)}.</p>`;

function whatIsForgiven({ braked, failed }: Shown['ledger'], allowed: number | undefined): string {
  const failures = plural(failed.size, 'failure');
  if (braked?.byHand) return `The ${failures} so far ${failed.size === 1 ? 'goes' : 'go'} on counting.`;
  return `The ${failures} so far ${failed.size === 1 ? 'is' : 'are'} forgiven, ${failed.size === 1 ? 'that machine tries' : 'those machines try'} again, and the count begins anew${allowed === undefined ? '' : ` at 0 of ${count(allowed)}`}.`;
}

/** What a channel offers is signed, and the key is not here. */
function abortPage(channel: string, name: string, back: string, canPause: boolean): Page {
  const body = html`<section class="sheet narrow"><h1>Abort the rollout of ${name}</h1>
<p>An abort changes what the channel offers, so it must be signed. Run this where the key of channels is:</p>
<pre><code>updatectl rollout abort --channel ${channel} --reason "…" --repository ./repo --keys ./keys</code></pre>
<p>The channel then offers again what it offered before. Until it is signed, a pause keeps every other machine from beginning.</p>
<div class="acts">${canPause && html`<a class="button" href="${back}/pause">Pause it now…</a>`}<a class="button second" href="${back}">Back</a></div></section>`;
  return { title: `Abort ${name}`, here: 'rollouts', body };
}

/** A form that asks before anything is done. */
export function question(
  title: string,
  here: Entry,
  { formToken }: Viewer,
  back: string,
  { path, button, body }: Readonly<{ path: string; button: Html; body: Html }>,
): Page {
  const form = html`<section class="sheet narrow"><h1>${title}</h1><form method="post" action="${path}">
<input type="hidden" name="form" value="${formToken}">${body}
<div class="acts">${button}<a class="button second" href="${back}">No, go back</a></div></form></section>`;
  return { title, here, body: form };
}
