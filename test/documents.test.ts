/** Every document that is kept or sent: whatever its writer is given, its reader takes, and understands as it was meant. */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import { type FleetServer, withFleetServer } from '../src/agent/find/fleet-client.ts';
import { readFacts } from '../src/agent/find/host-facts.ts';
import type { Releases } from '../src/agent/find/releases.ts';
import { begunFormat } from '../src/agent/gates/hooks-begun.ts';
import { type KeptPlace, lockPlacesFormat } from '../src/agent/gates/lock-places.ts';
import { rateFormat } from '../src/agent/install/delta/rate.ts';
import { type FailedBefore, failedBeforeFormat } from '../src/agent/loop/failed-before.ts';
import type { EndedEntry } from '../src/agent/loop/journal.ts';
import { historyFormat, refusalsFormat, savedFormat } from '../src/agent/loop/journal-format.ts';
import { cleanLine } from '../src/clean-text.ts';
import { type FleetCache, fleetCacheFormat } from '../src/config/fleet-cache.ts';
import {
  FAULTS,
  GROUP_PATTERN,
  type HistoryEntry,
  type MachineId,
  METHODS,
  type Product,
  type Refusal,
  type Release,
  type Saved,
  type Sha256,
  SLOT_NAMES,
  type State,
  type Version,
} from '../src/model.ts';
import { appLocksGate, placeAppLock } from '../src/reboot/gates/app-locks.ts';
import type { Semaphore } from '../src/reboot/gates/locks/semaphore.ts';
import {
  HOLDER_ID,
  oneLine,
  readSemaphore,
  semaphoreFormat,
  writeSemaphore,
} from '../src/reboot/gates/locks/semaphore-document.ts';
import type { Ledger } from '../src/rollout/brake.ts';
import { digestOf, ROLES, tokensFrom, tokensJson } from '../src/server/access/tokens.ts';
import { lastEntries, noted } from '../src/server/fleet/audit.ts';
import { ledgerFrom, ledgerJson } from '../src/server/fleet/machines.ts';
import { sqliteStore } from '../src/server/store/sqlite.ts';
import { realFiles } from '../src/system/files.ts';
import { type Format, inFormat } from '../src/system/format.ts';
import { openDatabase } from '../src/system/sqlite.ts';
import { type Floors, floorsFormat } from '../src/verify/floors.ts';
import { noSignal, temporaryFolder } from './support/bundles.ts';
import { startFleetApp } from './support/fleet-app.ts';
import { readSourceTree } from './support/source-tree.ts';

const RUNS = 200;

/** What anybody may say: of any length, in any characters. */
const anything = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5000 }),
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '\0', '\n', '\u001b', '\u202e', '\ud800', '\u2028', '語', '💾') }),
  fc.constantFrom('x'.repeat(20_000), '', '\ufeff', ' '),
);
/** What people say: it must come back as it is. */
const plain = fc.string({ unit: 'grapheme', maxLength: 80 }).map((text) => cleanLine(text));

const hex = (length: number): Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const moment = fc
  .date({ min: new Date('1970-01-01T00:00:00Z'), max: new Date('2261-01-01T00:00:00Z'), noInvalidDate: true })
  .map((date) => date.toISOString());
const version = fc.stringMatching(/^[0-9A-Za-z][0-9A-Za-z.~^-]{0,63}$/).map((text) => text as Version);
const product = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/).map((text) => text as Product);
const slot = fc.constantFrom(...SLOT_NAMES);
const method = fc.constantFrom(...METHODS);
const sha256 = hex(64).map((text) => text as Sha256);
const whole = fc.nat(Number.MAX_SAFE_INTEGER);
const code = fc.stringMatching(/^[a-z0-9-]{1,64}$/);
/** Fields that may be missing are missing, and never undefined. */
const some = <T>(model: { [K in keyof T]: Arbitrary<T[K]> }, needed: readonly (keyof T & string)[]) =>
  fc.record(model, { requiredKeys: [...needed] }) as unknown as Arbitrary<T>;

const release: Arbitrary<Release> = some<Required<Release>>({ product, version, counter: whole, manifest: sha256 }, [
  'product',
  'version',
]);
const downtime = fc.record({ ms: whole, clock: fc.constantFrom('exact', 'wall', 'at-least') });

