/** `server`: serves a repository and keeps count of the hosts that follow it. */

import { join, resolve } from 'node:path';
import { UpdateError } from '../errors.ts';
import { createChannels } from '../server/channels.ts';
import { createFleet } from '../server/fleet.ts';
import { createApp } from '../server/http/app.ts';
import { createRebootLocks, type LockDefaults } from '../server/reboot-locks.ts';
import { sqliteStore } from '../server/sqlite-store.ts';
import { digestOf, type TokenDigests } from '../server/tokens.ts';
import { replaceFile } from '../system/files.ts';
import { serveFile } from '../system/served-file.ts';
import { openDatabase } from '../system/sqlite.ts';
import type { Command, Context, Input } from './command.ts';
import { minutesFrom } from './duration.ts';
import { REPOSITORY_OPTION, repositoryFolder } from './publishing.ts';

export const server: Command = {
  name: 'server',
  summary: 'serve a repository, and bound and watch its rollouts',
  description:
    'Hosts check in here before they begin, so that no more are under way than a rollout allows. Everything is kept in one file below --state. It cannot make a host install anything that is not signed.',
  examples: [
    'updatectl server --repository /srv/updates --state /var/lib/tandem-server',
    'updatectl server --repository /srv/updates --state /var/lib/tandem-server --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --machine-token token',
  ],
  options: [
    REPOSITORY_OPTION,
    { flags: '--state <folder>', summary: 'where the server keeps what it knows', required: true },
    { flags: '--listen <address:port>', summary: 'where it can be reached', default: '127.0.0.1:8080' },
    { flags: '--tls-cert <file>', summary: 'its certificate, and the chain above it (PEM)' },
    { flags: '--tls-key <file>', summary: 'the key of the certificate (PEM)' },
    { flags: '--machine-token <file>', summary: 'holds the token that hosts must have' },
    { flags: '--lock-max <n>', summary: 'how many hosts of a group may reboot at once (FleetLock)', default: '1' },
    { flags: '--lock-max-failures <n>', summary: 'how many overdue hosts a group puts up with', default: '0' },
    { flags: '--lock-deadline <time>', summary: 'when a host that reboots is overdue', default: '1h' },
  ],
  run: async (context, input) => {
    const state = resolve(context.cwd, input.given('state'));
    const repository = repositoryFolder(context, input);
    await context.files.makeDir(state);
    const { host, port } = addressFrom(input.given('listen'));
    const tls = await tlsFrom(context, input);
    const channels = createChannels(context.files, repository);
    await using store = sqliteStore(openDatabase(join(state, 'fleet.db')));
    const app = await createApp({
      fleet: createFleet(store, async (name) => (await channels()).get(name)),
      locks: createRebootLocks(store, lockDefaults(input)),
      repository,
      serve: serveFile,
      tokens: await tokensFrom(context, input, state),
      channels,
      now: () => context.clock.now(),
      log: context.log,
      ...(tls ? { tls } : {}),
    });
    context.out.line(`Serving ${repository} at ${await app.listen({ host, port, signal: context.signal })}.`);
    await stopped(context.signal);
    await app.close();
    return 0;
  },
};

function addressFrom(text: string): Readonly<{ host: string; port: number }> {
  const [, host, digits] = /^\[?([^\]]+)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(digits) > 65_535)
    throw new UpdateError('usage', `--listen takes an address and a port, like 0.0.0.0:8443, not “${text}”.`);
  return { host, port: Number(digits) };
}

const lockDefaults = (input: Input): LockDefaults => ({
  max: input.whole('lock-max') ?? 1,
  maxFailures: input.whole('lock-max-failures') ?? 0,
  deadlineSeconds: minutesFrom('--lock-deadline', input.given('lock-deadline')) * 60,
});

async function tlsFrom(
  context: Context,
  input: Input,
): Promise<Readonly<{ key: Uint8Array; cert: Uint8Array }> | undefined> {
  const [cert, key] = [input.text('tls-cert'), input.text('tls-key')];
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new UpdateError('usage', '--tls-cert and --tls-key are given together.');
  return { cert: await readGiven(context, cert), key: await readGiven(context, key) };
}

/** The operator's token is made at the first start and shown this once: only its digest is kept. */
async function tokensFrom(context: Context, input: Input, state: string): Promise<TokenDigests> {
  const path = join(state, 'operator-token.sha256');
  const kept = await context.files.read(path);
  const file = input.text('machine-token');
  const machine =
    file === undefined ? {} : { machine: digestOf(new TextDecoder().decode(await readGiven(context, file)).trim()) };
  if (kept) return { ...machine, operator: new TextDecoder().decode(kept).trim() };
  const token = Buffer.from(context.random.bytes(24)).toString('base64url');
  await replaceFile(context.files, path, new TextEncoder().encode(`${digestOf(token)}\n`));
  context.out.line(`The operator's token, shown this once: ${token}`);
  return { ...machine, operator: digestOf(token) };
}

async function readGiven(context: Context, file: string): Promise<Uint8Array> {
  const path = resolve(context.cwd, file);
  const bytes = await context.files.read(path);
  if (!bytes) throw new UpdateError('usage', `${path} does not exist.`);
  return bytes;
}

const stopped = (signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
