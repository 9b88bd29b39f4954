/** Files that save downloading: signed with their release, believed for it alone, gone with it. */

import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Sha256, Version } from '../../src/model.ts';
import { realFiles } from '../../src/system/files.ts';
import type { TrustedDelta } from '../../src/verify/deltas.ts';
import { checkRepository } from '../../src/verify/publish/check.ts';
import { addDeltas } from '../../src/verify/publish/deltas.ts';
import { removeRelease } from '../../src/verify/publish/publisher.ts';
import { codeOf, NOW, newDelta, PRODUCT, TestRepository, unneeded } from '../support/tuf-repository.ts';

const template = await new TestRepository().init();
await template.add('1.0');
await template.promote('1.0');
await template.add('2.0');
await addDeltas(template.publisher(), [newDelta(template, 'blocks'), newDelta(template, 'patch')]);
after(() => template[Symbol.dispose]());

const check = (repository: TestRepository) =>
  checkRepository(realFiles, repository.dir, NOW, new AbortController().signal);

async function seen(repository: TestRepository, version: string): Promise<readonly TrustedDelta[]> {
  const trusted = await repository.host().poll();
  const { deltas } = await trusted.release(PRODUCT, version as Version);
  const listed = trusted.releases().find((one) => one.release.version === version);
  assert.deepEqual(listed?.deltas, deltas);
  return deltas;
}

type Entry = { custom: Record<string, unknown>; length: number };

const edited = async (path: string, change: (entry: Entry) => unknown): Promise<TestRepository> => {
  const repository = template.copy();
  await repository.edit('releases', (signed) => {
    const entry = (signed['targets'] as Record<string, Entry>)[path] ?? assert.fail(path);
    change(entry);
  });
  return repository;
};

const BLOCKS = `releases/${PRODUCT}/2.0.blocks`;
const PATCH = `releases/${PRODUCT}/2.0.from-1.0.patch`;

test('a host sees the deltas of a release, with the head that proves each', async () => {
  const deltas = await seen(template, '2.0');
  assert.deepEqual(
    deltas.map((one) => [one.kind, one.from?.version, one.head.size]),
    [
      ['blocks', undefined, 4],
      ['patch', '1.0', 4],
    ],
  );
  for (const one of deltas) assert.ok(existsSync(join(template.dir, one.path)), one.path);
  assert.deepEqual(await seen(template, '1.0'), []);
  await check(template);
});

const lies: readonly (readonly [string, string, (entry: Entry) => unknown])[] = [
  ['of another kind than its path', BLOCKS, ({ custom }) => Object.assign(custom, { kind: 'patch' })],
  ['of another version than its path', BLOCKS, ({ custom }) => Object.assign(custom, { version: '1.0' })],
  ['from another version than its path', PATCH, ({ custom }) => Object.assign(custom, { from: { version: '0.9' } })],
  ['from nowhere', PATCH, ({ custom }) => delete custom['from']],
  ['without a head', PATCH, ({ custom }) => delete custom['head']],
  ['smaller than its head', PATCH, (entry) => Object.assign(entry, { length: 3 })],
];
for (const [what, path, change] of lies)
  test(`a delta ${what} is left out, and its release is not`, async () => {
    using repository = await edited(path, change);
    assert.equal((await seen(repository, '2.0')).length, 1);
    assert.equal(
      await codeOf(check(repository)),
      change === lies.at(-1)?.[2] ? 'repository-damaged' : 'target-incomplete',
    );
  });

test('a delta of another manifest is no delta of the release', async () => {
  using repository = await edited(BLOCKS, ({ custom }) => Object.assign(custom, { manifest: '0'.repeat(64) }));
  assert.deepEqual(
    (await seen(repository, '2.0')).map((one) => one.kind),
    ['patch'],
  );
  assert.equal(await codeOf(check(repository)), 'repository-damaged');
});

test('a delta to a release that is not published is refused, and nothing is signed', async () => {
  using repository = template.copy();
  const before = repository.versionOf('releases');
  const stray = newDelta(repository, 'blocks', { manifest: '0'.repeat(64) as Sha256 });
  assert.equal(await codeOf(addDeltas(repository.publisher(), [stray])), 'release-unknown');
  assert.equal(repository.versionOf('releases'), before);
});

test('deltas that are published already change nothing', async () => {
  using repository = template.copy();
  const before = repository.versionOf('releases');
  await addDeltas(repository.publisher(), [newDelta(repository, 'blocks'), newDelta(repository, 'patch')]);
  assert.equal(repository.versionOf('releases'), before);
});

test('a changed byte in a delta is found', async () => {
  using repository = template.copy();
  const [delta] = await seen(repository, '2.0');
  writeFileSync(join(repository.dir, delta?.path ?? ''), 'block5 to 2.0');
  assert.equal(await codeOf(check(repository)), 'repository-damaged');
});

test('a release takes its deltas with it, files too', async () => {
  using repository = template.copy();
  const deltas = await seen(repository, '2.0');
  await removeRelease(repository.publisher(), '2.0' as Version, unneeded);
  for (const { path } of deltas) assert.ok(!existsSync(join(repository.dir, path)), path);
  await check(repository);
});
