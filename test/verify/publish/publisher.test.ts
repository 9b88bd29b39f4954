import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Sha256, Version } from '../../../src/model.ts';
import { realFiles } from '../../../src/system/files.ts';
import { LIMITS, MAX_TARGETS } from '../../../src/verify/documents.ts';
import { ROLE_NAMES, type RoleName } from '../../../src/verify/names.ts';
import { promote } from '../../../src/verify/publish/channels.ts';
import { checkRepository } from '../../../src/verify/publish/check.ts';
import { addDeltas } from '../../../src/verify/publish/deltas.ts';
import type { Publisher } from '../../../src/verify/publish/publish.ts';
import { addBundle, refreshRepository, removeRelease } from '../../../src/verify/publish/publisher.ts';
import { readRepository } from '../../../src/verify/publish/repository.ts';
import { renewRole, rotateKey } from '../../../src/verify/publish/rotate-key.ts';
import { Cut, failingFiles } from '../../support/failing-files.ts';
import {
  alone,
  codeOf,
  daysLater,
  facts,
  NOW,
  newDelta,
  newSigner,
  oneChunk,
  type PRODUCT,
  TestRepository,
  unneeded,
} from '../../support/tuf-repository.ts';

const signal = new AbortController().signal;
const check = (repository: TestRepository, now = NOW) => checkRepository(realFiles, repository.dir, now, signal);
const version = (text: string): Version => text as Version;

const template = await new TestRepository().init();
await template.add('1.0');
await template.promote('1.0');
await template.add('2.0');
after(() => template[Symbol.dispose]());

const withTwo = async (): Promise<TestRepository> => template.copy();

/** Everything that changes a repository, each able to run on files that fail. */
const changes: readonly (readonly [string, (repository: TestRepository, publisher: Publisher) => Promise<unknown>])[] =
  [
    [
      'add',
      (_, publisher) =>
        addBundle(publisher, { bytes: oneChunk('three'), check: async () => facts('3.0') }, alone(publisher)),
    ],
    ['promote', (_, publisher) => promote(publisher, { channel: 'stable', version: version('2.0') })],
    ['a new channel', (_, publisher) => promote(publisher, { channel: 'edge', version: version('2.0') })],
    ['refresh', (_, publisher) => refreshRepository(publisher)],
    [
      'refresh of timestamp and snapshot',
      (_, publisher) => refreshRepository({ ...publisher, now: daysLater(1), lifetimeDays: {} }),
    ],
    ['renewal of the root', (_, publisher) => renewRole(publisher, 'root')],
    ['renewal of releases', (_, publisher) => renewRole(publisher, 'releases')],
    [
      'deltas',
      (repository, publisher) => addDeltas(publisher, [newDelta(repository, 'blocks'), newDelta(repository, 'patch')]),
    ],
    ['remove', (_, publisher) => removeRelease(publisher, version('2.0'), unneeded)],
    ...ROLE_NAMES.map((role) => [`rotation of the ${role} key`, rotation(role)] as const),
  ];

function rotation(role: RoleName) {
  const fresh = newSigner();
  return (repository: TestRepository, publisher: Publisher) =>
    rotateKey(publisher, { role, oldKeyId: repository.keys[role][0]?.keyId ?? '', newSigner: fresh });
}

for (const [what, change] of changes)
  test(`${what}: cut off after any step, hosts old and new accept the repository, and it can be done again`, async () => {
    for (let allowed = 0; ; allowed++) {
      using repository = await withTwo();
      const host = repository.host();
      await host.poll();
      const files = failingFiles(allowed);
      const error = await change(repository, repository.publisher({ files })).catch((cause: unknown) => cause);
      assert.equal(await host.refused(), 'accepted', `known host, cut after ${allowed}`);
      assert.equal(await repository.host('stranger').refused(), 'accepted', `new host, cut after ${allowed}`);
      if (!(error instanceof Cut)) {
        assert.ok(!(error instanceof Error), String(error));
        assert.ok(allowed >= 4);
        return;
      }
      const again = await change(repository, repository.publisher()).catch((cause: unknown) => cause);
      if (what !== 'remove') assert.ok(!(again instanceof Error), `again after ${allowed}: ${again}`);
      assert.equal(await host.refused(), 'accepted', `after doing it again, cut after ${allowed}`);
      await check(repository);
    }
  });

