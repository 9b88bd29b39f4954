/** The server's reboot locks, one per group: the same semaphore as in etcd, with the server's clock for deadlines. */

import {
  begin,
  emptySemaphore,
  giveBack,
  isRefusal,
  type LockFailure,
  type LockHolder,
  type LockRefusal,
  release,
  type Semaphore,
  type Sight,
  setMax,
  take,
} from '../../reboot/gates/locks/semaphore.ts';
import { readSemaphore, writeSemaphore } from '../../reboot/gates/locks/semaphore-document.ts';
import type { Json, Key, Store } from '../store/store.ts';
import { type AuditEntry, audited } from './audit.ts';
import type { Clocks } from './clocks.ts';
import { aliasKey, aliasOf, memberOf, recordsOf } from './lock-members.ts';
import type { SecretRules, Shown } from './machine-secrets.ts';
import { machineIn } from './machines.ts';

/** The defaults of a new group; afterwards its document applies. */
export type LockDefaults = Readonly<{ max: number; maxFailures: number; deadlineSeconds: number }>;

/** `late`: past its deadline. */
export type ShownLock = Readonly<{
  group: string;
  max: number;
  maxFailures: number;
  free: number;
  holders: readonly (LockHolder & Readonly<{ late: boolean }>)[];
  failures: readonly LockFailure[];
}>;

/** All methods are idempotent. Those for hosts throw if the requester is not the machine it claims to be. */
export type RebootLocks = Readonly<{
  /** Undefined if the host `id` now holds the lock. */
  take(group: string, id: string, now: Date, who?: Shown): Promise<LockRefusal | undefined>;
  giveBack(group: string, id: string, who?: Shown): Promise<void>;
  /** An unused group has the defaults. */
  show(group: string, now: Date): Promise<ShownLock>;
  all(limit: number, now: Date, after?: string): Promise<Readonly<{ locks: readonly ShownLock[]; next?: string }>>;
  /** Frees the lock of a host that will not come back, for an operator; false if it does not hold the lock. */
  release(group: string, id: string, entry?: AuditEntry): Promise<boolean>;
  setMax(group: string, max: number, maxFailures?: number, entry?: AuditEntry): Promise<void>;
}>;

export type LockRules = SecretRules & Readonly<{ mayJudge?: Clocks['mayJudge'] }>;

/** The locks in `store`. A requester counts as rebooting at once, because FleetLock has no second request. */
export function createRebootLocks(
  store: Store,
  defaults: LockDefaults,
  rules: LockRules = { maySilent: false },
): RebootLocks {
  const sight = sightOf(rules.mayJudge);
  const none = emptySemaphore(defaults.max, defaults.maxFailures);
  const semaphoreOf = (group: string, document: Json | undefined): Semaphore =>
    document === undefined ? none : readSemaphore(bytesOf(document), `the lock of the group ${group}`);
  const revise = (group: string, change: (before: Semaphore) => Semaphore, entry?: AuditEntry): Promise<void> =>
    audited(store, entry, [keyOf(group)], ([document]) => {
      const before = semaphoreOf(group, document);
      return { write: [written(before, change(before), none)], result: undefined };
    });
  return {
    take: (group, id, now, who = {}) =>
      store.update([keyOf(group), aliasKey(id), ...recordsOf(id, who)], ([document, alias, ...records]) => {
        const before = semaphoreOf(group, document);
        const member = memberOf(id, who, records, before, { ...rules, takes: true });
        const ask = {
          ...member,
          since: now.toISOString(),
          why: whyOf(records),
          deadlineSeconds: defaults.deadlineSeconds,
        };
        const after = takeAndLeave(before, ask, sight(now));
        if (isRefusal(after)) return { write: [], result: after };
        const named = aliasOf(id, who, records);
        return { write: [written(before, after, none), named === alias ? undefined : named], result: undefined };
      }),
    giveBack: (group, id, who = {}) =>
      store.update([keyOf(group), ...recordsOf(id, who)], ([document, ...records]) => {
        const before = semaphoreOf(group, document);
        const after = giveBack(before, memberOf(id, who, records, before, { ...rules, takes: false }));
        return { write: [written(before, after, none)], result: undefined };
      }),
    show: async (group, now) => shown(group, semaphoreOf(group, await store.read(keyOf(group))), sight(now)),
    all: async (limit, now, after) => {
      const { documents, next } = await store.list(KIND, limit, after);
      const locks = documents.map(({ id, document }) => shown(id, semaphoreOf(id, document), sight(now)));
      return { locks, ...(next === undefined ? {} : { next }) };
    },
    release: (group, id, entry) =>
      audited(store, entry, [keyOf(group)], ([document]) => {
        const before = semaphoreOf(group, document);
        const after = release(before, id);
        return { write: [after && written(before, after, none)], result: after !== undefined };
      }),
    setMax: (group, max, maxFailures, entry) => revise(group, (before) => setMax(before, max, maxFailures), entry),
  };
}

const bytesOf = (document: Json): Uint8Array => new TextEncoder().encode(JSON.stringify(document));

const KIND = 'lock';

const keyOf = (group: string): Key => ({ kind: KIND, id: group });

function takeAndLeave(before: Semaphore, ask: Parameters<typeof take>[1], sight: Sight): Semaphore | LockRefusal {
  const taken = take(before, ask, sight);
  return isRefusal(taken) ? taken : (begin(taken, ask, ask.since, sight) ?? taken);
}

/** Only the host itself or an operator frees a place; there is no queue, and no holder is overdue while clocks differ. */
const sightOf =
  (mayJudge: Clocks['mayJudge'] = () => true) =>
  (now: Date): Sight => ({
    gone: () => false,
    late: ({ since, deadlineSeconds }) =>
      Date.parse(since) + deadlineSeconds * 1000 < now.getTime() && mayJudge(deadlineSeconds * 1000),
    ahead: 0,
  });

/** Groups are created by requests, so one with only defaults is not stored. */
function written(before: Semaphore, after: Semaphore, none: Semaphore): Json | undefined {
  if (isSame(before, after)) return undefined;
  return isSame(after, none) ? null : (JSON.parse(new TextDecoder().decode(writeSemaphore(after))) as Json);
}

const isSame = (one: Semaphore, other: Semaphore): boolean => JSON.stringify(one) === JSON.stringify(other);

/** The reason shown for a host that also checks in. */
function whyOf(records: readonly (Json | undefined)[]): string {
  const record = records.map(machineIn).find((one) => one !== undefined);
  return record ? `${record.product} ${record.running.version}, ${record.state}` : 'a reboot';
}

function shown(group: string, { max, maxFailures, holders, failures }: Semaphore, { late }: Sight): ShownLock {
  return {
    group,
    max,
    maxFailures,
    free: Math.max(0, max - holders.length),
    holders: holders.map((one) => ({ ...one, late: late(one) })),
    failures,
  };
}
