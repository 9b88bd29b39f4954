/** A repository on a stick, or a loose bundle, is the same trust path as the server: signed metadata first, deltas too. */

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createReleases, type Releases } from '../../src/agent/find/releases.ts';
import type { MachineId, Sha256, Version } from '../../src/model.ts';
import { realFiles } from '../../src/system/files.ts';
import { createTrust, type TrustedRelease } from '../../src/verify/client.ts';
import type { DeltaEntry } from '../../src/verify/documents.ts';
import { addDeltas } from '../../src/verify/publish/deltas.ts';
import { addBundle } from '../../src/verify/publish/publisher.ts';
import { noSignal } from '../support/bundles.ts';
import { attempt, deltaHost, holds, RIGHT } from '../support/delta-host.ts';
import {
  type Built,
  blocksFile,
  buildRelease,
  type DeltaFile,
  PRODUCT,
  patchFile,
  rootImage,
} from '../support/delta-releases.ts';
import { alone, NOW, TestRepository } from '../support/tuf-repository.ts';

const old = await buildRelease('1', rootImage(300));
const fresh = await buildRelease(
  '2',
  rootImage(
    300,
    new Map([
      [40, 7],
      [41, 8],
      [200, 9],
    ]),
  ),
);
const blocks = await blocksFile(old, fresh);
const patch = await patchFile(old, fresh);

const host = () => deltaHost(old, fresh, []);
const opening = (releases: Releases) => () => releases.open(fresh.release, NOW, noSignal);
const ask = async (releases: Releases, from: string): Promise<TrustedRelease> => {
  const offered = await releases.find({ from }, old.release, NOW, noSignal);
  return 'trusted' in offered ? offered.trusted : assert.fail(offered.hold.reason);
};

for (const [tier, deltas] of [
  ['patch', [patch, blocks]],
  ['blocks', [blocks]],
  ['full', []],
] as const)
  test(`a stick with ${deltas.length} deltas installs by ${tier}`, async () => {
    using repository = await publishedWith(deltas);
    const releases = releasesFor(repository);
    const found = await ask(releases, repository.dir);
    assert.equal(found.release.version, '2');
    const machine = host();
    assert.equal((await attempt(machine, { find: opening(releases) })).tier, tier);
    assert.deepEqual(await holds(machine), RIGHT);
  });

test('a delta that was damaged on the stick is given up, and the full image installed', async () => {
  using repository = await publishedWith([blocks]);
  const path = join(repository.dir, 'targets', `releases/${PRODUCT}/${blocks.delta.sha256}.2.blocks`);
  writeFileSync(path, readFileSync(path).fill(0, 100));
  const releases = releasesFor(repository);
  await ask(releases, repository.dir);
  const machine = host();
  const { tier, fallen } = await attempt(machine, { find: opening(releases) });
  assert.deepEqual([tier, fallen.length], ['full', 1]);
  assert.deepEqual(await holds(machine), RIGHT);
});

test('a loose bundle is installed when the repository names its manifest, without deltas', async () => {
  using repository = await publishedWith([patch]);
  const loose = join(repository.top, 'loose.bundle');
  writeFileSync(loose, fresh.bundle);
  const releases = releasesFor(repository, 'server');
  assert.equal((await ask(releases, loose)).release.version, '2');
  const machine = host();
  assert.equal((await attempt(machine, { find: opening(releases) })).tier, 'full');
  assert.deepEqual(await holds(machine), RIGHT);
});

test('a loose bundle that the repository does not name is refused, whatever it says', async () => {
  using repository = await publishedWith([]);
  const stranger = await buildRelease('3', rootImage(20));
  const loose = join(repository.top, 'loose.bundle');
  writeFileSync(loose, stranger.bundle);
  await assert.rejects(ask(releasesFor(repository, 'server'), loose), {
    code: 'release-unknown',
  });
});

test('a place that is not there is a mistake in the command', async () => {
  using repository = await publishedWith([]);
  await assert.rejects(ask(releasesFor(repository), '/nowhere'), { code: 'usage' });
});

test('a bundle that is gone when it is opened is named, and nothing is written', async () => {
  using repository = await publishedWith([]);
  const releases = releasesFor(repository);
  const { bundle } = await ask(releases, repository.dir);
  renameSync(join(repository.dir, bundle.path), join(repository.top, 'away'));
  await assert.rejects(attempt(host(), { find: opening(releases) }), { code: 'source-unreadable' });
});

/** A repository with version 2 in the channel, and these deltas to it. */
async function publishedWith(deltas: readonly DeltaFile[]): Promise<TestRepository> {
  const repository = await new TestRepository().init();
  const { version, counter } = fresh.release;
  const facts = {
    product: PRODUCT,
    version,
    counter: counter ?? 0,
    architecture: 'x86-64',
    minAgent: '0.1.0',
  } as const;
  const check = async () => ({ ...facts, manifest: fresh.expected });
  await addBundle(repository.publisher(), { bytes: whole(fresh.bundle), check }, alone(repository.publisher()));
  await addDeltas(
    repository.publisher(),
    deltas.map((delta) => newFile(repository, delta, old)),
  );
  await repository.promote('2');
  return repository;
}

function newFile({ top }: TestRepository, { delta, bytes }: DeltaFile, from: Built) {
  const file = join(top, delta.kind);
  writeFileSync(file, bytes);
  const entry: Omit<DeltaEntry, 'schema'> = {
    kind: delta.kind,
    product: PRODUCT,
    version: '2' as Version,
    manifest: fresh.expected.sha256 as Sha256,
    head: delta.head,
    ...(delta.from ? { from: { ...delta.from, version: from.version } } : {}),
  };
  return { file, size: delta.size, sha256: delta.sha256, entry };
}

/** `place`: where the metadata is read from when nobody names a stick; the folder stands for the server. */
function releasesFor(repository: TestRepository, place: 'none' | 'server' = 'none'): Releases {
  const { options } = repository.host();
  return createReleases({
    product: PRODUCT,
    channel: 'stable',
    group: 'default',
    machine: async () => 'a-host' as MachineId,
    urls: ['http://repository.invalid/'],
    http: undefined as never,
    resumption: undefined as never,
    trust: (mirrors) =>
      createTrust({ ...options, files: realFiles, mirrors: place === 'server' ? options.mirrors : mirrors }),
  });
}

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
