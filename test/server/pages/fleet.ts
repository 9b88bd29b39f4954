/** A server with a fleet for the tests of its pages: machines, a rollout half way, locks, failures, and a clock that the test sets. */

import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { limitsOf, policyOf, readRollout } from '../../../src/rollout/document.ts';
import type { Access } from '../../../src/server/access/access.ts';
import { NO_LIMITS } from '../../../src/server/access/rate-limits.ts';
import type { Sessions } from '../../../src/server/access/sessions.ts';
import { digestOf } from '../../../src/server/access/tokens.ts';
import { type Census, createCensus } from '../../../src/server/fleet/census.ts';
import { type ChannelState, createFleet, type Fleet } from '../../../src/server/fleet/fleet.ts';
import type { MachineRecord } from '../../../src/server/fleet/machines.ts';
import { createRebootLocks, type RebootLocks } from '../../../src/server/fleet/reboot-locks.ts';
import { createApp } from '../../../src/server/http/app.ts';
import type { AppWorld } from '../../../src/server/http/world.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import type { Json, Store } from '../../../src/server/store/store.ts';
import { type Serve, serveFiles } from '../../../src/system/http/served-file.ts';
import { type Log, silentLog } from '../../../src/system/log.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { accessWith, type GivenTokens } from '../../support/fleet-tokens.ts';
import { sessionsWith, signedInAs } from '../../support/signed-in.ts';

export const TOKEN = 'of-an-operator';
export const VIEWER = 'of-a-viewer';
/** Of browsers that are signed in with these. */
export const OPERATOR_SESSION = signedInAs('operator');
export const VIEWER_SESSION = signedInAs('viewer');
export const NOW = new Date('2030-01-02T03:04:05Z');
const HOUR = 3_600_000;

export const idOf = (number: number): string => createHash('md5').update(String(number)).digest('hex');
export const before = (ms: number): string => new Date(NOW.getTime() - ms).toISOString();

export class TestFleet implements AsyncDisposable {
  readonly top = mkdtempSync(join(tmpdir(), 'tandem-pages-'));
  readonly store: Store = sqliteStore(openDatabase(join(this.top, 'fleet.db'), { durable: false }));
  now = NOW;
  /** Digests by role; without one of machines, hosts need none. */
  tokens: GivenTokens = { operator: digestOf(TOKEN), viewer: digestOf(VIEWER) };
  channels = new Map<string, ChannelState>([
    ['edge', edge()],
    ['stable', stable()],
  ]);
  readonly fleet: Fleet = createFleet(this.store, async (name) => this.channels.get(name));
  readonly locks: RebootLocks = createRebootLocks(this.store, { max: 2, maxFailures: 0, deadlineSeconds: 3600 });
  readonly census: Census = createCensus(this.store, { now: () => this.now, pause });
  limits = NO_LIMITS;
  /** What signs an abort; undefined where the server has no keys. */
  abort: AppWorld['abort'];
  proxies: readonly string[] = [];
  log: Log = silentLog;
  patience: NonNullable<AppWorld['patience']> = {};
  tls: AppWorld['tls'];
  serve: Serve = serveFiles();
  access!: Access;
  sessions!: Sessions;
  app!: FastifyInstance;
  url = '';

  async start(): Promise<this> {
    this.access = await accessWith(this.store, this.tokens, () => this.now);
    this.sessions = await sessionsWith(
      { store: this.store, access: this.access, now: () => this.now },
      { operator: TOKEN, viewer: VIEWER },
    );
    this.app = await createApp({
      fleet: this.fleet,
      locks: this.locks,
      repository: this.top,
      serve: this.serve,
      access: this.access,
      store: this.store,
      channels: async () => this.channels,
      now: () => this.now,
      log: this.log,
      limits: this.limits,
      proxies: this.proxies,
      patience: this.patience,
      ...(this.tls ? { tls: this.tls } : {}),
      pages: { census: this.census, pause, sessions: this.sessions },
      ...(this.abort ? { abort: this.abort } : {}),
    });
    this.url = await this.app.listen({ host: '127.0.0.1', port: 0 });
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await this.store[Symbol.asyncDispose]();
    rmSync(this.top, { recursive: true, force: true });
  }

  /** A file of the repository that is given away. */
  file(path: string, text: string): void {
    mkdirSync(dirname(join(this.top, path)), { recursive: true });
    writeFileSync(join(this.top, path), text);
  }

  put(kind: string, documents: readonly (readonly [string, unknown])[]): Promise<void> {
    return this.store.update(
      documents.map(([id]) => ({ kind, id })),
      () => ({ write: documents.map(([, document]) => document as Json), result: undefined }),
    );
  }

  /** So many machines, a third of the way through a rollout. */
  async fill(machines: number): Promise<this> {
    for (let from = 0; from < machines; from += 1000)
      await this.put(
        'machine',
        Array.from({ length: Math.min(1000, machines - from) }, (_, at) => [idOf(from + at), someMachine(from + at)]),
      );
    await this.put('census', [['history', history(machines)]]);
    return this;
  }