test('the first repository can be made again when its making was cut off', async () => {
  for (let allowed = 0; ; allowed++) {
    using repository = new TestRepository();
    const whole = await repository.init(failingFiles(allowed)).catch((cause: unknown) => cause);
    if (!(whole instanceof Cut)) return;
    if (existsSync(join(repository.dir, 'metadata/timestamp.json'))) continue;
    await repository.init();
    assert.equal(await repository.host().refused(), 'accepted');
  }
});

test('a repository is not made over another', async () => {
  using repository = await withTwo();
  assert.equal(await codeOf(repository.init()), 'repository-exists');
});

test('nothing is copied or signed when the bundle fails its check', async () => {
  using repository = await withTwo();
  const before = await realFiles.list(join(repository.dir, 'metadata'));
  const failing = { bytes: oneChunk('bad'), check: async () => Promise.reject(new Error('bad bundle')) };
  await assert.rejects(addBundle(repository.publisher(), failing, alone(repository.publisher())), /bad bundle/);
  assert.deepEqual(await realFiles.list(join(repository.dir, 'metadata')), before);
  assert.deepEqual(await realFiles.list(join(repository.dir, 'targets')), ['channels', 'releases']);
});

test('adding the same bundle twice changes nothing; other bytes or a used counter are refused', async () => {
  using repository = await withTwo();
  const before = repository.versionOf('snapshot');
  await repository.add('2.0');
  assert.equal(repository.versionOf('snapshot'), before);
  const other = { bytes: oneChunk('other bytes'), check: async () => facts('2.0') };
  assert.equal(await codeOf(addBundle(repository.publisher(), other, alone(repository.publisher()))), 'release-exists');
  assert.equal(await codeOf(repository.add('2.1')), 'release-exists');
});

test('a channel offers only what is published, and goes back only when told to', async () => {
  using repository = await withTwo();
  await repository.promote('2.0');
  assert.equal(await codeOf(repository.promote('9.0')), 'release-unknown');
  assert.equal(await codeOf(repository.promote('1.0')), 'release-older');
  assert.equal(await codeOf(repository.promote('1.0', '../x')), 'usage');
  await promote(repository.publisher(), { channel: 'stable', version: version('1.0'), allowDowngrade: true });
  assert.equal((await (await repository.host().poll()).channel('stable')).version, '1.0');
});

test('two products with the same version need a name', async () => {
  using repository = await withTwo();
  const other = { product: 'other' as typeof PRODUCT, manifest: { ...facts('x').manifest } };
  await addBundle(
    repository.publisher(),
    { bytes: oneChunk('o'), check: async () => facts('2.0', other) },
    alone(repository.publisher()),
  );
  assert.equal(await codeOf(repository.promote('2.0', 'edge')), 'usage');
  await promote(repository.publisher(), { channel: 'edge', version: version('2.0'), product: other.product });
  assert.equal((await (await repository.host().poll()).channel('edge')).product, 'other');
});

test('a release that a channel offers stays; another goes with its file', async () => {
  using repository = await withTwo();
  assert.equal(await codeOf(removeRelease(repository.publisher(), version('1.0'), unneeded)), 'release-in-use');
  await removeRelease(repository.publisher(), version('2.0'), unneeded);
  assert.equal((await realFiles.list(join(repository.dir, 'targets/releases/acme'))).length, 1);
  assert.equal((await repository.host().poll()).releases().length, 1);
});

test('more releases than clients accept are refused with what to do', async () => {
  using repository = await withTwo();
  const [, entry] = [...(await readRepository(realFiles, repository.dir)).releases.document.signed.targets][0] ?? [];
  await repository.edit('releases', (signed) => {
    signed['targets'] = Object.fromEntries(
      Array.from({ length: MAX_TARGETS }, (_, index) => [`releases/acme/0.${index}.bundle`, entry]),
    );
  });
  assert.equal(await codeOf(repository.add('3.0')), 'repository-full');
});

