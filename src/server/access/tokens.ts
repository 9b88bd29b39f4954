/** Tokens by name, each with a role. Only digests are stored and compared. Pure. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import { type Checked, list, literal, object, saying, text, upTo } from '../../formats/shape.ts';
import type { Json } from '../store/store.ts';

/** A viewer can see everything and change nothing; an operator has all rights. */
export const ROLES = ['machine', 'viewer', 'operator'] as const;
export type AccessRole = (typeof ROLES)[number];

export const NAME = /^[a-z0-9][a-z0-9.-]*$/;
export const LONGEST_NAME = 64;

/** The holder of a token. */
export const HOLDER = {
  name: saying('its name in the audit log', upTo(LONGEST_NAME, text(NAME, 'a name'))),
  role: literal(...ROLES),
};
export type TokenHolder = Readonly<{ [K in keyof typeof HOLDER]: Checked<(typeof HOLDER)[K]> }>;
/** A token as stored: its SHA-256 in hex. */
export type Token = TokenHolder & Readonly<{ digest: string; added: string }>;

export const MOST_TOKENS = 200;

/** Without a known token, nothing is permitted. */
export const mayAct = (holder: TokenHolder | undefined, role: AccessRole): boolean =>
  holder !== undefined && (holder.role === role || holder.role === 'operator');

/** The holder of the token with this digest; undefined if there is none. Compares with every token, to take constant time. */
export function holderWith(tokens: readonly Token[], digest: string): TokenHolder | undefined {
  const given = Buffer.from(digest, 'hex');
  const [found] = tokens.filter((one) => timingSafeEqual(given, Buffer.from(one.digest, 'hex')));
  return found && { name: found.name, role: found.role };
}

/** The token in an Authorization header; also accepted as the password of any user, for clients configured with only a URL, such as Zincati. */
export function tokenIn(authorization = ''): string | undefined {
  const [, bearer] = /^Bearer ([\x21-\x7e]{1,256})$/.exec(authorization) ?? [];
  const [, basic = ''] = /^Basic ([A-Za-z0-9+/]{1,512}={0,2})$/.exec(authorization) ?? [];
  const [, password] = /^[^:]*:([\x21-\x7e]{1,256})$/.exec(Buffer.from(basic, 'base64').toString('latin1')) ?? [];
  return bearer ?? password;
}

export const digestOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Parses the document of tokens. A damaged one admits nobody. */
export function tokensFrom(document: Json | undefined): readonly Token[] {
  if (document === undefined) return [];
  try {
    return SHAPE(document, 'the document').tokens;
  } catch (error) {
    throw new UpdateError('store-document-invalid', `The document of the tokens is damaged: ${error}`);
  }
}

/** Tokens that could not be read back would lock everybody out. */
export const tokensJson = (tokens: readonly Token[]): Json => ({
  schema: 1,
  tokens: tokensFrom({ schema: 1, tokens }),
});

const SHAPE = object({
  schema: literal(1),
  tokens: list(object({ ...HOLDER, digest: text(/^[0-9a-f]{64}$/), added: text(/^[\dT:.-]{20,30}Z$/) }), MOST_TOKENS),
});
