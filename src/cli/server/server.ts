/** `server`: serves a repository and tracks the hosts that follow it. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import { MOST_HOLDERS } from '../../reboot/gates/locks/semaphore-document.ts';
import { type Access, type AccessOptions, createAccess } from '../../server/access/access.ts';
import { createLimits } from '../../server/access/rate-limits.ts';
import { createSessions } from '../../server/access/sessions.ts';
import { digestOf } from '../../server/access/tokens.ts';
import { createFigures, measuredStore } from '../../server/figures/figures.ts';
import { type Census, createCensus } from '../../server/fleet/census.ts';
import { createPublished } from '../../server/fleet/channels.ts';
import { createExpiry, type Expiry, NO_EXPIRY } from '../../server/fleet/expiry.ts';
import { createFleet } from '../../server/fleet/fleet.ts';
import { createRebootLocks, type LockDefaults } from '../../server/fleet/reboot-locks.ts';
import { createApp, type Listens, showIdentity, type TlsServer } from '../../server/http/app.ts';
import { type Ends, endServer } from '../../server/http/ending.ts';
import type { Store } from '../../server/store/store.ts';
import { watchedStore } from '../../server/store/watched.ts';
import { serveFiles } from '../../system/http/served-file.ts';
import { takePassedSocket } from '../../system/process/passed-socket.ts';
import { onUnhandledRejection } from '../../system/process/process.ts';
import type { Command, Context, Input } from '../command.ts';
import { minutesFrom } from '../duration.ts';
import { readGiven } from '../given-file.ts';
import { REPOSITORY_OPTION, repositoryFolder } from '../publish/publishing.ts';
import { untilStopped } from '../until-stopped.ts';
import { aborting, BRAKE_OPTIONS, brakeSigners, signingIn, signUntilStopped } from './brake.ts';
import { byClocks, clocksOf, compareUntilStopped } from './clocks.ts';
import { watchUntilStopped } from './etcd.ts';
import { FIRST_TOKENS_OPTIONS, showFirstTokens } from './first-tokens.ts';
import { openStore, STORE_OPTIONS } from './store.ts';
import { TLS_OPTIONS, type Tls, tlsFrom } from './tls.ts';

export const server: Command = {
  name: 'server',
  summary: 'serve a repository, and limit and watch its rollouts',
  description:
    'Hosts check in before they begin, so that no more update at once than a rollout allows. The server keeps everything in one file in --state, or in an etcd that any number of servers can share. It cannot make a host install anything unsigned.',
  examples: [
    'updatectl server --repository /srv/updates --state /var/lib/tandem-server',
    'updatectl server --repository /srv/updates --etcd https://etcd1:2379 --etcd https://etcd2:2379 --etcd https://etcd3:2379',
    'updatectl server --repository /srv/updates --state /var/lib/tandem-server --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --machine-token token',
  ],
  options: [
    REPOSITORY_OPTION,
    ...STORE_OPTIONS,
    { flags: '--listen <address:port>', summary: 'address to listen on', default: '127.0.0.1:8080' },
    ...TLS_OPTIONS,
    {
      flags: '--machine-token <file>',
      summary: 'file with the token that hosts must send; without it, the first start creates one',
    },
    {
      flags: '--machines-without-secret',
      summary: 'accept check-ins without a secret from machines that have one, as older agents send them',
    },
    {
      flags: '--forget-after <time>',
      summary: 'stop counting and forget machines not heard from for this long; 0d: never',
      default: '90d',
    },
    { flags: '--machines-without-token', summary: 'let anyone who reaches the server act as any host' },
    ...FIRST_TOKENS_OPTIONS,
    {
      flags: '--host-rate <n>',
      summary: 'requests per second accepted from the hosts of one address; 0: no limit',
      default: '200',
    },
    {
      flags: '--trust-proxy <address>',
      summary: 'a proxy in front of the server, whose X-Forwarded-For is trusted; repeat for each',
      repeat: true,
    },
    ...BRAKE_OPTIONS,
    { flags: '--lock-max <n>', summary: 'hosts of a group that may reboot at once (FleetLock)', default: '1' },
    { flags: '--lock-max-failures <n>', summary: 'overdue hosts that a group tolerates', default: '0' },
    { flags: '--lock-deadline <time>', summary: 'time after which a rebooting host is overdue', default: '1h' },
  ],
  run: async (context, input) => {
    const repository = repositoryFolder(context, input);
    const { host, port } = addressFrom(input.given('listen'));
    const fd = takePassedSocket();
    const where = fd === undefined ? { host, port } : { host, fd };
    const tls = await tlsFrom(context, input, host);
    const published = createPublished(context.files, repository);
    const channels = async () => (await published()).channels;
    const signers = await brakeSigners(context, input, repository);
    const revise = signingIn(context, repository, signers);
    const figures = createFigures();
    using _strays = onUnhandledRejection((reason) => {
      const { code, message } = asUpdateError(reason);
      figures.strays.add({});
      context.log.error({ code }, `a failure outside of any waiting request: ${message}`);
    });
    const { store: opened, place, etcd } = await openStore(context, input);
    const watched = watchedStore(opened, context.log, () => context.clock.now());
    await using store = measuredStore(watched, figures, () => context.clock.monotonicMs());
    const now = () => context.clock.now();
    const pause = () => context.clock.sleep(0);
    // A store in a file has one server, so one clock.
    const clocks = etcd ? await clocksOf(context, store) : undefined;
    const rules = {
      maySilent: input.flag('machines-without-secret'),
      ...(clocks ? { mayJudge: clocks.mayJudge } : {}),
    };
    const kept = expiryOf(context, input, store);
    const expiry = clocks ? byClocks(clocks, kept) : kept;
    const census = createCensus(store, { now, pause, expiry });
    const told = (entry: object): void => context.log.warn(entry, 'audit');
    const fleet = createFleet(store, async (name) => (await channels()).get(name), told, { ...rules, ...expiry });
    const access = await accessTo(context, input, store);
    const app = await createApp({
      fleet,
      locks: createRebootLocks(store, lockDefaults(input), rules),
      repository,
      serve: serveFiles(),
      access,
      store,
      channels,
      expires: async () => (await published()).expires,
      figures,
      lastWrite: watched.lastWrite,
      more: () => [...(etcd?.metrics() ?? []), ...(clocks?.metrics() ?? [])],
      now,
      log: context.log,
      limits: createLimits(input.whole('host-rate') ?? 0, () => context.clock.monotonicMs()),
      proxies: input.list('trust-proxy').map(checkedProxy),
      pages: { census, pause, sessions: createSessions({ store, access, now, secret: secretFrom(context) }) },
      ...(signers.length > 0 ? { abort: aborting(revise, now) } : {}),
      ...(tls ? { tls: await tls.identity() } : {}),
    });
    await using _app = endedBy(context, app);
    context.signal.throwIfAborted();
    const address = await app.listen(where);
    await unlessStopped(context.signal, () => showFirstTokens(context, input, access));
    sayWhoMayListen(context, tls, app);
    context.out.line(`Serving ${repository} at ${address}; the fleet is in ${place}.`);
    await Promise.all([
      countUntilStopped(context, census),
      ...(etcd ? [watchUntilStopped(context, etcd)] : []),
      ...(clocks ? [compareUntilStopped(context, clocks)] : []),
      ...(tls ? [showUntilStopped(context, tls, app)] : []),
      ...(signers.length > 0 ? [signUntilStopped(context, { fleet, channels, revise })] : []),
    ]);
    return 0;
  },
};

function sayWhoMayListen({ out, log }: Context, tls: Tls | undefined, app: Listens): void {
  if (tls?.hint !== undefined) out.line(tls.hint);
  const at = app.addresses().find((one) => typeof one !== 'string');
  if (!tls && at && !isLoopback(at.address))
    log.warn({ host: at.address }, 'tokens travel unencrypted: pass --tls-cert and --tls-key, or --tls-own');
}

/** Ends the server when the command is stopped, or returns. */
function endedBy(context: Context, app: Ends): AsyncDisposable {
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ended ??= endInTime(context, app);
    return ended;
  };
  // The command reports a failure where it waits for the end.
  context.signal.addEventListener('abort', () => end().catch(() => {}), { once: true });
  return { [Symbol.asyncDispose]: end };
}

