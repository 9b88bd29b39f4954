/** The configured fleet lock of this host. */

import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../config/config.ts';
import { UpdateError } from '../../errors.ts';
import { etcdLock } from '../../reboot/gates/locks/etcd-lock.ts';
import { fleetLock } from '../../reboot/gates/locks/fleetlock.ts';
import type { LockClient } from '../../reboot/gates/locks/lock-client.ts';
import type { Member } from '../../reboot/gates/locks/semaphore.ts';
import type { Clock } from '../../system/clock.ts';
import { createEtcd, type Etcd, type EtcdCare } from '../../system/etcd/etcd.ts';
import { createEtcdV2 } from '../../system/etcd/v2.ts';
import type { Files } from '../../system/files.ts';
import { inFormat } from '../../system/format.ts';
import { readHardwareId } from '../../system/hardware-id.ts';
import { createHttp, type Http, type HttpOptions } from '../../system/http/http.ts';
import { redactUrl } from '../../system/http/shown-address.ts';
import type { Log } from '../../system/log.ts';
import { readMachineId, readZincatiId } from '../../system/machine-id.ts';
import type { Random } from '../../system/random.ts';
import type { Identity } from '../find/host-identity.ts';
import { type KeptLock, keptLock } from './kept-lock.ts';
import { type LockPlace, lockPlacesFormat, openLockPlaces } from './lock-places.ts';

export type LockWorld = Readonly<{
  files: Files;
  clock: Clock;
  random: Random;
  version: string;
  signal: AbortSignal;
  /** The identity sent to the fleet server, if the lock is kept there. */
  identity?: Identity;
}>;

type LockConfig = Pick<Config, 'lock' | 'host' | 'fleet'>;

export async function openLock(
  config: LockConfig & Pick<Config, 'agent'>,
  world: LockWorld & Readonly<{ log: Pick<Log, 'warn'> }>,
): Promise<KeptLock> {
  const place = await placeOf(config, world.files);
  return keptLock({
    ...world,
    places: openLockPlaces(world.files, config.agent.stateDir),
    here: place && { place, client: await clientOf(config, world, place) },
    ...(await formerOf(place, world.files)),
    ...(place ? lookingAt(config) : {}),
    open: (one) => clientOf({ ...config, lock: settingsAt(one, config.lock) }, world, one),
  });
}

/** Only its own operator can inspect a lock that another program keeps. */
function lookingAt({ lock, fleet }: LockConfig): { command?: string } {
  if (lock.kind === 'etcd') return { command: 'updatectl lock status' };
  const server = fleet.url;
  if (server === undefined || URL.parse(server)?.origin !== URL.parse(lock.url ?? '')?.origin) return {};
  return { command: `updatectl lock status --server ${redactUrl(server)} --token-file FILE` };
}

/** The configured etcd, for commands that inspect the lock. */
export async function openEtcd({ lock }: LockConfig, world: LockWorld): Promise<Etcd & EtcdCare> {
  const { endpoints } = lock;
  if (endpoints.length === 0) throw missing('lock.endpoints', 'the addresses of etcd');
  const login = await loginOf(lock, world.files);
  return createEtcd({
    http: await httpOf(lock, world),
    endpoints,
    timeoutMs: ETCD_TIMEOUT_MS,
    start: world.random.fraction(),
    signal: world.signal,
    ...(login ? { login } : {}),
  });
}

/** Locks are divided by the groups of rollouts, unless configured otherwise. */
export const groupOf = ({ lock, host }: LockConfig): string => lock.group ?? host.group;

const ETCD_TIMEOUT_MS = 5_000;
/** airlock asks its etcd before it answers. */
const FLEETLOCK_TIMEOUT_MS = 60_000;
const LEASE_SECONDS = 180;
const ASK_MS = 2_000;
const ASK_FLEETLOCK_MS = 30_000;

/** The configured place and identity; undefined if none is configured. */
async function placeOf(config: LockConfig, files: Files): Promise<LockPlace | undefined> {
  const { kind, url, endpoints, id, caFile, certFile, keyFile, user, passwordFile } = config.lock;
  if (kind === 'none') return undefined;
  if (kind === 'fleetlock' && url === undefined) throw missing('lock.url', 'the address of the FleetLock server');
  const addresses = (kind === 'etcd' ? endpoints : [url ?? '']).map(withoutLogin);
  const name = kind === 'etcd' ? await readMachineId(files) : (id ?? (await readZincatiId(files)));
  const shown = { caFile, certFile, keyFile, user, passwordFile };
  return inFormat(lockPlacesFormat, [{ kind, addresses, group: groupOf(config), id: name, ...shown }]).value[0];
}

/** Before hosts used Zincati's ids, a FleetLock server knew them by the id of check-ins. */
async function formerOf(place: LockPlace | undefined, files: Files): Promise<{ former?: LockPlace }> {
  if (place?.kind !== 'fleetlock') return {};
  const id = await readMachineId(files).catch(() => undefined);
  return id === undefined ? {} : { former: { ...place, id } };
}

