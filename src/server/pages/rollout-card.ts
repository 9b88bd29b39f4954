/** The summary of a rollout: its stage, its progress against the plan, and its limits. Pure. */

import { isOfServer } from '../fleet/signed-brake.ts';
import { meter } from './chart.ts';
import { type Html, html } from './html.ts';
import { progressOf, type Shown } from './rollout-progress.ts';
import { ago, badge, count, moment, percent, plural } from './wording.ts';

export function rolloutCard(shown: Shown, now: Date): Html {
  const { channel, state, ledger } = shown;
  const { machines, done, underWay, plan, end } = progressOf(shown, now.getTime());
  const hindered = shown.tally?.hindered?.[state.version] ?? 0;
  return html`<div class="head"><h2><a href="/rollouts/${channel}" id="to-${channel}">${channel}</a>: ${state.version}</h2>${stageOf(shown, now)}</div>
${state.aborted && html`<p>${badge('warn', `${state.aborted.version} was aborted`)} ${ago(state.aborted.at, now)}${state.aborted.reason !== undefined && `: ${state.aborted.reason}`}.</p>`}
${meter(done, underWay, plan, machines)}
<p><strong>${count(done)}</strong> of ${plural(machines, 'machine')} ${done === 1 ? 'runs' : 'run'} it (${percent(done, machines)})${plan !== undefined && html`; planned by now: <strong>${count(plan)}</strong> (${percent(plan, machines)})`}.</p>
${
  state.offered
    ? html`<dl class="terms"><dt>Under way</dt><dd>${count(underWay)}${bound(state.offered.limits.maxInFlight, (most) => ` of at most ${most}`, ', with no limit')}</dd>
<dt>Failed</dt><dd>${count(ledger.failed.size)}; ${bound(state.offered.limits.maxFailures, (most) => `more than ${most} pulls the brake`, 'the rollout has no brake')}</dd>
${hindered > 0 && html`<dt>Hindered</dt><dd>${plural(hindered, 'machine')}, by ${hindered === 1 ? 'its' : 'their'} own network, disk or power; not counted as failed, and retried</dd>`}
<dt>Planned end</dt><dd>${end !== undefined && moment(new Date(end).toISOString())}</dd></dl>`
    : html`<p class="note">Offered to all machines at once; there is no rollout to limit or stop.</p>`
}`;
}

const bound = (limit: number, words: (most: string) => string, without: string): string =>
  Number.isFinite(limit) ? words(count(limit)) : without;

export function stageOf(shown: Shown, now: Date): Html {
  const { state, ledger } = shown;
  if (ledger.braked) return badge('bad', 'stopped');
  const policy = state.offered?.policy;
  if (!policy) return badge('quiet', 'no rollout');
  if (policy.pause)
    return isOfServer(policy.pause) ? badge('busy', 'resuming') : badge('warn', 'paused in its document');
  if (policy.start > now.getTime()) return badge('quiet', 'not started');
  const { done, machines } = progressOf(shown, now.getTime());
  return done >= machines && machines > 0 ? badge('good', 'complete') : badge('busy', 'running');
}

/** The alarm of a stopped or paused rollout; undefined if machines may start. */
export function standstill(shown: Shown, now: Date): Html | undefined {
  const { channel, state, ledger } = shown;
  const pause = state.offered?.policy.pause;
  if (!ledger.braked && !pause) return undefined;
  if (!ledger.braked && pause && isOfServer(pause)) return resuming(shown);
  const [since, reason, head] = ledger.braked
    ? ([ledger.braked.at, ledger.braked.reason, 'is stopped'] as const)
    : ([pause?.since ?? 0, pause?.reason ?? '', 'is paused in its signed document'] as const);
  return html`<section class="sheet ${ledger.braked ? 'alarm' : 'caution'}"><h2><span aria-hidden="true">${ledger.braked ? '■' : '▲'}</span> The rollout of ${state.version} in ${channel} ${head}</h2>
<p>${reason}. No machine starts; those under way continue. Since ${ago(new Date(since).toISOString(), now)}.</p>
<p><a href="/failures">Failures</a> · <a href="/rollouts/${channel}">This rollout</a></p></section>`;
}

/** The operator has resumed the rollout, but the signed channel document still has the pause. */
const resuming = ({ channel, state }: Shown): Html =>
  html`<section class="sheet"><h2><span aria-hidden="true">◐</span> The rollout of ${state.version} in ${channel} is resumed</h2>
<p>This server signed a pause and removes it within seconds; machines start from then on. If this message stays, see the server’s log for why it cannot sign, or run “updatectl rollout resume”.</p></section>`;
