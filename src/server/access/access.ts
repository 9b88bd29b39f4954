/** The tokens of the fleet: identification, and operators' changes. */

import { type AuditEntry, audited } from '../fleet/audit.ts';
import type { Json, Key, Store } from '../store/store.ts';
import {
  type AccessRole,
  digestOf,
  holderWith,
  MOST_TOKENS,
  type Token,
  type TokenHolder,
  tokensFrom,
  tokensJson,
} from './tokens.ts';

/** The public part of a token. */
export type ShownToken = TokenHolder & Readonly<{ added: string }>;

export type Added = Readonly<{ token: string }> | Readonly<{ refused: 'token-exists' | 'tokens-full' }>;

export type Unrevoked = 'token-unknown' | 'token-last';

export type Access = Readonly<{
  /** Hosts need no token. */
  isOpenToHosts: boolean;
  /** Throws if hosts cannot be identified at present. */
  readyForHosts(): Promise<void>;
  /** The holder of a token; undefined if it is unknown. A revoked token stays valid for a few seconds. */
  holderOf(token: string | undefined): Promise<TokenHolder | undefined>;
  /** The holder of the stored token with this digest. */
  holderWith(digest: string): Promise<TokenHolder | undefined>;
  all(): Promise<readonly ShownToken[]>;
  /** Creates a token; only this answer contains it. */
  add(holder: TokenHolder, entry?: AuditEntry): Promise<Added>;
  revoke(name: string, entry?: AuditEntry): Promise<Unrevoked | undefined>;
  /** Creates the tokens that a server needs to be usable; returns all of them, with the new secrets. */
  begin(options: Readonly<{ renew: boolean }>): Promise<Readonly<Partial<Record<AccessRole, string>>>>;
}>;

export type AccessOptions = Readonly<{
  store: Store;
  now(): Date;
  /** A new secret. */
  secret(): string;
  /** What hosts present: a token with this digest, nothing, or (undefined) a token from the store. */
  machines?: Readonly<{ digest: string }> | 'anybody';
}>;

/** The tokens in `store`, cached for five seconds. */
export function createAccess({ store, now, secret, machines }: AccessOptions): Access {
  let known: Readonly<{ tokens: Promise<readonly Token[]>; at: number }> | undefined;
  const tokens = (): Promise<readonly Token[]> => {
    const at = now().getTime();
    if (known === undefined || Math.abs(at - known.at) > FRESH_MS) {
      const read = store.read(KEY).then(tokensFrom);
      known = { tokens: read, at };
      // A failed read is retried by the next request.
      read.catch(() => {
        known = undefined;
      });
    }
    return known.tokens;
  };
  const change = async <T>(
    entry: AuditEntry | undefined,
    revise: (before: readonly Token[]) => Readonly<{ after?: readonly Token[]; result: T }>,
  ) => {
    const result = await audited(store, entry, [KEY], ([document]) => {
      const { after, result } = revise(tokensFrom(document));
      return { write: [after && tokensJson(after)], result };
    });
    known = undefined;
    return result;
  };
  const whose = async (digest: string) => holderWith(await tokens(), digest);
  const given = typeof machines === 'object' ? [{ ...HOSTS, digest: machines.digest, added: '' }] : [];
  return {
    isOpenToHosts: machines === 'anybody',
    readyForHosts: async () => {
      if (machines === undefined) await tokens();
    },
    // Hosts send most requests, and their token may not need the store.
    holderOf: async (token) =>
      token === undefined ? undefined : (holderWith(given, digestOf(token)) ?? (await whose(digestOf(token)))),
    holderWith: whose,
    all: async () => (await tokens()).map(({ name, role, added }) => ({ name, role, added })),
    add: (holder, entry) => {
      const token = secret();
      return change<Added>(entry, (before) => {
        if (before.some(({ name }) => name === holder.name)) return { result: { refused: 'token-exists' } };
        if (before.length >= MOST_TOKENS) return { result: { refused: 'tokens-full' } };
        return { after: [...before, entryOf(holder, token, now())], result: { token } };
      });
    },
    revoke: (name, entry) =>
      change<Unrevoked | undefined>(entry, (before) => {
        const after = before.filter((one) => one.name !== name);
        if (after.length === before.length) return { result: 'token-unknown' };
        return hasOperator(after) ? { after, result: undefined } : { result: 'token-last' };
      }),
    begin: async ({ renew }) => {
      const made = { operator: secret(), machine: secret() };
      const by = { who: 'the server', from: 'its start', about: 'the first tokens' };
      return change({ at: now().toISOString(), what: 'token-added', ...by }, (before) => {
        const needs = {
          operator: renew || !hasOperator(before),
          machine: machines === undefined && !before.some(({ role }) => role === 'machine'),
        };
        const first = [OPERATOR, HOSTS].filter(({ role }) => needs[role]);
        const kept = before.filter((one) => !first.some(({ name }) => name === one.name));
        const after = [...kept, ...first.map((holder) => entryOf(holder, made[holder.role], now()))];
        const result = Object.fromEntries(first.map(({ role }) => [role, made[role]]));
        return first.length === 0 ? { result } : { after, result };
      });
    },
  };
}

const KEY: Key = { kind: 'access', id: 'tokens' };

/** How long a server may not see the changes of another. */
const FRESH_MS = 5_000;

/** The holders of the first tokens. */
const OPERATOR = { name: 'operator', role: 'operator' } as const;
const HOSTS = { name: 'hosts', role: 'machine' } as const;

const hasOperator = (tokens: readonly Token[]): boolean => tokens.some(({ role }) => role === 'operator');

const entryOf = (holder: TokenHolder, token: string, now: Date): Token & Readonly<Record<string, Json>> => ({
  ...holder,
  digest: digestOf(token),
  added: now.toISOString(),
});
