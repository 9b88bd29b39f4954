/** `server machine forget` and `reset`: corrects a fleet server's record of a machine by hand. */

import { UpdateError } from '../../errors.ts';
import { list, object, optional, text, words } from '../../formats/shape.ts';
import { MACHINE_PATTERN } from '../../model.ts';
import type { Command, Context, Input } from '../command.ts';
import { askServer, readAnswer, SERVER_OPTIONS } from './client.ts';

const WHERE = '--server https://updates.example --token-file operator.token';
const MACHINE = { name: '<machine>', summary: 'its id, or its name if that is unique' };

export const serverMachineForget: Command = {
  name: 'server machine forget',
  summary: 'forget a machine that will not come back',
  description:
    'It is no longer counted, and its id is no longer bound to a secret. If it does come back, its next check-in registers it again. To free a lock that it holds, run `lock release`.',
  examples: [`updatectl server machine forget web-17 ${WHERE}`],
  arguments: [MACHINE],
  options: SERVER_OPTIONS,
  run: async (context, input) => {
    const id = await idFrom(context, input);
    await askServer(context, input, 'DELETE', `/v1/machines/${id}`);
    context.out.line(`${id} is forgotten.`);
    context.out.document({ schema: 1, forgotten: id });
    return undefined;
  },
};

export const serverMachineReset: Command = {
  name: 'server machine reset',
  summary: 'accept a new secret from a reinstalled machine',
  description:
    'A host creates its own secret and keeps it in agent.state_dir; the server binds the id to the first secret that it sees. After a reset, it binds the id to the next one.',
  examples: [`updatectl server machine reset web-17 ${WHERE}`],
  arguments: [MACHINE],
  options: SERVER_OPTIONS,
  run: async (context, input) => {
    const id = await idFrom(context, input);
    await askServer(context, input, 'DELETE', `/v1/machines/${id}/secret`);
    context.out.line(`The next secret that ${id} sends is bound to it.`);
    context.out.document({ schema: 1, reset: id });
    return undefined;
  },
};

async function idFrom(context: Context, input: Input): Promise<string> {
  const given = input.argument(0);
  if (MACHINE_PATTERN.test(given)) return given;
  const query = new URLSearchParams({ name: given.slice(0, 100), limit: '50' });
  const { documents, next } = readAnswer(FOUND, await askServer(context, input, 'GET', `/v1/machines?${query}`));
  const [found, ...others] = documents.filter(({ document }) => document.host?.name === given);
  if (found && others.length === 0 && next === undefined) return found.id;
  if (!found && next === undefined) throw new UpdateError('machine-unknown', `No machine has the name “${given}”.`);
  throw new UpdateError('usage', `“${given}” may be more than one machine: use its id.`);
}

const id = text(MACHINE_PATTERN);
const document = object({ host: optional(object({ name: optional(words(600)) }, 'ignore')) }, 'ignore');
const FOUND = object({ documents: list(object({ id, document }, 'ignore'), 50), next: optional(id) }, 'ignore');
