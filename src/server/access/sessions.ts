/** Who is signed in on the pages: sessions with keys of their own, kept in the store, so that all its servers know them and a restart ends none. */

import { timingSafeEqual } from 'node:crypto';
import { list, literal, object, text } from '../../formats/shape.ts';
import { UTC_MOMENT } from '../../utc.ts';
import { type AuditEntry, audited } from '../fleet/audit.ts';
import type { Json, Key, Store } from '../store/store.ts';
import type { Access } from './access.ts';
import { digestOf, LONGEST_NAME, NAME, type TokenHolder } from './tokens.ts';

export type Sessions = Readonly<{
  /** Signs in whoever has this token, which is the holder's. The key of the new session is told this once. */
  begin(holder: TokenHolder, token: string, entry?: AuditEntry): Promise<string>;
  /** Whose session has this key; undefined for nobody's, and for one that has ended. `isUse`: a person asks, and not a page that follows the fleet. */
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

/** A session ends after a working day, or an hour after it was last used. */
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
      // Looking is possible, too, when nothing can be written.
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

/** Of one token. Another one begins at the cost of the oldest, and never of somebody else's. */
export const MOST_SESSIONS = 50;
/** Being used is written down no more often than this. */
const RENEW_MS = MOST_IDLE_MS / 12;

type Session = Readonly<{ digest: string; token: string; began: string; used: string }>;

const keyOf = (name: string): Key => ({ kind: 'session', id: name });

/** A key begins with the name of the token behind it. */
function nameIn(key: string): string | undefined {
  const name = key.slice(0, Math.max(0, key.lastIndexOf('.')));
  return NAME.test(name) && name.length <= LONGEST_NAME ? name : undefined;
}

const isOf = ({ digest }: Session, key: string): boolean =>
  timingSafeEqual(Buffer.from(digest, 'hex'), Buffer.from(digestOf(key), 'hex'));

/** A clock that is set back keeps nothing alive. */
const isLive = ({ began, used }: Session, now: Date): boolean =>
  Math.abs(since(began, now)) < MOST_AGE_MS && Math.abs(since(used, now)) < MOST_IDLE_MS;

const since = (moment: string, now: Date): number => now.getTime() - Date.parse(moment);

const usedAt = (session: Session, now: Date): Session => ({ ...session, used: now.toISOString() });

/** What is not understood lets nobody in, and keeps nobody from signing in again. */
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
