/** The loop's brain: the next action, and the state it leads to. Pure: no I/O, no clock, no randomness. */

import type { Attempt, Departure, Fault, Method, Outcome, Release, SlotName, State, Verdict } from '../../model.ts';

export type Event =
  | Readonly<{ type: 'settled' }>
  | Readonly<{ type: 'offered'; release: Release; target: SlotName; byHand?: true }>
  | Readonly<{ type: 'chosen'; release: Release; target: SlotName; byHand?: true }>
  | Readonly<{ type: 'started' }>
  | Readonly<{ type: 'written' }>
  | Readonly<{ type: 'write-failed'; code: string; reason: string; refuse: boolean }>
  | Readonly<{ type: 'stumbled'; code: string; reason: string }>
  | Readonly<{ type: 'withdrawn'; code: string; reason: string }>
  | Readonly<{ type: 'armed'; bootId: string }>
  | Readonly<{ type: 'left'; departure: Departure }>
  | Readonly<{ type: 'disarmed'; reason: string }>
  | Readonly<{ type: 'booted-new'; release: Release; target: SlotName }>
  | Readonly<{ type: 'booted-other'; code: string; reason: string; refuse: boolean; fault?: Fault }>
  | Readonly<{ type: 'healthy' }>
  | Readonly<{ type: 'hindered'; code: string; reason: string }>
  | Readonly<{ type: 'unhealthy'; code: string; reason: string }>;

/** The facts right now, whatever the state file says. */
export type Facts = Readonly<{
  /** The slot that is mounted as root. */
  booted: SlotName;
  /** The release in that slot, from its boot entry and our record. */
  running: Release;
  /** The boot loader starts the booted slot by default without counting, and the dead man's switch does not name it. */
  confirmed: boolean;
  /** The boot loader reports no slot as proven; neither the dead man's switch nor a refusal names the booted one: it is not on trial. */
  isLost: boolean;
  /** Changes with every start of a kernel; a soft reboot keeps it. */
  bootId: string;
  /** systemd agreed to a restart a moment ago. */
  leaving: boolean;
  /**
   * The attempt: how many starts of the new system were recorded, whether its dead man restarted the machine, and how often its
   * trial was lost before.
   */
  trial: Readonly<{ began: number; expired: boolean; lost: number }>;
  /** Something leads to the other slot: the boot loader starts it next, or the dead man's switch names it. */
  isFlagged: boolean;
  gate: Verdict;
  /** A moment ago the repository still offered the staged release, or an operator asked for it. Only then is the fleet's lock requested. */
  isOfferFresh: boolean;
  checkDue: boolean;
}>;

export type Action =
  | Readonly<{ do: 'settle'; outcome: Outcome; keepLock: boolean }>
  | Readonly<{ do: 'check' }>
  | Readonly<{ do: 'stage'; release: Release; target: SlotName }>
  | Readonly<{ do: 'arm'; release: Release; target: SlotName }>
  | Readonly<{ do: 'disarm'; booted: SlotName }>
  | Readonly<{ do: 'mend'; booted: SlotName }>
  | Readonly<{ do: 'reboot'; target: SlotName; tried: readonly Method[] }>
  | Readonly<{ do: 'probe'; target: SlotName }>
  | Readonly<{ do: 'fall-back'; from: SlotName }>
  | Readonly<{ do: 'note'; event: Event }>
  | Readonly<{ do: 'wait'; reason: string }>;

/** How often staging may start without finishing before it is given up until the next check. */
export const MAX_ATTEMPTS = 3;

export const INITIAL: State = { kind: 'settling', outcome: { result: 'none' } };

/** The next action. Asks the same question after a power cut as before it, so there is no resume code. */
export function decide(state: State, facts: Facts): Action {
  // Before anything else: until then, the next start is unpredictable.
  if (facts.isLost && isElsewhere(state, facts)) return { do: 'mend', booted: facts.booted };
  // The boot loader knows where we are; the state file only knows what we meant to do.
  if (!facts.confirmed && isUnaware(state)) return note(bootedNew(releaseOnTrial(state, facts), facts.booted));
  switch (state.kind) {
    case 'settling':
      // Locks are held until the running system is proven.
      return { do: 'settle', outcome: state.outcome, keepLock: !facts.confirmed };
    case 'idle':
      return facts.checkDue ? { do: 'check' } : { do: 'wait', reason: 'the next check' };
    case 'staging':
      return decideStaging(state, facts);
    case 'staged':
      // Confirmed by another program before us (systemd-bless-boot): still a trial.
      if (facts.booted === state.target) return note(bootedNew(state.release, state.target));
      if (facts.gate.ok && facts.isOfferFresh) return { do: 'arm', release: state.release, target: state.target };
      // It has no permission to start, so a power cut must not start it either.
      if (facts.isFlagged) return { do: 'disarm', booted: facts.booted };
      // It may have been pulled during writing or waiting.
      if (facts.gate.ok || facts.checkDue) return { do: 'check' };
      return { do: 'wait', reason: facts.gate.reason };
    case 'armed':
      // Checked first, since a soft reboot changes only this.
      if (facts.booted === state.target) return note(bootedNew(state.release, state.target));
      // The same kernel in the old slot: we have not left, or a soft reboot brought us back. The boot loader has not run yet.
      if (facts.bootId === state.bootId) return decideArmed(state, facts);
      return note(fellBack(state, facts));
    case 'trial':
      if (facts.booted === state.target) return decideTrial(state, facts);
      return note(fellBack(state, facts));
    case 'condemned':
      if (facts.booted === state.target) return facts.leaving ? LEAVING : { do: 'fall-back', from: state.target };
      return note(bootedOther(state.code, state.reason, true));
  }
}

