/** The list of rollouts, and the page of one: its plan, progress and actions. Pure. */

import type { Point } from '../fleet/census-history.ts';
import { planChart } from './chart.ts';
import { type Html, html } from './html.ts';
import { empty, live, type Page, type Viewer } from './layout.ts';
import { rolloutCard, stageOf, standstill } from './rollout-card.ts';
import { firstHosts, MOST_NAMED } from './rollout-hosts.ts';
import { curvesOf, progressOf, type Shown } from './rollout-progress.ts';
import { type Column, table } from './table.ts';
import { ago, badge, count, percent, plural, span } from './wording.ts';

export function rolloutsPage(rollouts: readonly Shown[], now: Date): Page {
  const rows = rollouts.map((one) => {
    const { done, machines, plan, underWay } = progressOf(one, now.getTime());
    return [
      html`<a href="/rollouts/${one.channel}">${one.channel}</a>`,
      one.state.version,
      stageOf(one, now),
      percent(done, machines),
      plan === undefined ? '–' : percent(plan, machines),
      count(underWay),
      count(one.ledger.failed.size),
    ];
  });
  const figures = ['Done', 'Planned', 'Under way', 'Failed'].map((name): Column => ({ name, is: 'number' }));
  const list =
    rollouts.length === 0
      ? empty('The repository has no channel yet.')
      : table('Rollouts', ['Channel', 'Release', 'Status', ...figures], rows);
  return {
    title: 'Rollouts',
    here: 'rollouts',
    body: html`<h1>Rollouts</h1>${live(
      'alarms',
      rollouts.map((one) => standstill(one, now)),
    )}<section class="sheet" aria-label="All channels">${live('rollouts', list)}</section>`,
  };
}

export function rolloutPage(shown: Shown, history: readonly Point[], viewer: Viewer, now: Date): Page {
  const { channel, state } = shown;
  const { mayChange } = viewer;
  const body = html`<h1>Rollout of ${state.version} in ${channel}</h1>
${live('alarms', standstill(shown, now))}
<div class="pair">
<div><section class="sheet">${live('card', rolloutCard(shown, now))}${live('acts', mayChange && acts(shown))}</section>
<section class="sheet"><h2>Progress against the plan</h2>${live('curve', curve(shown, history, now))}</section></div>
<div><section class="sheet"><h2>The plan</h2>${live('terms', terms(shown, now))}</section>
<section class="sheet"><h2>Failed</h2>${live('failed', firstHosts('failed', shown, viewer))}</section>
<section class="sheet"><h2>Under way</h2>${live('under-way', firstHosts('under-way', shown, viewer))}</section></div>
</div>`;
  return { title: `Rollout of ${state.version} in ${channel}`, here: 'rollouts', body };
}

/** The machines that the page of a rollout lists by name. */
export const shownIds = ({ failed, inFlight }: Shown['ledger']): readonly string[] =>
  [failed, inFlight].flatMap((some) => [...some.keys()].slice(0, MOST_NAMED));

const iso = (time: number): string => new Date(time).toISOString();

function acts({ channel, state, ledger }: Shown): Html | undefined {
  if (!state.offered) return undefined;
  const act = ledger.braked
    ? html`<a class="button" id="act-resume" href="/rollouts/${channel}/resume">Resume…</a>`
    : html`<a class="button" id="act-pause" href="/rollouts/${channel}/pause">Pause…</a>`;
  return html`<div class="acts">${act}<a class="button second" id="act-abort" href="/rollouts/${channel}/abort">Abort…</a></div>`;
}

function terms({ state }: Shown, now: Date): Html {
  const policy = state.offered?.policy;
  if (!policy) return empty('No plan: every machine of the channel may install the release at once.');
  const { canaries, ramp, groups, barriers, deadEnds, urgent } = policy;
  const pieces = ramp.steps > 0 ? ` in ${plural(ramp.steps, 'step')}` : ', continuously';
  const rules = [...groups].map(([name, rule]) =>
    [
      name,
      rule.hold !== undefined && `held: ${rule.hold}`,
      rule.pin && `pinned to ${rule.pin.version}`,
      rule.delayMs !== undefined && `${span(rule.delayMs)} later`,
    ]
      .filter((one) => one !== undefined && one !== false)
      .join(', '),
  );
  const term = (name: string, value: Html | string | false) =>
    value !== false && html`<dt>${name}</dt><dd>${value}</dd>`;
  return html`<dl class="terms">${term('Started', ago(iso(policy.start), now))}
${term('Canaries', canaries.groups.length > 0 && `${canaries.groups.join(', ')}; the others after ${span(canaries.soakMs)}`)}
${term('Ramp', ramp.durationMs === 0 ? 'all at once' : `over ${span(ramp.durationMs)}${pieces}`)}
${rules.map((rule) => term('Group', rule))}
${barriers.map((one) => term('Barrier', `${one.version}: ${one.reason}`))}
${deadEnds.map((one) => term('Dead end', `${one.version}: ${one.reason}`))}
${term('Urgent', urgent && badge('warn', 'ignores group delays'))}</dl>`;
}

function curve(shown: Shown, history: readonly Point[], now: Date): Html {
  const curves = curvesOf(shown, history, now.getTime());
  if (!curves) return empty('No plan to compare with.');
  const { machines, done, plan = 0 } = progressOf(shown, now.getTime());
  const label = `${count(done)} of ${plural(machines, 'machine')} run it; ${count(plan)} were planned by now.`;
  return html`${planChart(curves.plan, curves.done, machines, label)}
<ul class="keys"><li>dashed: the plan</li><li>solid: machines that run ${shown.state.version}</li></ul>`;
}
