/** `server token add`, `list` and `revoke`: tokens of a fleet server. */

import { UpdateError } from '../../errors.ts';
import { list, literal, object, text, words } from '../../formats/shape.ts';
import { LONGEST_NAME, NAME, ROLES } from '../../server/access/tokens.ts';
import type { Command, Input } from '../command.ts';
import { askServer, readAnswer, SERVER_OPTIONS } from './client.ts';

const WHERE = '--server https://updates.example --token-file operator.token';

export const serverTokenAdd: Command = {
  name: 'server token add',
  summary: 'create a token for a viewer, an operator or hosts, and show it once',
  examples: [`updatectl server token add prometheus --role viewer ${WHERE}`],
  arguments: [{ name: '<name>', summary: 'its name in the audit log' }],
  options: [{ flags: '--role <role>', summary: ROLES.join(', '), required: true }, ...SERVER_OPTIONS],
  run: async (context, input) => {
    const role = ROLES.find((one) => one === input.given('role'));
    if (role === undefined) throw new UpdateError('usage', `--role takes ${ROLES.join(', ')}.`);
    const name = nameFrom(input);
    const added = readAnswer(ADDED, await askServer(context, input, 'POST', '/v1/tokens', { name, role }));
    context.out.line(`The token of ${name}, shown only once: ${added.token}`);
    context.out.document({ schema: 1, name, role, token: added.token });
    return undefined;
  },
};

export const serverTokenList: Command = {
  name: 'server token list',
  summary: 'list the tokens and their roles',
  examples: [`updatectl server token list ${WHERE}`],
  options: SERVER_OPTIONS,
  run: async (context, input) => {
    const { tokens } = readAnswer(TOKENS, await askServer(context, input, 'GET', '/v1/tokens'));
    context.out.table([['NAME', 'ROLE', 'ADDED'], ...tokens.map(({ name, role, added }) => [name, role, added])]);
    context.out.document({ schema: 1, tokens });
    return undefined;
  },
};

export const serverTokenRevoke: Command = {
  name: 'server token revoke',
  summary: 'revoke a token',
  examples: [`updatectl server token revoke prometheus ${WHERE}`],
  arguments: [{ name: '<name>', summary: 'the name of the token' }],
  options: SERVER_OPTIONS,
  run: async (context, input) => {
    const name = nameFrom(input);
    const { tokens } = readAnswer(TOKENS, await askServer(context, input, 'DELETE', `/v1/tokens/${name}`));
    context.out.line(`The token of ${name} is revoked.`);
    context.out.document({ schema: 1, tokens });
    return undefined;
  },
};

function nameFrom(input: Input): string {
  const name = input.argument(0);
  if (NAME.test(name) && name.length <= LONGEST_NAME) return name;
  throw new UpdateError(
    'usage',
    `“${name}” cannot be the name of a token: use lower-case letters, digits, dots and dashes.`,
  );
}

const line = words(300);
const ADDED = object({ token: text(/^[\x21-\x7e]{1,256}$/) }, 'ignore');
const TOKENS = object(
  { tokens: list(object({ name: line, role: literal(...ROLES), added: line }, 'ignore'), 1000) },
  'ignore',
);