/** A state; `bootId` and the like are the kernel's, reasons are anybody's. */
const stateSaying = (text: Arbitrary<string>): Arbitrary<State> => {
  const departure = fc.record({ method, reason: text, at: moment, uptimeMs: whole, bootId: hex(32) });
  const at = { release, target: slot };
  const failed = { code, reason: text, departure };
  const met = fc.record({ code, reason: text });
  const made = <K extends string>(kind: K, model: Record<string, Arbitrary<unknown>>, optional: string[] = []) =>
    fc.record(
      { kind: fc.constant(kind), ...model },
      {
        requiredKeys: ['kind', ...Object.keys(model).filter((key) => !optional.includes(key))] as never,
      },
    );
  const outcomes = fc.oneof(
    fc.constant({ result: 'none' }),
    fc.record({ result: fc.constant('updated'), release, departure }, { requiredKeys: ['result', 'release'] }),
    fc.record(
      { result: fc.constantFrom('rolled-back', 'failed', 'withdrawn'), release, ...failed, refuse: fc.boolean() },
      { requiredKeys: ['result', 'release', 'code', 'reason', 'refuse'] },
    ),
  );
  return fc.oneof(
    made('settling', { outcome: outcomes }),
    made('idle', {}),
    made('staging', { ...at, attempt: whole, stumbled: met }, ['stumbled']),
    made('staged', at),
    made('armed', { ...at, bootId: hex(32), departure, tried: fc.array(method, { maxLength: 16 }) }, [
      'departure',
      'tried',
    ]),
    made('trial', { ...at, departure, hindered: met }, ['departure', 'hindered']),
    made('condemned', { ...at, ...failed }, ['departure']),
  ) as unknown as Arbitrary<State>;
};

const savedSaying = (text: Arbitrary<string>): Arbitrary<Saved> =>
  fc.record(
    {
      state: stateSaying(text),
      since: moment,
      slots: fc.record({ a: release, b: release }, { requiredKeys: [] }),
      disarmed: fc.record({ at: moment, reason: text }),
    },
    { requiredKeys: ['state', 'since', 'slots'] },
  ) as unknown as Arbitrary<Saved>;

const refusalsSaying = (text: Arbitrary<string>): Arbitrary<readonly Refusal[]> =>
  fc.array(
    some<Required<Refusal>>({ at: moment, version, manifest: sha256, code, reason: text }, [
      'at',
      'version',
      'code',
      'reason',
    ]),
    { maxLength: 20 },
  );

const entrySaying = (text: Arbitrary<string>): Arbitrary<HistoryEntry> =>
  some<Required<HistoryEntry>>(
    {
      at: moment,
      result: fc.constantFrom('updated', 'rolled-back', 'failed', 'withdrawn', 'disarmed'),
      version,
      code,
      reason: text,
      method,
      methodReason: text,
      downtime: downtime as Arbitrary<Required<HistoryEntry>['downtime']>,
      fault: fc.constantFrom(...FAULTS),
    },
    ['at', 'result', 'version'],
  );

const keys = fc.array(sha256, { maxLength: 16 }).map((ids) => ['1', ...ids].join(' '));
const floor = fc.record({ version: fc.integer({ min: 1 }), keys });
const counts = (name: Arbitrary<string>, most: number) =>
  fc.array(fc.tuple(name, fc.integer({ min: 1 })), { maxLength: most }).map((pairs) => new Map(pairs));
const second = moment.map((text) => `${text.slice(0, 19)}Z`);
const floors: Arbitrary<readonly Floors[]> = fc.array(
  some<Required<Floors>>(
    {
      roots: fc.array(sha256, { maxLength: 64 }),
      root: whole,
      timestamp: floor,
      snapshot: floor,
      meta: counts(fc.stringMatching(/^[a-z0-9-]{1,32}\.json$/), 16),
      counters: counts(product, 64),
      issued: second,
      waived: second,
    },
    ['roots', 'root', 'meta', 'counters'],
  ),
  { minLength: 1, maxLength: 4 },
);

