/** The reboot lock in etcd: every change is a compare-and-swap on the whole document, without clocks. */

import { UpdateError } from '../../../errors.ts';
import type { Clock } from '../../../system/clock.ts';
import type { Etcd } from '../../../system/etcd/etcd.ts';
import type { Compare, Op } from '../../../system/etcd/messages.ts';
import type { EtcdV2 } from '../../../system/etcd/v2.ts';
import type { Random } from '../../../system/random.ts';
import { freeIn, keysOf, type Room, readRoom } from './etcd-room.ts';
import { LOCKSMITH_KEYS, refuseForeign } from './foreign.ts';
import type { Ended, LockAnswer, LockClient } from './lock-client.ts';
import {
  begin,
  type Ending,
  emptySemaphore,
  giveBack,
  isRefusal,
  type LockRefusal,
  type Member,
  type Semaphore,
  take,
} from './semaphore.ts';
import { oneLine, writeSemaphore } from './semaphore-document.ts';

export type EtcdLockOptions = Readonly<{
  etcd: Etcd;
  /** etcd's API v2 store, in which locksmith keeps its lock. */
  older?: EtcdV2;
  group: string;
  me: Member;
  /** Initial values, used only by the first host of a group; afterwards the document applies. */
  max: number;
  maxFailures: number;
  /** How long a reboot may take before the host counts as failed. */
  deadlineSeconds: number;
  /** A host that is silent for this long loses its place in the queue and the lock, unless it is rebooting. */
  leaseSeconds: number;
  /** The longest polling interval of the next host in the queue; hosts behind it poll less often. */
  askMs: number;
  /** If etcd runs on the rebooting hosts: the number of endpoints, all of which must be healthy. */
  members?: number;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
}>;

/** The client of the lock for this host's group. */
export function etcdLock(options: EtcdLockOptions): LockClient {
  const presence = keptPresence(options);
  const lookForLocksmith = keptLook(options);
  return {
    countsFailures: true,
    take: async (why) => {
      await lookForLocksmith();
      return takeLock(options, presence, why);
    },
    begin: () => beginReboot(options),
    giveBack: (ending) => giveBackLock(options, ending),
  };
}

/** Checked rarely, because it asks every member, and a locksmith does not appear suddenly. */
function keptLook({ older, group, clock }: EtcdLockOptions): () => Promise<void> {
  let seenAt: number | undefined;
  return async () => {
    if (!older || (seenAt !== undefined && clock.monotonicMs() - seenAt < LOOK_MS)) return;
    refuseForeign(group, await older.valuesAt(LOCKSMITH_KEYS(group)));
    seenAt = clock.monotonicMs();
  };
}

const LOOK_MS = 3_600_000;

/** After this many failed swaps in a row, retries later. */
const TRIES = 12;

type Presence = ReturnType<typeof keptPresence>;

async function takeLock(options: EtcdLockOptions, presence: Presence, why: string): Promise<LockAnswer> {
  const { etcd, group, me, clock } = options;
  const ask = { ...me, since: nowOf(clock), why: oneLine(why), deadlineSeconds: options.deadlineSeconds };
  for (let tries = 0; tries < TRIES; tries++) {
    const room = await readRoom(etcd, group, me.id);
    const document = room.document ?? emptySemaphore(options.max, options.maxFailures);
    const result = take(limited(document, options.members), ask, room.sight);
    if (!isRefusal(result) && isHeld(document, result)) {
      if (await presence.keepHeld(room)) return { ok: true };
      continue;
    }
    const lease = await presence.keepAsking(room);
    // Joins the queue first; the state was read before that.
    if (lease === undefined) continue;
    if (isRefusal(result)) return refused(options, result, room);
    const ill = await ailment(options);
    if (ill) return refused(options, ill, room);
    if (await swap(options, room, { ...result, max: document.max }, granted(options, lease))) return { ok: true };
    await pause(options, tries);
  }
  return { ok: false, ...CONTENDED, askAgainMs: options.askMs };
}

async function beginReboot(options: EtcdLockOptions): Promise<void> {
  const { etcd, group, me, clock } = options;
  for (let tries = 0; tries < TRIES; tries++) {
    const room = await readRoom(etcd, group, me.id);
    const since = nowOf(clock);
    const next = room.document && begin(room.document, me, since, room.sight);
    if (!next) throw new UpdateError('lock-lost', `This host no longer holds the lock of the group ${group}.`);
    if (next === room.document) return;
    const timer = await etcd.grantLease(options.deadlineSeconds);
    if (await swap(options, room, next, leaving(options, room, timer))) return;
    await etcd.revokeLease(timer);
    await pause(options, tries);
  }
  throw new UpdateError('lock-contended');
}

async function giveBackLock(options: EtcdLockOptions, given?: Ended): Promise<void> {
  const { etcd, group, me, clock } = options;
  const ending = endingOf(given, nowOf(clock));
  for (let tries = 0; tries < TRIES; tries++) {
    const room = await readRoom(etcd, group, me.id);
    const { document } = room;
    if (!document && !room.asking) return;
    const next = document && giveBack(document, me, ending);
    // Releases only after reading: both requests and answers can be lost.
    if (!room.asking && !room.leases.has(me.id) && sameDocument(document, next)) return;
    await swap(options, room, sameDocument(document, next) ? undefined : next, gone(options));
    if (tries > 0) await pause(options, tries);
  }
  throw new UpdateError('lock-contended');
}