/** The only way from one state to another. Throws for an event that cannot happen in a state. */
export function transition(state: State, event: Event): State {
  switch (event.type) {
    case 'settled':
      if (state.kind === 'settling') return { kind: 'idle' };
      break;
    case 'offered':
      if (state.kind === 'idle' || state.kind === 'staged')
        return { kind: 'staging', attempt: 0, ...chosen(event, event.byHand) };
      break;
    case 'chosen':
      if (state.kind === 'idle' || state.kind === 'staged') return { kind: 'staged', ...chosen(event, event.byHand) };
      break;
    case 'started':
      if (state.kind === 'staging') return { ...state, attempt: state.attempt + 1 };
      break;
    case 'written':
      if (state.kind === 'staging') return { kind: 'staged', ...attemptOf(state) };
      break;
    case 'stumbled':
      if (state.kind === 'staging') return { ...state, stumbled: { code: event.code, reason: event.reason } };
      break;
    case 'write-failed':
      if (state.kind === 'staging') return ended('failed', state, event, event.refuse);
      break;
    case 'withdrawn':
      if (state.kind === 'staging' || state.kind === 'staged') return ended('withdrawn', state, event, false);
      break;
    case 'armed':
      if (state.kind === 'staged') return { kind: 'armed', ...attemptOf(state), bootId: event.bootId };
      break;
    case 'left':
      if (state.kind === 'armed') return { ...state, departure: event.departure, ...triedIn(state, event.departure) };
      break;
    case 'disarmed':
      if (state.kind === 'armed') return { kind: 'staged', ...attemptOf(state) };
      break;
    case 'booted-new':
      if (state.kind !== 'trial' && state.kind !== 'condemned')
        return { kind: 'trial', release: event.release, target: event.target, ...departureOf(state) };
      break;
    case 'booted-other':
      if (state.kind === 'armed' || state.kind === 'trial' || state.kind === 'condemned')
        return ended('rolled-back', state, event, event.refuse);
      break;
    case 'healthy':
      if (state.kind === 'trial')
        return { kind: 'settling', outcome: { result: 'updated', release: state.release, ...departureOf(state) } };
      break;
    case 'hindered':
      if (state.kind === 'trial') return { ...state, hindered: { code: event.code, reason: event.reason } };
      break;
    case 'unhealthy':
      if (state.kind === 'trial')
        return {
          kind: 'condemned',
          release: state.release,
          target: state.target,
          code: event.code,
          reason: event.reason,
          ...departureOf(state),
        };
      break;
  }
  throw new Error(`event ${event.type} is not possible in state ${state.kind}`);
}

function decideStaging(state: Extract<State, { kind: 'staging' }>, facts: Facts): Action {
  if (facts.booted === state.target)
    return note({
      type: 'withdrawn',
      code: 'target-is-booted',
      reason: 'the machine now runs from the slot to be written',
    });
  if (state.attempt >= MAX_ATTEMPTS) {
    const last = state.stumbled ? `; last known cause: ${state.stumbled.reason}` : '';
    const reason = `writing was started ${state.attempt} times and never finished${last}`;
    return note({ type: 'write-failed', code: 'too-many-attempts', reason, refuse: false });
  }
  return { do: 'stage', release: state.release, target: state.target };
}

function decideTrial({ target }: Extract<State, { kind: 'trial' }>, { confirmed, trial }: Facts): Action {
  // Already proven; only the record is missing: only we clear the switch, and only then.
  if (confirmed) return note({ type: 'healthy' });
  // A confirmation by another program has ended the boot loader's count.
  if (trial.began > MOST_STARTS)
    return note({ type: 'unhealthy', code: 'trial-lost', reason: `${LOST}, ${trial.began - 1} times` });
  return { do: 'probe', target };
}

