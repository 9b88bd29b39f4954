/** The fleet in the store: every change of a machine and of a rollout's ledger is a single update. */

import { UpdateError } from '../../errors.ts';
import type { CheckIn, CheckInAnswer } from '../../formats/check-in.ts';
import type { MachineId } from '../../model.ts';
import { giveUpOverdue, type Ledger, pull, readmit, release } from '../../rollout/brake.ts';
import type { Offered } from '../../rollout/roll-call.ts';
import { goalOf } from '../../rollout/rollout.ts';
import type { Change, Json, Key, Page, Store } from '../store/store.ts';
import { type AuditEntry, audited, auditedIfDue } from './audit.ts';
import { answerCheckIn, answerToClones, cleanCheckIn, concernsLedger, withoutWish } from './check-in.ts';
import type { Clocks } from './clocks.ts';
import { bootsAfter, isOtherHardware, whereOf } from './clones.ts';
import { type Expiry, NO_EXPIRY } from './expiry.ts';
import { aliasKey } from './lock-members.ts';
import { forgetMachine, machineKey, resetSecret } from './machine-deeds.ts';
import { type SecretRules, type Shown, type Strange, strangerTo } from './machine-secrets.ts';
import { ledgerFrom, type MachineRecord, machineIn, newsOf, recorded, withStranger } from './machines.ts';

/** The current state of a channel. `id` changes with each rollout. */
export type ChannelState = Readonly<{
  id: string;
  version: string;
  offered?: Offered;
  /** The aborted release, because of which this one is on offer again. */
  aborted?: Readonly<{ version: string; at: string; reason?: string }>;
}>;

export type Fleet = Readonly<{
  /** Throws if `shown` is not the machine's identity. */
  checkIn(request: CheckIn, now: Date, shown?: Shown): Promise<CheckInAnswer>;
  /** By its id, or by the alias under which it uses the locks. */
  machine(id: string): Promise<MachineRecord | undefined>;
  machines(limit: number, after?: string): Promise<Page>;
  count(): Promise<number>;
  /** The ledger of a channel's rollout, after overdue hosts have been given up. */
  ledger(channel: string, now: Date): Promise<Ledger>;
  /** Stops the rollout of a channel: no more machines start. */
  pullBrake(channel: string, reason: string, now: Date, entry?: AuditEntry): Promise<Ledger>;
  /** Releases the brake of a rollout. */
  releaseBrake(channel: string, entry?: AuditEntry): Promise<Ledger>;
  /** False if there is no such machine. */
  forget(id: string, entry?: AuditEntry): Promise<boolean>;
  resetSecret(id: string, entry?: AuditEntry): Promise<boolean>;
  /** Readmits one machine on which the release failed, or all of them; returns their number. */
  readmit(channel: string, machine: MachineId | undefined, entry?: AuditEntry): Promise<number>;
}>;

export type FleetRules = Partial<SecretRules> & Readonly<{ isOver?: Expiry['isOver']; mayJudge?: Clocks['mayJudge'] }>;

/** `saidOf`: the current channel in the repository; undefined if there is none. `onBrake` is called when the brake is pulled. */
export function createFleet(
  store: Store,
  saidOf: (name: string) => Promise<ChannelState | undefined>,
  onBrake: (entry: AuditEntry) => void = () => {},
  { maySilent = false, isOver = NO_EXPIRY.isOver, mayJudge = () => true }: FleetRules = {},
): Fleet {
  const channel = async (name: string): Promise<ChannelState | undefined> => judgedBy(mayJudge, await saidOf(name));
  const { changed, ledgerOf, giveUp } = ledgersIn(store, channel, onBrake);
  return {
    checkIn: async (received, now, shown = {}) => {
      const request = cleanCheckIn(received);
      const state = await channel(request.channel);
      const machine = machineKey(request.machine);
      const known = machineIn(await store.read(machine));
      const keys = [machine, ...(concernsLedger(request, known) ? [ledgerKey(request.channel, state)] : [])];
      const answer = await auditedIfDue<CheckInAnswer | Strange>(store, onBrake, keys, ([document, ledger]) => {
        const ledgers = keys.length > 1 ? [ledger] : [];
        return (
          turnedAway(request, document, shown, { maySilent }, now) ??
          decide(request, state, document, ledgers, shown, now)
        );
      });
      if (typeof answer === 'string') throw new UpdateError(answer);
      return answer;
    },
    machine: async (id) => {
      const found = machineIn(await store.read(machineKey(id)));
      if (found) return found;
      const alias = await store.read(aliasKey(id));
      return typeof alias === 'string' ? machineIn(await store.read(machineKey(alias))) : undefined;
    },
    machines: async (limit, after) => {
      const page = await store.list('machine', limit, after);
      const isShown = ({ document }: Page['documents'][number]): boolean => {
        const machine = machineIn(document);
        return machine !== undefined && !isOver(machine);
      };
      return { ...page, documents: page.documents.filter(isShown) };
    },
    count: () => store.count('machine'),
    ledger: giveUp,
    pullBrake: (name, reason, now, entry) => ledgerOf(name, (ledger) => pull(ledger, reason, now.getTime()), entry),
    releaseBrake: (name, entry) => ledgerOf(name, release, entry),
    forget: async (id, entry) => {
      const known = machineIn(await store.read(machineKey(id)));
      const ledger = known && ledgerKey(known.channel, await channel(known.channel));
      return forgetMachine(store, id, ledger, entry);
    },
    resetSecret: (id, entry) => resetSecret(store, id, entry),
    readmit: async (name, machine, entry) => {
      const known = machine === undefined ? undefined : machineIn(await store.read(machineKey(machine)));
      const policy = (await channel(name))?.offered?.policy;
      // A release that already runs needs no permission.
      if (known?.confirmed && policy && known.running.version === goalOf(policy, known.group).version) return 0;
      return changed(name, (ledger) => readmit(ledger, machine), entry);
    },
  };
}

