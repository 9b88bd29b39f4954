/** Dashboard sessions with keys of their own, in the store, so that all its servers know them and they survive a restart. */

import { timingSafeEqual } from 'node:crypto';
import { list, literal, object, text } from '../../formats/shape.ts';
import { UTC_MOMENT } from '../../utc.ts';
import { type AuditEntry, audited } from '../fleet/audit.ts';
import type { Json, Key, Store } from '../store/store.ts';
import type { Access } from './access.ts';
import { digestOf, LONGEST_NAME, NAME, type TokenHolder } from './tokens.ts';

export type Sessions = Readonly<{
  /** Starts a session for the token's holder. Only this answer contains its key. */
  begin(holder: TokenHolder, token: string, entry?: AuditEntry): Promise<string>;
  /** The holder of the session; undefined if it is unknown or has ended. `isUse`: a person's request, not a page's polling. */
  holderOf(key: string, isUse: boolean): Promise<TokenHolder | undefined>;
  end(key: string): Promise<void>;
}>;

export type SessionsWorld = Readonly<{
  store: Store;
  access: Pick<Access, 'holderWith'>;
  now(): Date;
  /** A new secret. */
  secret(): string;
}>;

/** A session ends after a working day, or an hour after its last use. */
export const MOST_AGE_MS = 12 * 3_600_000;
export const MOST_IDLE_MS = 3_600_000;

export function createSessions({ store, access, now, secret }: SessionsWorld): Sessions {
  const change = (name: string, revise: (live: readonly Session[]) => readonly Session[], entry?: AuditEntry) =>
    audited(store, entry, [keyOf(name)], ([document]) => {
      const live = sessionsIn(document).filter((one) => isLive(one, now()));
      return { write: [sessionsJson(revise(live))], result: undefined };
    });
  return {
    begin: async ({ name }, token, entry) => {
      const key = `${name}.${secret()}`;
      const at = now().toISOString();
      const session = { digest: digestOf(key), token: digestOf(token), began: at, used: at };
      await change(name, (live) => [...live, session].slice(-MOST_SESSIONS), entry);
      return key;
    },
    holderOf: async (key, isUse) => {
      const name = nameIn(key);
      const kept = name === undefined ? [] : sessionsIn(await store.read(keyOf(name)));
      const session = kept.find((one) => isOf(one, key));
      if (name === undefined || !session || !isLive(session, now())) return undefined;
      const holder = await access.holderWith(session.token);
      if (holder?.name !== name) return undefined;
      const used = now();
      // Reading works even if nothing can be written.
      if (isUse && since(session.used, used) > RENEW_MS)
        await change(name, (live) => live.map((one) => (isOf(one, key) ? usedAt(one, used) : one))).catch(
          () => undefined,
        );
      return holder;
    },
    end: async (key) => {
      const name = nameIn(key);
      if (name !== undefined) await change(name, (live) => live.filter((one) => !isOf(one, key)));
    },
  };
}

/** The most sessions of one token. A further one ends the oldest, and never that of another token. */
export const MOST_SESSIONS = 50;
/** The last use is written no more often than this. */
const RENEW_MS = MOST_IDLE_MS / 12;

type Session = Readonly<{ digest: string; token: string; began: string; used: string }>;

const keyOf = (name: string): Key => ({ kind: 'session', id: name });

/** A key starts with the name of its token. */
function nameIn(key: string): string | undefined {
  const name = key.slice(0, Math.max(0, key.lastIndexOf('.')));
  return NAME.test(name) && name.length <= LONGEST_NAME ? name : undefined;
}

const isOf = ({ digest }: Session, key: string): boolean =>
  timingSafeEqual(Buffer.from(digest, 'hex'), Buffer.from(digestOf(key), 'hex'));

/** A clock that is set back does not keep a session alive. */
const isLive = ({ began, used }: Session, now: Date): boolean =>
  Math.abs(since(began, now)) < MOST_AGE_MS && Math.abs(since(used, now)) < MOST_IDLE_MS;

const since = (moment: string, now: Date): number => now.getTime() - Date.parse(moment);

const usedAt = (session: Session, now: Date): Session => ({ ...session, used: now.toISOString() });

/** A damaged document admits nobody, but does not prevent signing in again. */
function sessionsIn(document: Json | undefined): readonly Session[] {
  try {
    return document === undefined ? [] : SHAPE(document, 'the sessions').sessions;
  } catch {
    return [];
  }
}

const sessionsJson = (sessions: readonly Session[]): Json => (sessions.length === 0 ? null : { schema: 1, sessions });

const digest = text(/^[0-9a-f]{64}$/);
const moment = text(UTC_MOMENT);
const SHAPE = object({
  schema: literal(1),
  sessions: list(object({ digest, token: digest, began: moment, used: moment }), MOST_SESSIONS),
});