const units = fc.array(fc.stringMatching(/^[A-Za-z0-9:_.\\@-]{1,255}$/), { maxLength: 100 });
const failedBefore: Arbitrary<FailedBefore> = fc.record({ slot, at: moment, units });

const printable = fc.stringMatching(/^[\x20-\x7e]{1,200}$/);
const settings = fc.array(
  fc.record({
    path: fc.stringMatching(/^\w{1,20}\.\w{1,20}$/),
    key: printable,
    origin: printable,
    written: fc.oneof(fc.string(), whole, fc.boolean(), fc.array(fc.string())),
  }),
  { maxLength: 20 },
);
const cache: Arbitrary<FleetCache> = fc.record({
  prefix: printable,
  savedAt: moment,
  latest: settings,
  started: settings,
});

const holderId = fc.oneof(
  hex(32),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((one) => HOLDER_ID.test(one)),
);
const host = { id: holderId, name: fc.stringMatching(/^[\x21-\x7e]{1,64}$/), since: moment };
const group = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/).filter((one) => GROUP_PATTERN.test(one));
const file = fc.stringMatching(/^\/[\x20-\x7e]{1,40}$/);
const keptPlace = (text: Arbitrary<string>): Arbitrary<KeptPlace> => {
  const ended = fc.record({ failed: text.map((one) => cleanLine(one)) }, { requiredKeys: [] });
  return fc.record(
    {
      kind: fc.constantFrom('fleetlock' as const, 'etcd' as const),
      addresses: fc.array(fc.webUrl(), { maxLength: 5 }),
      group,
      id: holderId,
      ...{ caFile: file, certFile: file, keyFile: file, passwordFile: file },
      user: fc.stringMatching(/^[\x21-\x7e]{1,128}$/),
      owed: fc.record({ since: moment, ended }, { requiredKeys: ['since'] }),
    },
    { requiredKeys: ['kind', 'addresses', 'group', 'id'] },
  );
};

const semaphoreSaying = (text: Arbitrary<string>): Arbitrary<Semaphore> => {
  const why = text.map(oneLine);
  return fc.record({
    schema: fc.constant(1 as const),
    max: fc.nat(1000),
    maxFailures: fc.nat(1000),
    holders: fc.array(
      fc.record({
        ...host,
        hardware: hex(64),
        phase: fc.constantFrom('waiting' as const, 'rebooting' as const),
        why,
        deadlineSeconds: fc.integer({ min: 1, max: 31_536_000 }),
      }),
      { maxLength: 10 },
    ),
    failures: fc.array(fc.record({ ...host, why }), { maxLength: 10 }),
  });
};

type Listed<T> = Readonly<{ format: Format<T>; saying(text: Arbitrary<string>): Arbitrary<T> }>;
const listed = <T>(format: Format<T>, saying: (text: Arbitrary<string>) => Arbitrary<T>): Listed<unknown> =>
  ({ format, saying }) as unknown as Listed<unknown>;

/** By the name of its format in the source. */
const DOCUMENTS: Readonly<Record<string, Listed<unknown>>> = {
  savedFormat: listed(savedFormat, savedSaying),
  refusalsFormat: listed(refusalsFormat, refusalsSaying),
  historyFormat: listed(historyFormat, (text) => fc.array(entrySaying(text), { maxLength: 20 })),
  floorsFormat: listed(floorsFormat, () => floors),
  fleetCacheFormat: listed(fleetCacheFormat, () => cache),
  begunFormat: listed(begunFormat, (text) =>
    fc.array(
      text.map((name) => `/${name}`.toWellFormed()),
      { maxLength: 20 },
    ),
  ),
  lockPlacesFormat: listed(lockPlacesFormat, (text) => fc.array(keptPlace(text), { maxLength: 8 })),
  rateFormat: listed(rateFormat, () => whole),
  failedBeforeFormat: listed(failedBeforeFormat, () => failedBefore),
  semaphoreFormat: listed(semaphoreFormat, semaphoreSaying),
};

