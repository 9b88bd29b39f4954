/** `rollout machines`: the machines of a rollout, their addresses, and their progress. */

import { list, object, optional, text, words } from '../../formats/shape.ts';
import { MACHINE_PATTERN, STATE_KINDS } from '../../model.ts';
import type { Command, Context, Input } from '../command.ts';
import { askServer, readAnswer, SERVER_OPTIONS } from '../server/client.ts';
import { relative } from '../units.ts';

export const rolloutMachines: Command = {
  name: 'rollout machines',
  summary: 'list or search the machines of a fleet: names, addresses, versions',
  description: 'Asks the fleet server. Machines choose their own names; only the id is unique.',
  examples: [
    'updatectl rollout machines web-17 --server https://updates.example --token-file viewer.token',
    'updatectl rollout machines --group db --runs 2.1.0 --server https://updates.example --token-file viewer.token --json',
  ],
  arguments: [{ name: '[text]', summary: 'part of the name or address' }],
  options: [
    { flags: '--id <digits>', summary: 'the start of the id' },
    { flags: '--runs <version>', summary: 'the version that runs there' },
    { flags: '--group <name>', summary: 'the group' },
    { flags: '--state <state>', summary: STATE_KINDS.join(', ') },
    { flags: '--most <n>', summary: 'maximum number to show', default: '200' },
    ...SERVER_OPTIONS,
  ],
  run: async (context, input) => {
    const most = input.whole('most', 1) ?? 200;
    const { machines, isAll } = await find(context, input, most);
    const now = context.clock.now();
    context.out.table([
      ['NAME', 'ID', 'RUNS', 'STATE', 'GROUP', 'ADDRESS', 'SYSTEM', 'LAST HEARD OF'],
      ...machines.map(({ machine, host = {}, running, state, group, lastSeen }) => [
        ...[host.name ?? '–', machine, running.version, state, group, host.address ?? '–', host.os ?? '–'],
        relative(lastSeen, now),
      ]),
    ]);
    if (machines.length === 0) context.out.line('No machine matches.');
    else if (!isAll) context.out.line(`Only the first ${most} are shown; there are more.`);
    context.out.document({ schema: 1, machines, all: isAll });
    return undefined;
  },
};

type Found = Readonly<{ machines: readonly ReturnType<typeof MACHINE>[]; isAll: boolean }>;

/** Page by page, since the server examines a limited number per request. */
async function find(context: Context, input: Input, most: number): Promise<Found> {
  const wanted = { name: input.optional(0), version: input.text('runs'), ...chosen(input) };
  const given = Object.entries(wanted).filter((one): one is [string, string] => one[1] !== undefined);
  const machines: ReturnType<typeof MACHINE>[] = [];
  for (let after: string | undefined, more = true; more && machines.length < most; ) {
    const limit = String(Math.min(PAGE, most - machines.length));
    const query = new URLSearchParams([...given, ['limit', limit], ...(after === undefined ? [] : [['after', after]])]);
    const page = readAnswer(MACHINES, await askServer(context, input, 'GET', `/v1/machines?${query}`));
    machines.push(...page.documents.map(({ document }) => document));
    after = page.next;
    more = after !== undefined;
    if (!more) return { machines, isAll: true };
  }
  return { machines, isAll: false };
}

const chosen = (input: Input) => ({ id: input.text('id'), group: input.text('group'), state: input.text('state') });

/** Even machines with the longest records fit an answer in this number. */
const PAGE = 50;

const line = words(600);
const id = text(MACHINE_PATTERN);
const MACHINE = object(
  {
    machine: id,
    host: optional(
      object(
        {
          name: optional(line),
          address: optional(line),
          os: optional(line),
          kernel: optional(line),
          architecture: optional(line),
        },
        'ignore',
      ),
    ),
    running: object({ version: line }, 'ignore'),
    group: line,
    channel: line,
    state: line,
    lastSeen: line,
  },
  'ignore',
);
const MACHINES = object(
  { documents: list(object({ document: MACHINE }, 'ignore'), PAGE), next: optional(id) },
  'ignore',
);