/** No boot loader counts higher. */
const MOST_STARTS = 9;
/** How often a trial may be lost before the release is considered the cause. */
const MOST_LOST = 1;
/** The codes of a trial that ended without a verdict on the release. */
export const LOST_CODES: readonly string[] = ['trial-lost', 'boot-untried'];

/**
 * The old system runs again. A power failure is not the release's fault, but a kernel crash is. Afterwards the two look alike, so
 * the release is tried once more.
 */
function fellBack(state: State, { trial, isLost }: Facts): Event {
  const { kind } = state;
  const hindered = kind === 'trial' ? state.hindered : undefined;
  if (trial.expired && !hindered) return bootedOther('trial-lost', EXPIRED, true);
  const isLostAgain = trial.lost >= MOST_LOST;
  const more = isLostAgain ? LOST_AGAIN : ONCE_MORE;
  if (hindered)
    return bootedOther('trial-lost', `${HINDERED} (${hindered.reason}); ${more}`, isLostAgain, 'surroundings');
  if (kind === 'trial' || trial.began > 0) return bootedOther('trial-lost', `${LOST}; ${more}`, isLostAgain);
  if (isLost) return bootedOther('boot-untried', `${UNTRIED}; ${more}`, isLostAgain);
  return bootedOther('boot-failed', FELL_BACK, true);
}

/** The machine is still here. A gate that closes now still stops the restart, until systemd has agreed to it. */
function decideArmed(state: Extract<State, { kind: 'armed' }>, { leaving, gate, isOfferFresh }: Facts): Action {
  if (leaving) return LEAVING;
  if (!gate.ok) return note({ type: 'disarmed', reason: gate.reason });
  if (!isOfferFresh)
    return note({ type: 'disarmed', reason: 'the repository must be asked again whether it is still on offer' });
  return { do: 'reboot', target: state.target, tried: state.tried ?? [] };
}

/** Whether the state cannot express "we are running from something unproven". An ended attempt is reported first. */
const isUnaware = (state: State): boolean =>
  state.kind === 'idle' ||
  state.kind === 'staging' ||
  state.kind === 'staged' ||
  (state.kind === 'settling' && state.outcome.result === 'none');

/** Whether no attempt could have led into the booted slot. */
const isElsewhere = (state: State, { booted }: Facts): boolean =>
  state.kind === 'settling' ||
  state.kind === 'idle' ||
  ((state.kind === 'staging' || state.kind === 'staged') && state.target !== booted);

/** The release in an unconfirmed booted slot: the one we were about to try there, or else the one found running. */
const releaseOnTrial = (state: State, facts: Facts): Release =>
  state.kind === 'staged' && state.target === facts.booted ? state.release : facts.running;

const chosen = ({ release, target }: Pick<Attempt, 'release' | 'target'>, byHand: true | undefined): Attempt => ({
  release,
  target,
  ...(byHand ? { byHand } : {}),
});

/** The part of an attempt that passes from one state to the next. */
const attemptOf = ({ release, target, byHand, tried }: Attempt): Attempt => ({
  ...chosen({ release, target }, byHand),
  ...(tried ? { tried } : {}),
});

/** A method that skips the boot loader is tried only once, whatever the result. */
const triedIn = ({ tried = [] }: Extract<State, { kind: 'armed' }>, { method }: Departure): { tried?: Method[] } =>
  method === 'firmware' ? {} : { tried: [...tried, method] };

const departureOf = (state: State): { departure?: Departure } =>
  'departure' in state && state.departure ? { departure: state.departure } : {};

const FELL_BACK = 'the new system did not start; the boot loader fell back';
const UNTRIED = 'the boot loader lost its flags, so the new system may not have been tried';
const EXPIRED = 'the new system started but reached no verdict in time; the dead man’s timer restarted the machine';
const LOST = 'the new system started, but the machine lost power or crashed before it was proven';
const HINDERED = 'the new system was healthy, but its slot could not be confirmed';
const ONCE_MORE = 'it will be tried once more';
const LOST_AGAIN = 'as happened before';

const LEAVING: Action = { do: 'wait', reason: 'the restart of the machine' };

const note = (event: Event): Action => ({ do: 'note', event });

const bootedNew = (release: Release, target: SlotName): Event => ({ type: 'booted-new', release, target });

const bootedOther = (code: string, reason: string, refuse: boolean, fault?: Fault): Event => ({
  type: 'booted-other',
  code,
  reason,
  refuse,
  ...(fault ? { fault } : {}),
});

const ended = (
  result: 'rolled-back' | 'failed' | 'withdrawn',
  from: Exclude<State, { kind: 'settling' | 'idle' }>,
  { code, reason, fault }: Readonly<{ code: string; reason: string; fault?: Fault }>,
  refuse: boolean,
): State => ({
  kind: 'settling',
  outcome: { result, release: from.release, code, reason, refuse, ...(fault ? { fault } : {}), ...departureOf(from) },
});
