/** The fleet's lock of this host, as its configuration names it. */

import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config.ts';
import { UpdateError } from '../errors.ts';
import { noLock, type RebootLock } from '../reboot/gates/lock.ts';
import { etcdLock } from '../reboot/gates/locks/etcd-lock.ts';
import { fleetLock } from '../reboot/gates/locks/fleetlock.ts';
import type { LockClient } from '../reboot/gates/locks/lock-client.ts';
import { rebootLock } from '../reboot/gates/locks/reboot-lock.ts';
import type { Member } from '../reboot/gates/locks/semaphore.ts';
import type { Clock } from '../system/clock.ts';
import { createEtcd, type Etcd } from '../system/etcd.ts';
import type { Files } from '../system/files.ts';
import { readHardwareId } from '../system/hardware-id.ts';
import { createHttp, type Http, type HttpOptions } from '../system/http.ts';
import { readMachineId } from '../system/machine-id.ts';
import type { Random } from '../system/random.ts';
import { redactUrl } from '../system/shown-address.ts';

export type LockWorld = Readonly<{
  files: Files;
  clock: Clock;
  random: Random;
  version: string;
  signal: AbortSignal;
}>;

type LockConfig = Pick<Config, 'lock' | 'host' | 'fleet'>;

/** `why` is shown to the hosts that wait. */
export async function openLock(config: LockConfig, world: LockWorld, why: () => string): Promise<RebootLock> {
  const { kind } = config.lock;
  if (kind === 'none') return noLock;
  const group = groupOf(config);
  const [client, place] =
    kind === 'etcd' ? await clientOfEtcd(config, world, group) : await clientOfFleetLock(config, world, group);
  return rebootLock(client, { place, group, why, ...lookingAt(config), clock: world.clock, random: world.random });
}

/** Into a lock that another program keeps only its own operator can look. */
function lookingAt({ lock, fleet }: LockConfig): { command?: string } {
  if (lock.kind === 'etcd') return { command: 'updatectl lock status' };
  const server = fleet.url;
  if (server === undefined || URL.parse(server)?.origin !== URL.parse(lock.url ?? '')?.origin) return {};
  return { command: `updatectl lock status --server ${redactUrl(server)} --token-file FILE` };
}

/** The etcd of the configuration, for those who look into the lock. */
export async function openEtcd({ lock }: LockConfig, world: LockWorld): Promise<Etcd> {
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

/** Locks are divided as rollouts are, unless it is said otherwise. */
export const groupOf = ({ lock, host }: LockConfig): string => lock.group ?? host.group;

const ETCD_TIMEOUT_MS = 5_000;
/** airlock asks its etcd before it answers. */
const FLEETLOCK_TIMEOUT_MS = 60_000;
const LEASE_SECONDS = 180;
const ASK_MS = 2_000;
const ASK_FLEETLOCK_MS = 30_000;

type Opened = Promise<readonly [client: LockClient, place: string]>;

async function clientOfEtcd(config: LockConfig, world: LockWorld, group: string): Opened {
  const { max, maxFailures, deadlineMinutes, endpoints, etcdOnHosts } = config.lock;
  const client = etcdLock({
    etcd: await openEtcd(config, world),
    group,
    me: await memberOf(world.files),
    max,
    maxFailures,
    deadlineSeconds: deadlineMinutes * 60,
    leaseSeconds: LEASE_SECONDS,
    askMs: ASK_MS,
    ...(etcdOnHosts ? { members: endpoints.length } : {}),
    ...world,
  });
  return [client, `etcd at ${endpoints.map(redactUrl).join(', ')}`];
}

async function clientOfFleetLock({ lock }: LockConfig, world: LockWorld, group: string): Opened {
  const { url } = lock;
  if (url === undefined) throw missing('lock.url', 'the address of the FleetLock server');
  const { random, signal } = world;
  const id = await readMachineId(world.files);
  const http = await httpOf(lock, world);
  const login = await loginOf(lock, world.files);
  const client = fleetLock({
    http,
    url,
    ...(login ? { login } : {}),
    id,
    group,
    timeoutMs: FLEETLOCK_TIMEOUT_MS,
    askMs: ASK_FLEETLOCK_MS,
    random,
    signal,
  });
  return [client, `FleetLock at ${new URL(url).host}`];
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

async function memberOf(files: Files): Promise<Member> {
  const id = await readMachineId(files);
  const hostname = new TextDecoder().decode(await files.read('/proc/sys/kernel/hostname')).trim();
  return { id, name: /^[\x21-\x7e]{1,255}$/.test(hostname) ? hostname : id, hardware: await readHardwareId(files) };
}

type Credentials = Pick<HttpOptions, 'ca' | 'identity'>;

/**
 * Its own trust and its own patience: what serves images has nothing to do with what grants reboots. Certificates are renewed while an agent
 * runs, so they are looked at before each request; what cannot be read changes nothing.
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
