/** Operators' actions on a rollout: start, pause, resume, abort. Each returns the next document, with a line of history. Pure. */

import { UpdateError } from '../errors.ts';
import { utcText } from '../utc.ts';
import type { DEEDS, RolloutDocument } from './document.ts';
import type { Step } from './rollout.ts';

export type Draft = Omit<RolloutDocument, 'schema' | 'pause' | 'before' | 'history'>;
/** A channel's release and its rollout. */
export type Offer = Readonly<{ step: Step; rollout: RolloutDocument | undefined }>;

/** A new rollout of `step`, in a channel that has offered `before`. */
export function started(draft: Draft, step: Step, before: Offer | undefined, now: Date): RolloutDocument {
  const history = before?.rollout?.history ?? [];
  const isSame = before?.step.version === step.version;
  const rollout: RolloutDocument = {
    schema: 1,
    ...draft,
    ...(before && !isSame ? { before: before.step } : {}),
    ...(isSame && before.rollout?.before ? { before: before.rollout.before } : {}),
    history,
  };
  return noted(rollout, isSame ? 'changed' : 'started', step, now);
}

/** No more hosts get the release; hosts that run it keep it. */
export function paused({ step, rollout }: Offer, reason: string, now: Date): RolloutDocument {
  const running = mustBe(rollout, step);
  if (running.pause) throw new UpdateError('rollout-state', `The rollout is already paused: ${running.pause.reason}.`);
  return noted({ ...running, pause: { since: utcText(now), reason } }, 'paused', step, now, reason);
}

/** Resumes the rollout, shifted by the length of the pause, so that turns that fell into it do not all come at once. */
export function resumed({ step, rollout }: Offer, now: Date): RolloutDocument {
  const { pause, ...running } = mustBe(rollout, step);
  if (!pause) throw new UpdateError('rollout-state', 'The rollout is not paused.');
  const stood = Math.max(0, now.getTime() - Math.max(Date.parse(pause.since), Date.parse(running.start)));
  const start = utcText(new Date(Date.parse(running.start) + stood));
  return noted({ ...running, start }, 'resumed', step, now);
}

/** Returns the channel to its previous release. Hosts on the aborted release keep it, unless `back` allows the downgrade. */
export function aborted(
  { step, rollout }: Offer,
  reason: string,
  back: boolean,
  now: Date,
): Readonly<{ step: Step; rollout: RolloutDocument }> {
  const running = mustBe(rollout, step);
  if (!running.before)
    throw new UpdateError(
      'rollout-state',
      'The channel offered nothing before, so there is nothing to return to. Pause the rollout instead.',
    );
  const rest: RolloutDocument = {
    schema: 1,
    start: utcText(now),
    ...(running.history ? { history: running.history } : {}),
    ...(back ? { allowDowngrade: true } : {}),
  };
  return { step: running.before, rollout: noted(rest, 'aborted', step, now, reason) };
}

export type Line = NonNullable<RolloutDocument['history']>[number];

/** The abort behind the channel's current offer; undefined if that has another origin. */
export function abortIn({ history = [] }: RolloutDocument): Line | undefined {
  const last = history.findLast(({ what }) => what !== 'paused' && what !== 'resumed');
  return last?.what === 'aborted' ? last : undefined;
}

function noted(
  rollout: RolloutDocument,
  what: (typeof DEEDS)[number],
  { version }: Step,
  now: Date,
  reason?: string,
): RolloutDocument {
  const line = { at: utcText(now), what, version, ...(reason === undefined ? {} : { reason }) };
  return { ...rollout, history: [...(rollout.history ?? []), line].slice(-MOST_LINES) };
}

const MOST_LINES = 100;

function mustBe(rollout: RolloutDocument | undefined, { version }: Step): RolloutDocument {
  if (rollout) return rollout;
  throw new UpdateError('rollout-state', `${version} is offered to all hosts; there is no rollout.`);
}