test('a list of releases that clients would not read is refused before anything is written', async () => {
  using repository = await withTwo();
  const fill = (length: number) =>
    repository.edit('releases', (signed) => {
      const [entry] = Object.values(signed['targets'] as Record<string, { custom: Record<string, unknown> }>);
      if (entry) entry.custom['padding'] = 'x'.repeat(length);
    });
  await fill(900_000);
  await fill(900_000 + LIMITS.releases - readFileSync(repository.path('releases')).length - 50);
  const before = await realFiles.list(join(repository.dir, 'metadata'));
  assert.equal(await codeOf(repository.add('3.0')), 'repository-full');
  assert.deepEqual(await realFiles.list(join(repository.dir, 'metadata')), before);
});

test('a key that is missing is named before anything is written', async () => {
  using repository = await withTwo();
  const without = (role: RoleName) =>
    Object.entries(repository.keys).flatMap(([name, keys]) => (name === role ? [] : keys));
  const before = await realFiles.list(join(repository.dir, 'metadata'));
  for (const role of ['releases', 'snapshot', 'timestamp'] as const)
    assert.equal(await codeOf(repository.add('3.0', {}, { signers: without(role) })), 'key-unknown');
  assert.deepEqual(await realFiles.list(join(repository.dir, 'metadata')), before);
});

test('daily work needs neither the root nor the targets key', async () => {
  using repository = await withTwo();
  const { releases, channels, snapshot, timestamp } = repository.keys;
  const signers = [...releases, ...channels, ...snapshot, ...timestamp];
  await repository.add('3.0', {}, { signers });
  await repository.promote('3.0', 'stable', { signers });
  assert.equal(await repository.host().refused(), 'accepted');
});

test('an entry slipped into the folder is never signed, not even with a forged root', async () => {
  using repository = await withTwo();
  const [right] = repository.keys.releases;
  repository.keys.releases = [newSigner()];
  await repository.edit('releases', () => {});
  repository.keys.releases = right === undefined ? [] : [right];
  assert.equal(await codeOf(repository.add('3.0')), 'repository-damaged');
});

test('a root with a threshold of 2 of 3 survives the loss of one key and its replacement', async () => {
  using repository = await new TestRepository({ root: 3 }, { root: 2 }).init();
  await repository.add('1.0');
  const [first, second, lost] = repository.keys.root;
  const others = Object.entries(repository.keys).flatMap(([role, keys]) => (role === 'root' ? [] : keys));
  const one = first === undefined ? [] : [first];
  const two = [...one, ...(second === undefined ? [] : [second])];
  const fresh = newSigner();
  const change = { role: 'root' as const, oldKeyId: lost?.keyId ?? '', newSigner: fresh };
  assert.equal(await codeOf(rotateKey(repository.publisher({ signers: [...one, ...others] }), change)), 'key-unknown');
  await rotateKey(repository.publisher({ signers: [...two, ...others] }), change);
  await renewRole(repository.publisher({ signers: [...one, fresh, ...others] }), 'root');
  assert.equal(await repository.host().refused(), 'accepted');
  assert.equal(repository.versionOf('root'), 3);
});

for (const role of ROLE_NAMES)
  test(`a new ${role} key is followed by hosts that knew the old one, and the old one is worth nothing`, async () => {
    using repository = await withTwo();
    const host = repository.host();
    await host.poll();
    const fresh = newSigner();
    const [old] = repository.keys[role];
    await rotateKey(repository.publisher(), { role, oldKeyId: old?.keyId ?? '', newSigner: fresh });
    assert.equal(await host.refused(), 'accepted');
    assert.equal(await codeOf(renewRole(repository.publisher(), role)), 'key-unknown');
    repository.keys[role] = [fresh];
    await renewRole(repository.publisher(), role);
    assert.equal(await host.refused(), 'accepted');
    await check(repository);
  });

for (const role of ['targets', 'snapshot', 'timestamp', 'releases', 'channels'] as const)
  test(`a lost ${role} key is replaced without it, also when that was cut off`, async () => {
    for (let allowed = 0; ; allowed++) {
      using repository = await withTwo();
      const fresh = newSigner();
      const [old] = repository.keys[role];
      repository.keys[role] = [];
      const change = (publisher: Publisher) =>
        rotateKey(publisher, { role, oldKeyId: old?.keyId ?? '', newSigner: fresh });
      const error = await change(repository.publisher({ files: failingFiles(allowed) })).catch(
        (cause: unknown) => cause,
      );
      if (error instanceof Cut) await change(repository.publisher());
      assert.equal(await repository.host().refused(), 'accepted', `cut after ${allowed}`);
      if (!(error instanceof Cut)) return assert.equal(error, undefined);
    }
  });

