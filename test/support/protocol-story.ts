/** What hosts and a server say to each other in a rollout, really said, written down as the page on the protocol shows it. */

import { createHash } from 'node:crypto';
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { limitsOf, policyOf, readRollout } from '../../src/rollout/document.ts';
import { digestOf } from '../../src/server/access/tokens.ts';
import type { ChannelState } from '../../src/server/fleet/fleet.ts';
import { NOW, TestFleet } from '../server/pages/fleet.ts';

/** One request and its answer. */
export type Exchange = Readonly<{
  name: string;
  method: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  body: unknown;
  status: number;
  type: string;
  answer: string;
  /** The headers of the answer that the protocol is about. */
  told: Readonly<Record<string, string>>;
}>;

type Asked = Readonly<{ method?: string; headers?: Record<string, string>; body?: unknown }>;

const TOLD = ['etag', 'cache-control', 'content-range', 'content-length', 'allow', 'retry-after', 'www-authenticate'];
const HOST = { authorization: 'Bearer TOKEN' };
const JSON_TYPE = { 'content-type': 'application/json' };
const [ONE, TWO, LATE] = [
  '0a4d55a8d778e5022fab701977c5d840',
  '1f3870be274f6c49b3e31a0c6728957f',
  'e4da3b7fbbce2345d7772b0674a318d5',
];

export async function tellStory(): Promise<readonly Exchange[]> {
  await using site = new TestFleet();
  site.channels = new Map([['stable', rolledOut()]]);
  site.tokens = { ...site.tokens, machine: digestOf('TOKEN') };
  await site.start();
  const content = 'the bytes of a bundle\n';
  // As TUF names a file whose digest it signs.
  const digest = createHash('sha256').update(content).digest('hex');
  const bundle = `/targets/releases/acme/${digest}.2.1.0.bundle`;
  site.file(bundle, content);
  utimesSync(join(site.top, bundle), NOW, NOW);
  const told: Exchange[] = [];
  const ask = async (name: string, path: string, asked: Asked = {}) =>
    told.push(await exchange(site.url, name, path, asked));
  const checkIn = (name: string, body: object, headers = HOST) =>
    ask(name, '/v1/check-in', { method: 'POST', headers: { ...headers, ...JSON_TYPE }, body });
  const lock = (name: string, verb: string, id: string) =>
    ask(name, `/v1/${verb}`, {
      method: 'POST',
      headers: { ...HOST, 'fleet-lock-protocol': 'true' },
      body: { client_params: { id, group: 'lab' } },
    });

  await checkIn('quiet', saying(ONE, { group: 'lab' }));
  await checkIn('go', saying(ONE, { group: 'lab', wants: '2.1.0' }));
  await checkIn('full', saying(TWO, { group: 'lab', wants: '2.1.0' }));
  await checkIn('later', saying(LATE, { wants: '2.1.0' }));
  await site.locks.setMax('lab', 1);
  await lock('lock', 'pre-reboot', ONE);
  await lock('lock-full', 'pre-reboot', TWO);
  site.now = new Date(NOW.getTime() + 600_000);
  const at = '2030-01-02T03:11:42.120Z';
  const done = { running: { version: '2.1.0', counter: 21 }, since: at };
  await checkIn(
    'updated',
    saying(ONE, { group: 'lab', ...done, outcome: { at, result: 'updated', version: '2.1.0' } }),
  );
  await lock('unlock', 'steady-state', ONE);
  const why = { code: 'probe-failed', reason: 'the probe http-ready failed 3 times: connection refused' };
  const outcome = { at, result: 'rolled-back', version: '2.1.0', ...why };
  await checkIn('rolled-back', saying(TWO, { group: 'lab', since: at, outcome }));
  await checkIn('braked', saying(TWO, { group: 'lab', since: at, wants: '2.1.0', outcome }));
  await checkIn('invalid', { schema: 1, machine: 'my laptop' });
  await checkIn('denied', saying(ONE), { authorization: 'Bearer WRONG' });
  await ask('file', bundle);
  const tag = told.at(-1)?.told['etag'] ?? '';
  await ask('range', bundle, { headers: { range: 'bytes=4-8', 'if-range': tag } });
  await ask('unchanged', bundle, { headers: { 'if-none-match': tag } });
  await ask('beyond', bundle, { headers: { range: 'bytes=100-' } });
  await ask('missing', '/metadata/9.root.json');
  return told;
}

/** A test's lab comes first, one host at a time. */
function rolledOut(): ChannelState {
  const document = readRollout(
    {
      schema: 1,
      start: '2030-01-01T12:00:00Z',
      canaries: { groups: ['lab'], soakMinutes: 1440 },
      ramp: { minutes: 1440, steps: 0 },
      limits: { inFlight: 1, failures: 0, patienceMinutes: 120 },
    },
    'stable',
  );
  const policy = policyOf(document, { version: '2.1.0', counter: 21 } as never);
  return { id: '2.1.0 2030-01-01T12:00:00Z', version: '2.1.0', offered: { policy, limits: limitsOf(document) } };
}

const saying = (machine: string | undefined, more: object = {}) => ({
  schema: 1,
  machine,
  group: 'default',
  product: 'acme',
  channel: 'stable',
  agent: '0.1.0',
  running: { version: '2.0.3', counter: 20 },
  confirmed: true,
  state: 'idle',
  since: '2030-01-01T06:00:00.000Z',
  ...more,
});

async function exchange(url: string, name: string, path: string, asked: Asked): Promise<Exchange> {
  const { method = 'GET', headers = {}, body } = asked;
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(url + path, { method, headers, ...sent });
  const told = Object.fromEntries(
    TOLD.flatMap((key) => (answer.headers.has(key) ? [[key, answer.headers.get(key) ?? '']] : [])),
  );
  const type = answer.headers.get('content-type') ?? '';
  return { name, method, path, headers, body, status: answer.status, type, answer: await answer.text(), told };
}

/** As it stands in the page. */
export function writtenDown({ method, path, headers, body, status, type, answer, told }: Exchange): string {
  const isJson = type.startsWith('application/json');
  const { 'content-length': _, ...rest } = told;
  const shown = isJson ? rest : told;
  const said = isJson ? spread(JSON.parse(answer)) : answer.trimEnd();
  const asked = body === undefined ? [] : ['', spread(body)];
  const answered = said === '' ? [] : ['', said];
  return [`${method} ${path}`, ...lines(headers), ...asked, '', `→ ${status}`, ...lines(shown), ...answered, ''].join(
    '\n',
  );
}

/** A field a line, and what is in it on the same. */
function spread(value: unknown): string {
  const fields = Object.entries(value as object).map(([name, one]) => `  "${name}": ${flat(one)}`);
  return fields.length === 0 ? '{}' : `{\n${fields.join(',\n')}\n}`;
}

function flat(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value)
    .map(([name, one]) => `"${name}": ${flat(one)}`)
    .join(', ')} }`;
}

const lines = (headers: Readonly<Record<string, string>>): string[] =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