/** The settings for a place that may no longer be configured. */
function settingsAt(place: LockPlace, lock: Config['lock']): Config['lock'] {
  const { kind, addresses, group, caFile, certFile, keyFile, user, passwordFile } = place;
  const [address = ''] = addresses;
  const isSame = withoutLogin(lock.url ?? '') === address;
  const at = kind === 'etcd' ? { endpoints: [...addresses] } : { url: isSame ? lock.url : address };
  return { ...lock, kind, group, ...at, caFile, certFile, keyFile, user, passwordFile };
}

function withoutLogin(address: string): string {
  const url = URL.parse(address);
  return url ? Object.assign(url, { username: '', password: '' }).href : address;
}

const clientOf = (config: LockConfig, world: LockWorld, place: LockPlace): Promise<LockClient> =>
  place.kind === 'etcd' ? clientOfEtcd(config, world, place) : clientOfFleetLock(config, world, place);

async function clientOfEtcd(config: LockConfig, world: LockWorld, { group, id }: LockPlace): Promise<LockClient> {
  const { max, maxFailures, deadlineMinutes, endpoints, etcdOnHosts } = config.lock;
  return etcdLock({
    etcd: await openEtcd(config, world),
    older: createEtcdV2({ http: await httpOf(config.lock, world), endpoints, timeoutMs: ETCD_TIMEOUT_MS, ...world }),
    group,
    me: await memberOf(world.files, id),
    max,
    maxFailures,
    deadlineSeconds: deadlineMinutes * 60,
    leaseSeconds: LEASE_SECONDS,
    askMs: ASK_MS,
    ...(etcdOnHosts ? { members: endpoints.length } : {}),
    ...world,
  });
}

async function clientOfFleetLock(
  { lock }: LockConfig,
  world: LockWorld,
  { group, id }: LockPlace,
): Promise<LockClient> {
  const { random, signal, identity } = world;
  const login = await loginOf(lock, world.files);
  return fleetLock({
    http: await httpOf(lock, world),
    url: lock.url ?? '',
    ...(login ? { login } : {}),
    ...(identity ? { headers: () => identity(lock.url ?? '') } : {}),
    id,
    group,
    timeoutMs: FLEETLOCK_TIMEOUT_MS,
    askMs: ASK_FLEETLOCK_MS,
    random,
    signal,
  });
}

async function loginOf(
  { user, passwordFile }: Config['lock'],
  files: Files,
): Promise<Readonly<{ user: string; password: string }> | undefined> {
  const password = passwordFile === undefined ? undefined : await readNamed(files, 'lock.password_file', passwordFile);
  if ((user === undefined) !== (password === undefined))
    throw missing('lock.user and lock.password_file', 'both or neither');
  if (user === undefined || password === undefined) return undefined;
  return { user, password: new TextDecoder().decode(password).trimEnd() };
}

async function memberOf(files: Files, id: string): Promise<Member> {
  const hostname = new TextDecoder().decode(await files.read('/proc/sys/kernel/hostname')).trim();
  return { id, name: /^[\x21-\x7e]{1,255}$/.test(hostname) ? hostname : id, hardware: await readHardwareId(files) };
}

type Credentials = Pick<HttpOptions, 'ca' | 'identity'>;

/**
 * Its own trust and timeouts: the image server and the lock server are unrelated. Certificates are renewed while an agent
 * runs, so they are read before each request; if they cannot be read, the last ones are used.
 */
async function httpOf(
  lock: Config['lock'],
  { files, clock, version }: LockWorld,
): Promise<Pick<Http, 'post' | 'postStream'>> {
  const timing = {
    connectTimeoutMs: 5_000,
    idleTimeoutMs: FLEETLOCK_TIMEOUT_MS,
    userAgent: `tandem/${version}`,
    clock,
  };
  let known = await credentialsOf(lock, files);
  let http = createHttp({ ...timing, ...known });
  const current = async (): Promise<Http> => {
    const found = await credentialsOf(lock, files).catch(() => known);
    if (!isDeepStrictEqual(found, known)) http = createHttp({ ...timing, ...found });
    known = found;
    return http;
  };
  return {
    post: async (url, request) => (await current()).post(url, request),
    postStream: async function* (url, request) {
      yield* (await current()).postStream(url, request);
    },
  };
}

async function credentialsOf({ caFile, certFile, keyFile }: Config['lock'], files: Files): Promise<Credentials> {
  const ca = caFile === undefined ? undefined : await readNamed(files, 'lock.ca_file', caFile);
  const certificate = certFile === undefined ? undefined : await readNamed(files, 'lock.cert_file', certFile);
  const key = keyFile === undefined ? undefined : await readNamed(files, 'lock.key_file', keyFile);
  if ((certificate === undefined) !== (key === undefined))
    throw missing('lock.cert_file and lock.key_file', 'both or neither');
  return { ...(ca ? { ca } : {}), ...(certificate && key ? { identity: { certificate, key } } : {}) };
}

async function readNamed(files: Files, key: string, path: string): Promise<Uint8Array> {
  const bytes = await files.read(path);
  if (bytes) return bytes;
  throw new UpdateError('config-invalid', `${key} names ${path}, which does not exist.`);
}

const missing = (keys: string, what: string): UpdateError =>
  new UpdateError('config-invalid', `${keys} must be set: ${what}.`);
