/** The rollout in a channel's signed document: strict JSON. Pure. */

import { UpdateError } from '../errors.ts';
import { type Check, integer, list, literal, object, optional, record, text } from '../formats/shape.ts';
import { GROUP_PATTERN, VERSION_PATTERN, type Version } from '../model.ts';
import type { Limits } from './brake.ts';
import type { GroupRule, Rollout, Step } from './rollout.ts';

/** Actions on a rollout, by an operator or the brake. */
export const DEEDS = ['started', 'paused', 'resumed', 'aborted', 'changed'] as const;

/** The largest possible limit means none, in a form that older readers understand. */
export const NO_LIMIT = 1_000_000;
/** The default of `maxFailures`. */
export const DEFAULT_FAILURES = 3;

const YEAR_OF_MINUTES = 366 * 24 * 60;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const moment: Check<string> = (value, path) => {
  const given = text(MOMENT, 'a time like 2030-01-31T00:00:00Z')(value, path);
  if (Number.isNaN(Date.parse(given))) throw new TypeError(`${path} is not a calendar time`);
  return given;
};
const version = text<Version>(VERSION_PATTERN, 'a version');
const reason = text(/^[^\p{Cc}]{1,200}$/u, 'one line of at most 200 characters');
const group = text(GROUP_PATTERN, 'a group name');
const minutes = integer(0, YEAR_OF_MINUTES);
const step = { version, counter: integer(1) };

/** Unknown fields are refused: an agent must not ignore a new rule, so new fields need a new schema number. */
export const rolloutShape = object({
  schema: literal(1),
  start: moment,
  canaries: optional(object({ groups: list(group, 16), soakMinutes: minutes })),
  ramp: optional(object({ minutes, steps: integer(0, 1000) })),
  groups: optional(
    record(
      GROUP_PATTERN,
      object({ delayMinutes: optional(minutes), hold: optional(reason), pin: optional(object(step)) }),
      256,
    ),
  ),
  barriers: optional(list(object({ ...step, reason }), 64)),
  deadEnds: optional(list(object({ version, reason }), 64)),
  pause: optional(object({ since: moment, reason })),
  urgent: optional(literal(true, false)),
  allowDowngrade: optional(literal(true, false)),
  limits: optional(
    object({
      inFlight: integer(1, NO_LIMIT),
      failures: integer(0, NO_LIMIT),
      patienceMinutes: integer(1, YEAR_OF_MINUTES),
    }),
  ),
  /** The channel's previous release, to which an abort returns. */
  before: optional(object(step)),
  history: optional(list(object({ at: moment, what: literal(...DEEDS), version, reason: optional(reason) }), 100)),
});

export type RolloutDocument = ReturnType<typeof rolloutShape>;

/** Limits on hosts under way, on failures, and on the time for a host's report. */
export type ServerLimits = Limits & Readonly<{ patienceMs: number }>;

/** Reads the rollout in a channel's document. Throws `rollout-invalid`, so that a rollout that is not understood holds all hosts rather than none. */
export function readRollout(value: unknown, name: string): RolloutDocument {
  try {
    return rolloutShape(value, 'rollout');
  } catch (error) {
    throw new UpdateError('rollout-invalid', `${name}: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

/** The document as JSON. Refuses one that hosts could not read, because it would hold them all. */
export function writeRollout({ groups, ...rest }: RolloutDocument): object {
  const written = { ...rest, ...(groups && groups.size > 0 ? { groups: Object.fromEntries(groups) } : {}) };
  readRollout(written, 'The rollout cannot be written');
  return written;
}

/** The policy of a document, for the release on offer in its channel. */
export function policyOf(document: RolloutDocument, release: Step): Rollout {
  const { start, canaries, ramp, groups, barriers = [], deadEnds = [], pause } = document;
  return {
    release,
    start: Date.parse(start),
    canaries: { groups: canaries?.groups ?? [], soakMs: (canaries?.soakMinutes ?? 0) * MINUTE },
    ramp: { durationMs: (ramp?.minutes ?? 0) * MINUTE, steps: ramp?.steps ?? 0 },
    groups: new Map([...(groups ?? [])].map(([name, rule]) => [name, ruleOf(rule)])),
    barriers: barriers.toSorted((one, other) => one.counter - other.counter),
    deadEnds,
    ...(pause ? { pause: { since: Date.parse(pause.since), reason: pause.reason } } : {}),
    urgent: document.urgent ?? false,
    allowDowngrade: document.allowDowngrade ?? false,
  };
}

/** The limits that a server enforces. Without `maxFailures` a rollout still has a brake; having none must be explicit. */
export function limitsOf({ limits }: RolloutDocument): ServerLimits {
  const { inFlight, failures, patienceMinutes } = limits ?? DEFAULT_LIMITS;
  return { maxInFlight: bounded(inFlight), maxFailures: bounded(failures), patienceMs: patienceMinutes * MINUTE };
}

const bounded = (limit: number): number => (limit >= NO_LIMIT ? Number.POSITIVE_INFINITY : limit);

const MINUTE = 60_000;
const DEFAULT_LIMITS = { inFlight: NO_LIMIT, failures: DEFAULT_FAILURES, patienceMinutes: 2 * 24 * 60 };

function ruleOf({
  delayMinutes,
  hold,
  pin,
}: NonNullable<RolloutDocument['groups']> extends ReadonlyMap<string, infer R> ? R : never): GroupRule {
  return {
    ...(delayMinutes === undefined ? {} : { delayMs: delayMinutes * MINUTE }),
    ...(hold === undefined ? {} : { hold }),
    ...(pin ? { pin } : {}),
  };
}