type ChannelNow = (name: string) => Promise<ChannelState | undefined>;

/** Reads and changes the ledgers of channels. */
function ledgersIn(store: Store, channel: ChannelNow, onBrake: (entry: AuditEntry) => void) {
  const changed = async <T>(name: string, change: (ledger: Ledger) => T, entry?: AuditEntry): Promise<T> => {
    const state = await channel(name);
    return audited(store, entry, [ledgerKey(name, state)], ([document]) => {
      const ledger = ledgerFrom(document);
      const result = change(ledger);
      return { write: [newsOf(ledger, document)], result };
    });
  };
  const ledgerOf = (name: string, change: (ledger: Ledger) => void, entry?: AuditEntry): Promise<Ledger> =>
    changed(
      name,
      (ledger) => {
        change(ledger);
        return ledger;
      },
      entry,
    );
  const giveUp = async (name: string, now: Date): Promise<Ledger> => {
    const state = await channel(name);
    return auditedIfDue(store, onBrake, [ledgerKey(name, state)], ([document]) => {
      const ledger = ledgerFrom(document);
      if (state?.offered) giveUpOverdue(ledger, state.offered.limits, now.getTime());
      return { write: [newsOf(ledger, document)], result: ledger, entry: pulled(name, state, ledger, document) };
    });
  };
  return { changed, ledgerOf, giveUp };
}

/** After clocks differed, no host is overdue until the full time for a report has passed again. */
function judgedBy(mayJudge: Clocks['mayJudge'], state: ChannelState | undefined): ChannelState | undefined {
  const { offered } = state ?? {};
  if (!state || !offered || mayJudge(offered.limits.patienceMs)) return state;
  return { ...state, offered: { ...offered, limits: { ...offered.limits, noOverdue: true } } };
}

const ledgerKey = (channel: string, state: ChannelState | undefined): Key => ({
  kind: 'ledger',
  id: `${channel}/${state?.id ?? 'none'}`,
});

/** Of a request with a false identity, only the fact that it came is recorded. */
function turnedAway(
  request: CheckIn,
  document: Json | undefined,
  shown: Shown,
  rules: SecretRules,
  now: Date,
): Change<Strange> | undefined {
  const before = machineIn(document);
  const strange = strangerTo(before, shown, rules);
  if (!before || !strange) return undefined;
  return { write: [withStranger(before, request, shown, now) as unknown as Json | undefined], result: strange };
}

/** `ledgers` is empty if the check-in does not concern the rollout. */
function decide(
  request: CheckIn,
  state: ChannelState | undefined,
  document: Json | undefined,
  ledgers: readonly (Json | undefined)[],
  shown: Shown,
  now: Date,
) {
  const before = machineIn(document);
  const ledger = ledgerFrom(ledgers[0]);
  if (isOtherUnderWay(before, request, ledger)) return waiting(request, before);
  const boots = bootsAfter(before, request, now);
  const asked = boots.cloned ? withoutWish(request) : request;
  const offered = ledgers.length > 0 ? state?.offered : undefined;
  const ordinary = answerCheckIn(asked, before, offered, ledger, now.getTime());
  const answer = boots.cloned ? answerToClones(request, boots.cloned) : ordinary;
  const record = recorded(request, before, answer, { ...shown, boots }, now) as unknown as Json;
  const write = [record, ...ledgers.map((kept) => newsOf(ledger, kept))];
  return { write, result: answer, entry: pulled(request.channel, state, ledger, ledgers[0]) };
}

/** The hardware differs from that of the machine under way: a copy of its disk, or its disk in another machine. */
const isOtherUnderWay = (
  before: MachineRecord | undefined,
  { machine, boot }: CheckIn,
  { inFlight }: Ledger,
): boolean => inFlight.has(machine) && isOtherHardware(before, boot);

/** Only the machine under way may report its outcome: until then its record stays, except for the note that another one exists. */
function waiting(request: CheckIn, before: MachineRecord | undefined): Change<CheckInAnswer> {
  const answer = answerToClones(request, { other: whereOf(before?.host ?? {}) });
  const { code, reason } = answer;
  const isTold = before?.hold?.reason === reason;
  return { write: [isTold ? undefined : ({ ...before, hold: { code, reason } } as unknown as Json)], result: answer };
}

/** The audit entry for a brake pulled by this update. */
function pulled(
  name: string,
  state: ChannelState | undefined,
  { braked }: Ledger,
  kept: Json | undefined,
): AuditEntry | undefined {
  if (!braked || braked.byHand || ledgerFrom(kept).braked) return undefined;
  const at = new Date(braked.at).toISOString();
  const about = `${state?.version ?? 'a release'} in ${name}`;
  return { at, what: 'brake-pulled', who: 'the brake', from: 'this server', about, reason: braked.reason };
}