test('a stranger to the role cannot be replaced', async () => {
  using repository = await withTwo();
  const change = { role: 'timestamp' as const, oldKeyId: '0'.repeat(64), newSigner: newSigner() };
  assert.equal(await codeOf(rotateKey(repository.publisher(), change)), 'key-unknown');
});

test('verify tells what there is and when it expires', async () => {
  using repository = await withTwo();
  const report = await check(repository);
  assert.equal(report.files, 3);
  assert.deepEqual(
    report.releases.map((one) => one.version),
    ['1.0', '2.0'],
  );
  assert.deepEqual(
    report.channels.map((one) => [one.channel, one.version]),
    [['stable', '1.0']],
  );
  assert.deepEqual(Object.fromEntries(report.roles.map((one) => [one.role, one.daysLeft])), {
    root: 365,
    targets: 180,
    snapshot: 14,
    timestamp: 2,
    releases: 180,
    channels: 90,
  });
  assert.equal(await codeOf(check(repository, daysLater(3))), 'metadata-expired');
});

test('verify finds a changed, a shorter and a missing file', async () => {
  using repository = await withTwo();
  const [name = ''] = await realFiles.list(join(repository.dir, 'targets/releases/acme'));
  const path = join(repository.dir, 'targets/releases/acme', name);
  const bytes = readFileSync(path);
  writeFileSync(path, Buffer.from(bytes).fill(0, 0, 1));
  assert.equal(await codeOf(check(repository)), 'repository-damaged');
  writeFileSync(path, bytes.subarray(1));
  assert.equal(await codeOf(check(repository)), 'repository-damaged');
  rmSync(path);
  assert.equal(await codeOf(check(repository)), 'source-unreadable');
});

test('a folder without a repository is named', async () => {
  using repository = new TestRepository();
  assert.equal(await codeOf(check(repository)), 'repository-missing');
});

test('a lifetime that is none is refused before anything is signed', async () => {
  using repository = await withTwo();
  for (const days of [0, -1, Number.NaN]) {
    const publisher = { ...repository.publisher(), lifetimeDays: { timestamp: days } };
    assert.equal(await codeOf(refreshRepository(publisher)), 'expiry-too-near');
  }
  await check(repository);
});

test('what killed publishers left behind is removed after a day, and what others are at work on is not', async () => {
  using repository = await withTwo();
  const left = (name: string, hours: number): string => {
    const path = join(repository.dir, 'targets', `${name}.tandem-new`);
    writeFileSync(path, 'half');
    const then = Date.now() / 1000 - hours * 3600;
    utimesSync(path, then, then);
    return path;
  };
  const [old, fresh] = [left('old', 25), left('fresh', 23)];
  await repository.add('3.0');
  assert.deepEqual([existsSync(old), existsSync(fresh)], [false, true]);
});

test('a second release with a root hash that another one has is refused, also where that one does not say so', async () => {
  using repository = await withTwo();
  const rootHash = 'a'.repeat(64) as Sha256;
  const { rootHash: _, ...silent } = facts('1.0');
  assert.deepEqual(silent, facts('1.0'), 'the releases before do not say');
  const add = (text: string, known: Sha256 | undefined, insists: Publisher['insists'] = new Set()): Promise<string> => {
    const one = repository.publisher({ insists });
    const candidate = {
      bytes: oneChunk(text),
      check: async () => facts(text, { rootHash }),
      rootHashOf: async () => known,
    };
    return codeOf(addBundle(one, candidate, alone(one)));
  };
  assert.equal(await add('3.0', rootHash), 'root-hash-known');
  assert.equal(await add('3.0', undefined), 'accepted', 'a bundle that cannot be read tells nothing');
  assert.equal(await add('3.0', undefined), 'accepted', 'the same again');
  assert.equal(await add('4.0', undefined), 'root-hash-known');
  assert.equal(await add('4.0', undefined, new Set(['root-hash-known'])), 'accepted');
  assert.equal(await repository.host().refused(), 'accepted');
});