for (const [name, { format, saying }] of Object.entries(DOCUMENTS)) {
  test(`${name}: what is plain comes back as it was written`, () => {
    fc.assert(
      fc.property(saying(plain), (given) => assert.deepEqual(inFormat(format, given).value, structuredClone(given))),
      { numRuns: RUNS },
    );
  });
  test(`${name}: anything can be written, and what was understood of it is what is read`, () => {
    fc.assert(
      fc.property(saying(anything), (given) => {
        const { value, bytes } = inFormat(format, given);
        assert.deepEqual(format.read(bytes), value);
        assert.deepEqual(Buffer.from(inFormat(format, value).bytes), Buffer.from(bytes));
      }),
      { numRuns: RUNS },
    );
  });
}

test('every format in the source is in this list, and nothing writes JSON of its own beside them', () => {
  const sources = readSourceTree();
  const formats = sources.flatMap(({ text }) => [...text.matchAll(/\bconst (\w+): Format</g)].map(([, name]) => name));
  assert.deepEqual(formats.toSorted(), Object.keys(DOCUMENTS).toSorted());
  const free = sources.filter(
    ({ path, text }) => /^(agent|config|reboot)/.test(path) && /replaceFile\([^;]*JSON\.stringify/.test(text),
  );
  assert.deepEqual(
    free.map(({ path }) => path),
    [],
  );
});

test('a reader that is stricter than its writer is noticed before anything is on disk', () => {
  const stricter: Format<Saved> = {
    ...savedFormat,
    read: (bytes) => {
      if (bytes.length > 300) throw new Error('too long');
      return savedFormat.read(bytes);
    },
  };
  const found = fc.check(
    fc.property(savedSaying(plain), (given) => void inFormat(stricter, given)),
    { numRuns: RUNS },
  );
  assert.ok(found.failed);
  assert.match(String(found.errorInstance), /document|could not be read again/);
});

test('a lock that is full of hosts with long reasons is still read', () => {
  const member = (at: number) => ({
    id: at.toString(16).padStart(64, '0'),
    name: `${at}`.padEnd(64, 'n'),
    since: '2030-01-01T00:00:00.000Z',
    why: '語'.repeat(200),
  });
  const more = { hardware: 'f'.repeat(64), phase: 'rebooting', deadlineSeconds: 31_536_000 } as const;
  const all = Array.from({ length: 1000 }, (_, at) => member(at));
  const full: Semaphore = {
    schema: 1,
    max: 1000,
    maxFailures: 1000,
    holders: all.map((one) => ({ ...one, ...more })),
    failures: all,
  };
  const read = readSemaphore(writeSemaphore(full), 'it');
  assert.deepEqual([read.holders.length, read.failures.length], [1000, 1000]);
  assert.deepEqual(
    read.holders.map(({ id }) => id),
    full.holders.map(({ id }) => id),
  );
});

test('tokens and ledgers are read as they were written', () => {
  const token = fc.record({
    name: fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,63}$/),
    role: fc.constantFrom(...ROLES),
    digest: hex(64),
    added: moment,
  });
  const via = fc.option(version, { nil: undefined }).map((one) => (one === undefined ? {} : { via: one }));
  const doubt = fc
    .option(fc.constantFrom('silent' as const, 'lost' as const), { nil: undefined })
    .map((one) => (one === undefined ? {} : { doubt: one }));
  const machine = hex(32).map((text) => text as MachineId);
  const ledger: Arbitrary<Ledger> = fc
    .tuple(
      fc.array(fc.tuple(machine, whole, via), { maxLength: 20 }),
      fc.array(fc.tuple(machine, anything, via, doubt), { maxLength: 20 }),
      fc.uniqueArray(machine, { maxLength: 20 }),
      whole,
      fc.option(fc.record({ at: whole, reason: anything }), { nil: undefined }),
    )
    .map(([inFlight, failed, readmitted, updated, braked]) => ({
      inFlight: new Map(inFlight.map(([id, due, more]) => [id, { due, ...more }])),
      failed: new Map(
        failed.map(([id, reason, ...more]) => [id, Object.assign({ reason: cleanLine(reason) }, ...more)]),
      ),
      readmitted: new Set(readmitted),
      updated,
      ...(braked ? { braked } : {}),
    }));
  fc.assert(
    fc.property(fc.array(token, { maxLength: 200 }), (given) =>
      assert.deepEqual(tokensFrom(tokensJson(given)), structuredClone(given)),
    ),
  );
  fc.assert(
    fc.property(ledger, (given) => {
      assert.deepEqual(ledgerFrom(JSON.parse(JSON.stringify(ledgerJson(given)))), structuredClone(given));
    }),
    { numRuns: RUNS },
  );
});

