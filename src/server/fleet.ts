/** The fleet as the server keeps it: every change of a machine and of a rollout's ledger is one update of the store. */

import type { CheckIn, CheckInAnswer } from '../protocol.ts';
import { giveUpOverdue, type Ledger, pull, release } from '../rollout/brake.ts';
import type { Offered } from '../rollout/roll-call.ts';
import { audited, auditedIfDue, type Entry } from './audit.ts';
import { answerCheckIn, concernsLedger, inCleanWords } from './check-in.ts';
import { isKept, ledgerFrom, ledgerJson, type MachineRecord, machineIn, recorded } from './machines.ts';
import type { Json, Key, Page, Store } from './store.ts';

/** What a channel says now. `id` changes when its rollout is another one. */
export type ChannelState = Readonly<{
  id: string;
  version: string;
  offered?: Offered;
  /** What was taken back, so that this is offered again. */
  aborted?: Readonly<{ version: string; at: string; reason?: string }>;
}>;

export type Fleet = Readonly<{
  checkIn(request: CheckIn, now: Date): Promise<CheckInAnswer>;
  machine(id: string): Promise<MachineRecord | undefined>;
  machines(limit: number, after?: string): Promise<Page>;
  count(): Promise<number>;
  /** Where the rollout of a channel stands; who is overdue is given up first. */
  ledger(channel: string, now: Date): Promise<Ledger>;
  /** Stops the rollout of a channel: nobody new begins. */
  pullBrake(channel: string, reason: string, now: Date, entry?: Entry): Promise<Ledger>;
  /** Lets a rollout whose brake was pulled go on. */
  releaseBrake(channel: string, entry?: Entry): Promise<Ledger>;
}>;

/** `channel` tells what the repository's channel says at the moment; undefined for one that there is not. `told` hears of a brake that was pulled. */
export function createFleet(
  store: Store,
  channel: (name: string) => Promise<ChannelState | undefined>,
  told: (entry: Entry) => void = () => {},
): Fleet {
  const ledgerOf = async (name: string, change: (ledger: Ledger) => void, entry?: Entry): Promise<Ledger> => {
    const state = await channel(name);
    return audited(store, entry, [ledgerKey(name, state)], ([document]) => {
      const ledger = ledgerFrom(document);
      change(ledger);
      return { write: [newsOf(ledger, document)], result: ledger };
    });
  };
  const giveUp = async (name: string, now: Date): Promise<Ledger> => {
    const state = await channel(name);
    return auditedIfDue(store, told, [ledgerKey(name, state)], ([document]) => {
      const ledger = ledgerFrom(document);
      if (state?.offered) giveUpOverdue(ledger, state.offered.limits, now.getTime());
      return { write: [newsOf(ledger, document)], result: ledger, entry: pulled(name, state, ledger, document) };
    });
  };
  return {
    checkIn: async (said, now) => {
      const request = inCleanWords(said);
      const state = await channel(request.channel);
      const machine: Key = { kind: 'machine', id: request.machine };
      const known = machineIn(await store.read(machine));
      const keys = [machine, ...(concernsLedger(request, known) ? [ledgerKey(request.channel, state)] : [])];
      return auditedIfDue(store, told, keys, ([document, ledger]) =>
        decide(request, state, document, keys.length > 1 ? [ledger] : [], now),
      );
    },
    machine: async (id) => machineIn(await store.read({ kind: 'machine', id })),
    machines: async (limit, after) => {
      const page = await store.list('machine', limit, after);
      return { ...page, documents: page.documents.filter(({ document }) => machineIn(document)) };
    },
    count: () => store.count('machine'),
    ledger: giveUp,
    pullBrake: (name, reason, now, entry) => ledgerOf(name, (ledger) => pull(ledger, reason, now.getTime()), entry),
    releaseBrake: (name, entry) => ledgerOf(name, release, entry),
  };
}

const ledgerKey = (channel: string, state: ChannelState | undefined): Key => ({
  kind: 'ledger',
  id: `${channel}/${state?.id ?? 'none'}`,
});

/** `ledgers` is empty when the check-in is not about the rollout. */
function decide(
  request: CheckIn,
  state: ChannelState | undefined,
  document: Json | undefined,
  ledgers: readonly (Json | undefined)[],
  now: Date,
) {
  const before = machineIn(document);
  const ledger = ledgerFrom(ledgers[0]);
  const answer = answerCheckIn(request, before, ledgers.length > 0 ? state?.offered : undefined, ledger, now.getTime());
  const record = recorded(request, before, answer, now) as unknown as Json;
  const write = [record, ...ledgers.map((kept) => newsOf(ledger, kept))];
  return { write, result: answer, entry: pulled(request.channel, state, ledger, ledgers[0]) };
}

/** The brake that this update pulls, as the audit log keeps it. */
function pulled(
  name: string,
  state: ChannelState | undefined,
  { braked }: Ledger,
  kept: Json | undefined,
): Entry | undefined {
  if (!braked || braked.byHand || ledgerFrom(kept).braked) return undefined;
  const at = new Date(braked.at).toISOString();
  const about = `${state?.version ?? 'a release'} in ${name}`;
  return { at, what: 'brake-pulled', who: 'the brake', from: 'this server', about, reason: braked.reason };
}

/** What has to be written of a ledger: nothing when it says what was kept. */
const newsOf = (ledger: Ledger, kept: Json | undefined): Json | undefined =>
  isKept(ledger, kept) ? undefined : ledgerJson(ledger);