  /** Machines that are under way, some that failed, and locks held, one of them for too long. */
  async disturb(): Promise<this> {
    const due = NOW.getTime() + HOUR;
    const ledger = {
      inFlight: [1, 34, 23].map((one) => [idOf(one), due]),
      failed: [4, 15, 26].map((one) => [idOf(one), 'the probe http-ready failed 3 times: connection refused']),
      updated: 300,
    };
    await this.put('audit', [
      [
        'changes',
        [
          { at: before(30 * HOUR), what: 'token-added', who: 'operator', from: '192.0.2.7', about: 'grafana, viewer' },
          {
            at: before(5 * HOUR),
            what: 'rollout-paused',
            who: 'maria',
            from: '2001:db8::17',
            about: '2.1.0 in stable',
            reason: 'two hosts of db report disk errors',
          },
          {
            at: before(4 * HOUR),
            what: 'rollout-resumed',
            who: 'maria',
            from: '2001:db8::17',
            about: '2.1.0 in stable',
          },
          { at: before(HOUR), what: 'lock-freed', who: 'operator', from: '192.0.2.7', about: `${idOf(5)} in web` },
        ],
      ],
      ['sign-ins', [{ at: before(600_000), what: 'sign-in-failed', who: 'nobody', from: '198.51.100.23', times: 17 }]],
    ]);
    await this.put('ledger', [['stable/2.1.0 2030-01-01T12:00:00Z', ledger]]);
    await this.locks.take('web', idOf(1), new Date(before(7 * 60_000)));
    await this.locks.take('web', idOf(34), new Date(before(2 * 60_000)));
    await this.locks.take('db', idOf(23), new Date(before(2 * HOUR)));
    return this;
  }
}

const pause = () => new Promise<void>((done) => setImmediate(done));

function stable(): ChannelState {
  const document = readRollout(
    {
      schema: 1,
      start: '2030-01-01T12:00:00Z',
      canaries: { groups: ['canary'], soakMinutes: 240 },
      ramp: { minutes: 1440, steps: 12 },
      groups: { db: { delayMinutes: 360 } },
      barriers: [{ version: '2.0.0', counter: 20, reason: 'moves the state' }],
      limits: { inFlight: 25, failures: 5, patienceMinutes: 120 },
    },
    'stable',
  );
  const policy = policyOf(document, { version: '2.1.0', counter: 21 } as never);
  return { id: '2.1.0 2030-01-01T12:00:00Z', version: '2.1.0', offered: { policy, limits: limitsOf(document) } };
}

const edge = (): ChannelState => ({ id: '2.2.0-rc1', version: '2.2.0-rc1' });

export function someMachine(number: number): MachineRecord {
  const isFailed = number % 11 === 4;
  const isEdge = number % 40 === 7;
  const isDone = number % 3 === 0 && !isFailed && !isEdge;
  const version = isEdge ? '2.2.0-rc1' : isDone ? '2.1.0' : number % 5 === 1 ? '1.9.4' : '2.0.3';
  const first = isDone ? '1.9.4' : version;
  const state = number % 11 === 1 && !isDone ? 'staged' : number % 23 === 2 ? 'staging' : 'idle';
  const reason = number % 2 === 0 ? 'the probe http-ready failed 3 times: connection refused' : 'no space left on /var';
  return {
    schema: 1,
    machine: idOf(number),
    group: ['web', 'db', 'canary', 'web', 'default'][number % 5],
    product: 'acme',
    channel: isEdge ? 'edge' : 'stable',
    agent: '0.1.0',
    host: someHost(number, version),
    running: { version, counter: 20 },
    confirmed: number % 29 !== 3,
    state,
    since: before((number % 17) * HOUR),
    firstSeen: before(90 * 24 * HOUR),
    ...(number % 6 === 2 || number % 6 === 3 ? { secret: digestOf(String(number)) } : {}),
    lastSeen: before(number % 61 === 5 ? 50 * HOUR : (number % 29) * 60_000),
    ...(state === 'staged' ? { waitingFor: 'the lock of its group: held by two others', wants: '2.1.0' } : {}),
    ...(isFailed
      ? {
          outcome: { at: before(3 * HOUR), result: 'rolled-back', version: '2.1.0', code: 'probe-failed', reason },
          hold: { code: 'failed-here', reason: 'the release has failed on this host' },
        }
      : {}),
    events: [
      { at: before(40 * 24 * HOUR), what: 'updated', version: first },
      { at: before(40 * 24 * HOUR - 60_000), what: 'runs', version: first },
      ...(isFailed ? [{ at: before(3 * HOUR), what: 'rolled-back', version: '2.1.0', reason }] : []),
      ...(isDone ? [{ at: before(5 * HOUR), what: 'updated', version: '2.1.0' }] : []),
    ],
  } as unknown as MachineRecord;
}

/** Some have long names; an agent of before says nothing of its host. */
function someHost(number: number, version: string): MachineRecord['host'] {
  if (number % 97 === 8) return undefined;
  const group = ['web', 'db', 'canary', 'web', 'default'][number % 5];
  const site = number % 13 === 4 ? `${group}.frankfurt-am-main.customers.example.net` : `${group}.example`;
  return {
    name: `${group}-${String(number).padStart(4, '0')}.${site}`,
    address:
      number % 7 === 3 ? `2001:db8:0:17::${number.toString(16)}` : `10.${number % 4}.${number >> 8}.${number & 255}`,
    os: `Acme Linux ${version}`,
    kernel: '6.12.48+deb13-amd64',
    architecture: number % 17 === 0 ? 'arm64' : 'x86-64',
  };
}

function history(machines: number): Json {
  const all = Array.from({ length: machines }, (_, at) => someMachine(at).running.version as string);
  const now = (version: string) => all.filter((one) => one === version).length;
  const points = Array.from({ length: 90 }, (_, at) => {
    const age = (90 - at) * 20 * 60_000;
    const missing = 1 - Math.max(0, (15 * HOUR - age) / (15 * HOUR)) ** 1.5;
    const [left, old] = [Math.round(now('2.1.0') * missing), Math.round(now('2.1.0') * missing * 0.3)];
    const stable = { '1.9.4': now('1.9.4') + old, '2.0.3': now('2.0.3') + left - old, '2.1.0': now('2.1.0') - left };
    return { at: before(age), channels: { edge: { '2.2.0-rc1': now('2.2.0-rc1') }, stable } };
  });
  return { schema: 1, points };
}
