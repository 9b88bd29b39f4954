/** `server`: serves a repository and keeps count of the hosts that follow it. */

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
import { createApp, type Listens, type Shows, showIdentity } from '../../server/http/app.ts';
import { type Ends, endServer } from '../../server/http/ending.ts';
import type { Store } from '../../server/store/store.ts';
import { watchedStore } from '../../server/store/watched.ts';
import { serveFiles } from '../../system/http/served-file.ts';
import { takePassedSocket } from '../../system/process/passed-socket.ts';
import { hearStrays } from '../../system/process/process.ts';
import type { Command, Context, Input } from '../command.ts';
import { minutesFrom } from '../duration.ts';
import { readGiven } from '../given-file.ts';
import { REPOSITORY_OPTION, repositoryFolder } from '../publish/publishing.ts';
import { untilStopped } from '../until-stopped.ts';
import { aborting, BRAKE_OPTIONS, brakeSigners, signingIn, signUntilStopped } from './brake.ts';
import { byClocks, clocksOf, compareUntilStopped } from './clocks.ts';
import { watchUntilStopped } from './etcd.ts';
import { openStore, STORE_OPTIONS } from './store.ts';
import { TLS_OPTIONS, type Tls, tlsFrom } from './tls.ts';

export const server: Command = {
  name: 'server',
  summary: 'serve a repository, and limit and watch its rollouts',
  description:
    'Hosts check in here before they begin, so that no more are under way than a rollout allows. Everything is kept in one file below --state, or in an etcd that any number of servers share. It cannot make a host install anything that is not signed.',
  examples: [
    'updatectl server --repository /srv/updates --state /var/lib/tandem-server',
    'updatectl server --repository /srv/updates --etcd https://etcd1:2379 --etcd https://etcd2:2379 --etcd https://etcd3:2379',
    'updatectl server --repository /srv/updates --state /var/lib/tandem-server --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --machine-token token',
  ],
  options: [
    REPOSITORY_OPTION,
    ...STORE_OPTIONS,
    { flags: '--listen <address:port>', summary: 'where it can be reached', default: '127.0.0.1:8080' },
    ...TLS_OPTIONS,
    {
      flags: '--machine-token <file>',
      summary: 'holds the token that hosts must have; without it the first start makes one',
    },
    {
      flags: '--machines-without-secret',
      summary: 'machines that have shown a secret may leave it out again, as agents do that know of none',
    },
    {
      flags: '--forget-after <time>',
      summary: 'machines that have not been heard of for so long are counted no more, and forgotten; 0d is never',
      default: '90d',
    },
    { flags: '--machines-without-token', summary: 'whoever reaches the server may speak as any host' },
    {
      flags: '--new-operator-token',
      summary: 'make the first operator’s token anew: the one before is good no longer',
    },
    {
      flags: '--host-rate <n>',
      summary: 'how many requests a second the hosts of one address may send; 0 is no limit',
      default: '200',
    },
    {
      flags: '--trust-proxy <address>',
      summary: 'a proxy before the server, whose X-Forwarded-For is believed; repeat for each',
      repeat: true,
    },
    ...BRAKE_OPTIONS,
    { flags: '--lock-max <n>', summary: 'how many hosts of a group may reboot at once (FleetLock)', default: '1' },
    { flags: '--lock-max-failures <n>', summary: 'how many overdue hosts a group puts up with', default: '0' },
    { flags: '--lock-deadline <time>', summary: 'when a host that reboots is overdue', default: '1h' },
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
    using _strays = hearStrays((reason) => {
      const { code, message } = asUpdateError(reason);
      figures.strays.add({});
      context.log.error({ code }, `a failure that no request waited for: ${message}`);
    });
    const { store: opened, place, etcd } = await openStore(context, input);
    const watched = watchedStore(opened, context.log, () => context.clock.now());
    await using store = measuredStore(watched, figures, () => context.clock.monotonicMs());
    const now = () => context.clock.now();
    const pause = () => context.clock.sleep(0);
    // A file has one server, and one clock.
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
    log.warn({ host: at.address }, 'tokens travel in the clear: give a certificate, or --tls-own');
}

/** Ends it when the command is told to stop, or is over. */
function endedBy(context: Context, app: Ends): AsyncDisposable {
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ended ??= endInTime(context, app);
    return ended;
  };
  // Its failure is heard of where the command waits for the end.
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
/** A download that is cut off is resumed at the next server; a check-in is asked again. */
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

/**
 * The first tokens are made by the first server that starts, and shown this once: only their digests are kept. A server that does not get as
 * far as serving has made and shown none, nor taken one back.
 */
async function showFirstTokens({ out }: Context, input: Input, access: Access): Promise<void> {
  const { operator, machine } = await access.begin({ renew: input.flag('new-operator-token') });
  if (operator !== undefined) out.line(`The operator's token, shown this once: ${operator}`);
  if (machine !== undefined) out.line(`The token of hosts, shown this once: ${machine}`);
}

async function machinesFrom(context: Context, input: Input): Promise<AccessOptions['machines']> {
  const file = input.text('machine-token');
  const isOpen = input.flag('machines-without-token');
  if (file === undefined) return isOpen ? 'anybody' : undefined;
  if (isOpen) throw new UpdateError('usage', 'Give either --machine-token or --machines-without-token.');
  const token = new TextDecoder().decode(await readGiven(context, file)).trim();
  if (!/^[\x21-\x7e]{16,256}$/.test(token))
    throw new UpdateError('usage', `${file} holds no token: one line of 16 to 256 letters, digits and signs.`);
  return { digest: digestOf(token) };
}

/** A store that does not answer is not waited for by a server that has been told to end. */
async function unlessStopped<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const stop = (): void => stopped.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  return await Promise.race([work(), stopped.promise]).finally(() => signal.removeEventListener('abort', stop));
}

/** The fleet is counted now and then, so that its curve has no holes while nobody looks at it. */
const countUntilStopped = (context: Context, census: Census): Promise<void> =>
  untilStopped(context, COUNT_MS, census.keep, ({ code, message }) =>
    context.log.warn({ code }, `the fleet could not be counted: ${message}`),
  );

const COUNT_MS = 60_000;

/** What hosts are shown is looked at every hour; one that cannot be read is not shown, and the last one is. */
async function showUntilStopped({ clock, signal, log }: Context, tls: Tls, app: Shows): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(SHOW_MS, signal).catch(() => undefined);
    await tls.identity().then(
      (identity) => showIdentity(app, identity),
      (error: unknown) => log.error({ code: asUpdateError(error).code }, asUpdateError(error).message),
    );
  }
}

const SHOW_MS = 3_600_000;