test('a ledger that is damaged is named, and admits nobody', () => {
  for (const damaged of [
    7,
    [],
    {},
    { inFlight: [], failed: [['x']], updated: 1 },
    { inFlight: {}, failed: [], updated: 0 },
  ])
    assert.throws(() => ledgerFrom(damaged), { code: 'store-document-invalid' });
});

test('whatever an operator or a host says, the audit log keeps an entry that is read again', async () => {
  await using folder = await temporaryFolder();
  await using store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  let count = 0;
  await fc.assert(
    fc.asyncProperty(anything, anything, async (who, reason) => {
      count += 1;
      const at = new Date(Date.UTC(2030, 0, 1) + count * 1000).toISOString();
      await noted(store, { at, what: 'rollout-paused', who, from: who, about: reason, reason });
      assert.equal((await lastEntries(store, 1))[0]?.at, at);
    }),
    { numRuns: 100 },
  );
});

test('a lock of an application objects whatever its reason is', async () => {
  await using folder = await temporaryFolder();
  const dir = join(folder.path, 'inhibit.d');
  await mkdir(dir);
  const now = new Date('2030-01-01T00:00:00Z');
  const until = '2030-01-01T01:00:00.000Z';
  await fc.assert(
    fc.asyncProperty(anything, async (reason) => {
      const lift = await placeAppLock(
        realFiles,
        dir,
        { owner: 'backup', reason, since: now.toISOString(), until },
        '1',
      );
      const said = await appLocksGate(realFiles, dir, now);
      assert.ok(!said.ok && said.reason.startsWith('backup must not be interrupted'), said.ok ? '' : said.reason);
      await lift();
    }),
    { numRuns: 60 },
  );
});

/** A host of which everything says `text`. */
const saying = (text: string) => ({
  files: { read: async () => new TextEncoder().encode(text) },
  architecture: text,
  address: async () => text,
});

test('the server takes the check-in of a host in any situation, and the host its answer', async () => {
  await using folder = await temporaryFolder();
  await using store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  await using site = await startFleetApp({ store, tokens: { operator: digestOf('o') } });
  const situation = fc.tuple(savedSaying(anything), fc.boolean(), entrySaying(anything), release, release, anything);
  await fc.assert(
    fc.asyncProperty(situation, async ([given, confirmed, entry, running, wanted, reason]) => {
      const [last] = historyFormat
        .read(inFormat(historyFormat, [entry]).bytes)
        .filter(({ result }) => result !== 'disarmed');
      const server: FleetServer = {
        http: {
          post: async (_url, { body }) => {
            const { statusCode, rawPayload } = await site.app.inject({
              method: 'POST',
              url: '/v1/check-in',
              headers: { 'content-type': 'application/json' },
              payload: String(body),
            });
            return { status: statusCode, body: rawPayload };
          },
        },
        url: 'http://fleet',
        token: async () => undefined,
        host: { group: 'default', product: running.product, channel: 'stable', agent: reason.slice(0, 100) },
        machine: async () => 'a'.repeat(32) as MachineId,
        identity: async () => ({}),
        facts: () => readFacts(saying(reason)),
        stance: async () => (confirmed ? { wants: wanted.version } : { refuses: wanted.version }),
        forgive: async () => true,
        situation: async () => ({
          saved: inFormat(savedFormat, given).value,
          confirmed,
          last: last as EndedEntry | undefined,
        }),
      };
      const offer = { trusted: { release: wanted }, allowDowngrade: false };
      const releases = { find: async () => offer } as unknown as Releases;
      const found = await withFleetServer(releases, server).find({}, running, new Date(), noSignal);
      assert.ok('trusted' in found || 'hold' in found);
    }),
    { numRuns: 100 },
  );
});