async function endInTime({ clock }: Context, app: Ends): Promise<void> {
  const over = new AbortController();
  const newcomers = clock.sleep(NEWCOMERS_MS, over.signal);
  await endServer(app, { newcomers, everybody: clock.sleep(GRACE_MS, over.signal) });
  over.abort();
}

const NEWCOMERS_MS = 250;
/** A download cut off here resumes at the next server; a check-in is sent again. */
const GRACE_MS = 5_000;

function addressFrom(text: string): Readonly<{ host: string; port: number }> {
  const [, host, digits] = /^\[?([^\]]+)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(digits) > 65_535)
    throw new UpdateError('usage', `--listen takes an address and a port, like 0.0.0.0:8443, not “${text}”.`);
  return { host, port: Number(digits) };
}

const isLoopback = (host: string): boolean => /^(localhost|127\..*|::1)$/.test(host);

/** An address, or a network of them. */
function checkedProxy(text: string): string {
  const [, address = '', bits = '0'] = /^([\da-fA-F:.]{2,45})(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const isSix = address.includes(':');
  const isAddress = isSix ? URL.canParse(`http://[${address}]`) : URL.parse(`http://${address}`)?.hostname === address;
  if (address !== '' && isAddress && Number(bits) <= (isSix ? 128 : 32)) return text;
  throw new UpdateError('usage', `--trust-proxy takes an address or a network, like 192.0.2.1, not “${text}”.`);
}

const lockDefaults = (input: Input): LockDefaults => ({
  max: within(0, MOST_HOLDERS, '--lock-max', input.whole('lock-max') ?? 1),
  maxFailures: within(0, MOST_HOLDERS, '--lock-max-failures', input.whole('lock-max-failures') ?? 0),
  deadlineSeconds:
    60 * within(1, YEAR, '--lock-deadline', minutesFrom('--lock-deadline', input.given('lock-deadline'))),
});

/** In minutes. */
const YEAR = 365 * 24 * 60;

function within(least: number, most: number, option: string, value: number): number {
  if (value >= least && value <= most) return value;
  throw new UpdateError('usage', `${option} goes from ${least} to ${most}, not ${value}.`);
}

function expiryOf({ clock }: Context, input: Input, store: Store): Expiry {
  const afterMs = 60_000 * minutesFrom('--forget-after', input.given('forget-after'));
  if (afterMs === 0) return NO_EXPIRY;
  return createExpiry(store, { afterMs, now: () => clock.now(), monotonicMs: () => clock.monotonicMs() });
}

async function accessTo(context: Context, input: Input, store: Store): Promise<Access> {
  const machines = await machinesFrom(context, input);
  return createAccess({
    store,
    now: () => context.clock.now(),
    secret: secretFrom(context),
    ...(machines ? { machines } : {}),
  });
}

const secretFrom =
  ({ random }: Context) =>
  (): string =>
    Buffer.from(random.bytes(24)).toString('base64url');

async function machinesFrom(context: Context, input: Input): Promise<AccessOptions['machines']> {
  const file = input.text('machine-token');
  const isOpen = input.flag('machines-without-token');
  if (file === undefined) return isOpen ? 'anybody' : undefined;
  if (isOpen) throw new UpdateError('usage', 'Pass either --machine-token or --machines-without-token.');
  const token = new TextDecoder().decode(await readGiven(context, file)).trim();
  if (!/^[\x21-\x7e]{16,256}$/.test(token))
    throw new UpdateError(
      'usage',
      `${file} does not hold a token: one line of 16 to 256 letters, digits and punctuation.`,
    );
  return { digest: digestOf(token) };
}

/** A stopping server does not wait for a store that does not answer. */
async function unlessStopped<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const stop = (): void => stopped.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  return await Promise.race([work(), stopped.promise]).finally(() => signal.removeEventListener('abort', stop));
}

/** Counts the fleet regularly, so that its curve has no gaps while nobody looks at it. */
const countUntilStopped = (context: Context, census: Census): Promise<void> =>
  untilStopped(context, COUNT_MS, census.keep, ({ code, message }) =>
    context.log.warn({ code }, `the fleet could not be counted: ${message}`),
  );

const COUNT_MS = 60_000;

/** Reloads the certificate every hour; if it cannot be read, the last one stays in use. */
async function showUntilStopped({ clock, signal, log }: Context, tls: Tls, app: TlsServer): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(SHOW_MS, signal).catch(() => undefined);
    await tls.identity().then(
      (identity) => showIdentity(app, identity),
      (error: unknown) => log.error({ code: asUpdateError(error).code }, asUpdateError(error).message),
    );
  }
}

const SHOW_MS = 3_600_000;