type Change = Readonly<{ compare: readonly Compare[]; ops: readonly Op[] }>;

/** If the document has not changed since it was read, writes `next` and everything that belongs to it in one transaction. */
async function swap(
  { etcd, group }: EtcdLockOptions,
  room: Room,
  next: Semaphore | undefined,
  change: Change,
): Promise<boolean> {
  const key = keysOf(group).semaphore;
  const { succeeded } = await etcd.txn({
    compare: [{ key, modRevision: room.revision }, ...change.compare],
    ops: [...(next ? [{ put: key, value: writeSemaphore(next) }] : []), ...change.ops],
  });
  return succeeded;
}

/** Moves from the queue to the holders, keeping the lease. */
function granted({ group, me }: EtcdLockOptions, lease: string): Change {
  const keys = keysOf(group);
  return {
    compare: [{ key: keys.asking(me.id), lease }],
    ops: [{ put: keys.holding(me.id), value: NOTHING, lease }, { delete: keys.asking(me.id) }],
  };
}

/** The lease would end with the host, which is about to reboot; only the deadline remains. */
function leaving({ group, me }: EtcdLockOptions, room: Room, timer: string): Change {
  const keys = keysOf(group);
  return {
    compare: [{ key: keys.holding(me.id), lease: room.leases.get(me.id) ?? '0' }],
    ops: [{ put: keys.deadline(me.id), value: NOTHING, lease: timer }, { delete: keys.holding(me.id) }],
  };
}

function gone({ group, me }: EtcdLockOptions): Change {
  const keys = keysOf(group);
  const all = [keys.asking(me.id), keys.holding(me.id), keys.deadline(me.id)];
  return { compare: [], ops: all.map((key) => ({ delete: key })) };
}

/** The host's leases: granted on first use, kept alive on every request. */
function keptPresence(options: EtcdLockOptions) {
  const { etcd, group, me, leaseSeconds, clock } = options;
  const kept = new Map<string, number>();
  const isAlive = async (lease: string): Promise<boolean> => {
    const since = kept.get(lease);
    if (since !== undefined && clock.monotonicMs() - since < (leaseSeconds * 1000) / 4) return true;
    const at = clock.monotonicMs();
    kept.clear();
    if (!(await etcd.keepAlive(lease))) return false;
    kept.set(lease, at);
    return true;
  };
  return {
    /** The lease of the place in the queue; undefined if the place is new or lost. */
    keepAsking: async ({ asking }: Room): Promise<string | undefined> => {
      if (asking) return (await isAlive(asking.lease)) ? asking.lease : undefined;
      const lease = await etcd.grantLease(leaseSeconds);
      const key = keysOf(group).asking(me.id);
      const value = new TextEncoder().encode(JSON.stringify({ name: me.name, since: nowOf(clock) }));
      const { succeeded } = await etcd.txn({ compare: [{ key, is: 'absent' }], ops: [{ put: key, value, lease }] });
      if (!succeeded) await etcd.revokeLease(lease);
      return undefined;
    },
    /** A rebooting holder has no lease. */
    keepHeld: async ({ leases }: Room): Promise<boolean> => {
      const lease = leases.get(me.id);
      return lease === undefined || isAlive(lease);
    },
  };
}

/** If etcd runs on the hosts: rebooting hosts must leave it a majority, and none may go while another member is unhealthy. */
const limited = (document: Semaphore, members?: number): Semaphore =>
  members === undefined ? document : { ...document, max: Math.min(document.max, Math.floor((members - 1) / 2)) };

async function ailment({ etcd, members }: EtcdLockOptions): Promise<Refused | undefined> {
  if (members === undefined) return undefined;
  const ill = (await etcd.ailments()).find((one) => one !== undefined);
  return ill === undefined ? undefined : { code: 'lock-etcd-ill', reason: `an etcd member is unhealthy: ${ill}` };
}

type Refused = LockRefusal | Readonly<{ code: 'lock-etcd-ill'; reason: string }>;

const CONTENDED = { code: 'lock-contended', reason: 'many hosts are changing the lock at the same time' } as const;

/** The first hosts in the queue poll every other second; each round of reboots ahead makes polling less frequent. */
function refused({ askMs, random }: EtcdLockOptions, { code, reason }: Refused, room: Room): LockAnswer {
  const rounds = Math.floor(room.sight.ahead / Math.max(freeIn(room), room.document?.max ?? 1, 1));
  const window = Math.min(askMs * (1 + rounds), MOST_PAUSE_MS);
  return { ok: false, code, reason, askAgainMs: Math.ceil(window * (0.1 + 0.9 * random.fraction())) };
}

/** Well below the lease, so that waiting does not lose the place. */
const MOST_PAUSE_MS = 60_000;

/** Full jitter, so that colliding hosts do not collide again. */
const pause = ({ clock, random, signal }: EtcdLockOptions, tries: number): Promise<void> =>
  clock.sleep(random.fraction() * Math.min(2000, 20 * 2 ** tries), signal);

const isHeld = (before: Semaphore, after: Semaphore): boolean => after.holders === before.holders;

const sameDocument = (a: Semaphore | undefined, b: Semaphore | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

function endingOf(given: Ended | undefined, since: string): Ending | undefined {
  if (!given) return undefined;
  return given.failed === undefined ? { ok: true } : { ok: false, since, why: oneLine(given.failed) };
}

const nowOf = (clock: Clock): string => clock.now().toISOString();

const NOTHING = new Uint8Array();
