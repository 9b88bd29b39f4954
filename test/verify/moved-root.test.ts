/** A fleet moves to a repository with another root of trust: an image brings it, and nobody else can. */

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { test } from 'node:test';
import { createReleases } from '../../src/agent/find/releases.ts';
import type { MachineId, Product, Release, Version } from '../../src/model.ts';
import { realClock } from '../../src/system/clock.ts';
import { createHttp } from '../../src/system/http/http.ts';
import { silentLog } from '../../src/system/log.ts';
import { createTrust, type TrustOptions } from '../../src/verify/client.ts';
import { floorsFile, floorsUnder, readFloors, withFloors } from '../../src/verify/floors.ts';
import { dirMetadata, type MetadataMirror } from '../../src/verify/metadata-fetch.ts';
import { renewRole } from '../../src/verify/publish/rotate-key.ts';
import { codeOf, NOW, PRODUCT, quickFiles, TestRepository } from '../support/tuf-repository.ts';

/** A repository whose root was rotated twice, and another one whose root is new; `shared` keys but that of the root are the same. */
async function twoRepositories(shared = false) {
  const before = await new TestRepository().init();
  await before.add('1.0');
  await before.promote('1.0');
  for (let times = 0; times < 2; times++) await renewRole(before.publisher(), 'root');
  const after = new TestRepository();
  if (shared) Object.assign(after.keys, { ...before.keys, root: after.keys.root });
  await after.init();
  await after.add('1.0');
  await after.add('2.0');
  await after.promote('2.0');
  return { before, after, [Symbol.dispose]: () => [before, after].forEach((one) => void one[Symbol.dispose]()) };
}

/** One host, as the image of either repository has it: the same state folder, another root and another address. */
function hostOf(before: TestRepository) {
  const { options } = before.host();
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: unknown, text?: string) => void warnings.push(text ?? '') };
  const as = (root: Uint8Array, mirror: MetadataMirror): TrustOptions => ({
    ...options,
    embeddedRoot: root,
    mirrors: [mirror],
    log,
  });
  const poll = (repository: TestRepository, mirror = dirMetadata(repository.dir)) =>
    codeOf(createTrust(as(repository.root, mirror)).refresh(NOW, new AbortController().signal));
  return { options, warnings, as, poll };
}

for (const shared of [false, true])
  for (const isGone of [false, true])
    test(`an image with another root and address is followed, with the old repository ${isGone ? 'gone' : 'still there'}${shared ? ' and the same keys below the root' : ''}`, async () => {
      using fleet = await twoRepositories(shared);
      const { before, after } = fleet;
      const { poll, warnings } = hostOf(before);
      assert.equal(await poll(before), 'accepted');
      if (isGone) rmSync(before.dir, { recursive: true });
      for (let polls = 0; polls < 2; polls++) assert.equal(await poll(after), 'accepted');
      assert.deepEqual(warnings, [], 'nothing is damaged');
    });

test('an image that falls back finds the floors of its own root again', async () => {
  using fleet = await twoRepositories();
  const { before, after } = fleet;
  const { poll } = hostOf(before);
  using old = before.copy();
  await before.add('5.0');
  assert.equal(await poll(before), 'accepted');
  assert.equal(await poll(after), 'accepted');
  assert.equal(await poll(before, dirMetadata(old.dir)), 'metadata-rollback', 'replayed');
  assert.equal(await poll(before), 'accepted');
  assert.equal(await poll(after), 'accepted');
});

test('whoever answers for the new address cannot lead a host back to the old root, nor drop its floors', async () => {
  using fleet = await twoRepositories(true);
  const { before, after } = fleet;
  const { poll } = hostOf(before);
  using old = after.copy();
  await after.add('3.0');
  assert.equal(await poll(before), 'accepted');
  assert.equal(await poll(after), 'accepted');
  assert.equal(await poll(after, dirMetadata(before.dir)), 'metadata-signature');
  assert.equal(await poll(after, dirMetadata(old.dir)), 'metadata-rollback');
  assert.equal(await poll(after), 'accepted');
});

test('an image that brings a newer or an older root of the same repository keeps its floors', async () => {
  using fleet = await twoRepositories();
  const { before } = fleet;
  using old = before.copy();
  await before.add('5.0');
  const { as, poll, options } = hostOf(before);
  assert.equal(await poll(before), 'accepted');
  for (const version of [3, 2, 1]) {
    const root = readFileSync(join(before.dir, `metadata/${version}.root.json`));
    rmSync(options.metadataDir, { recursive: true });
    const replayed = createTrust(as(root, dirMetadata(old.dir))).refresh(NOW, new AbortController().signal);
    assert.equal(await codeOf(replayed), 'metadata-rollback', `the image has root ${version}`);
  }
});

test('what one mirror has shown stays a floor when the poll goes on at another', async () => {
  using fleet = await twoRepositories();
  const { before } = fleet;
  const { options, poll } = hostOf(before);
  assert.equal(await poll(before), 'accepted');
  using old = before.copy();
  await before.add('5.0');
  const newest = dirMetadata(before.dir);
  const broken: MetadataMirror = {
    name: 'broken',
    fetch: (path, ...rest) =>
      path.endsWith('snapshot.json') ? Promise.resolve(undefined) : newest.fetch(path, ...rest),
  };
  const mirrors = [broken, dirMetadata(old.dir)];
  const both = createTrust({ ...options, mirrors }).refresh(NOW, new AbortController().signal);
  await assert.rejects(both);
  assert.equal(await poll(before, dirMetadata(old.dir)), 'metadata-rollback');
});

test('a root that was only signed once more is the same root', async () => {
  using fleet = await twoRepositories();
  const { before } = fleet;
  using old = before.copy();
  await before.add('5.0');
  const { as, poll, options } = hostOf(before);
  assert.equal(await poll(before), 'accepted');
  rmSync(options.metadataDir, { recursive: true });
  const document = JSON.parse(Buffer.from(before.root).toString('utf8'));
  const root = Buffer.from(JSON.stringify({ signed: document.signed, signatures: document.signatures }, undefined, 2));
  const replayed = createTrust(as(root, dirMetadata(old.dir))).refresh(NOW, new AbortController().signal);
  assert.equal(await codeOf(replayed), 'metadata-rollback');
});

/** What an agent wrote that knew one root only. */
function withoutRoots(options: TrustOptions): void {
  const { roots: _, others: __, ...old } = JSON.parse(readFileSync(options.floorsPath, 'utf8'));
  writeFileSync(options.floorsPath, JSON.stringify(old));
}

test('floors that do not say whose they are count for the root they were kept with, and for no other', async () => {
  for (const isMoved of [false, true]) {
    using fleet = await twoRepositories(true);
    const { before, after } = fleet;
    using old = before.copy();
    await before.add('5.0');
    const { poll, options } = hostOf(before);
    assert.equal(await poll(before), 'accepted');
    withoutRoots(options);
    if (isMoved) assert.equal(await poll(after), 'accepted');
    assert.equal(await poll(before, dirMetadata(old.dir)), 'metadata-rollback');
    assert.equal(await poll(before), 'accepted');
  }
});

test('an agent that knows one root only reads the floors that are in force', async () => {
  using fleet = await twoRepositories();
  const { before, after } = fleet;
  const { poll, options } = hostOf(before);
  await poll(before);
  await poll(after);
  const { schema, root, timestamp } = JSON.parse(readFileSync(options.floorsPath, 'utf8'));
  assert.deepEqual([schema, root, timestamp.version], [1, 1, 4]);
});

test('release counters belong to the root as well: another repository may count as it likes', async () => {
  using fleet = await twoRepositories();
  const { before, after } = fleet;
  const { as } = hostOf(before);
  const [one, other] = [before, after].map(({ root, dir }) => createTrust(as(root, dirMetadata(dir))));
  await one?.raiseCounter(PRODUCT, 70);
  await other?.raiseCounter(PRODUCT, 2);
  assert.deepEqual([await one?.counterFloor(PRODUCT), await other?.counterFloor(PRODUCT)], [70, 2]);
});

test('floors that were raised apart under one chain of roots are one from then on, and none gets lower', () => {
  const digest = (letter: string) => letter.repeat(64) as never;
  const raised = (root: number, letters: string, version: number, keys: string, counter: number) => ({
    roots: [...letters].map(digest),
    root,
    timestamp: { version, keys },
    snapshot: { version, keys },
    meta: new Map([['releases.json', version]]),
    counters: new Map([[PRODUCT, counter]]),
  });
  for (const known of [
    [raised(3, 'ab', 7, 'aa', 5), raised(2, 'c', 9, 'aa', 4)],
    [raised(2, 'c', 9, 'aa', 4), raised(3, 'ab', 7, 'aa', 5)],
  ]) {
    const { root, timestamp, snapshot, meta, counters } = floorsUnder(known, ['c', 'b'].map(digest));
    assert.deepEqual([root, timestamp?.version, snapshot?.version], [3, 9, 9]);
    assert.deepEqual([meta.get('releases.json'), counters.get(PRODUCT)], [9, 5]);
  }
  const rotated = [raised(3, 'ab', 7, 'bb', 5), raised(2, 'c', 9, 'aa', 4)];
  assert.equal(floorsUnder(rotated, ['c', 'b'].map(digest)).timestamp?.version, 7, 'the keys of the newer root count');
  assert.equal(floorsUnder(rotated, [digest('d')]).root, 0);
});

test('what is written of any number of roots can be read again', () => {
  let known = readFloors(floorsFile([]));
  for (let image = 0; image < 10; image++) {
    const chain = Array.from({ length: 300 }, (_, index) => (1e63 * (image + 1) + index).toString(16).padEnd(64, '0'));
    known = withFloors(known, floorsUnder(known, chain as never));
    const again = readFloors(floorsFile(known));
    assert.deepEqual(again, known);
    assert.equal(again[0]?.roots[0], chain[0], 'the root of the image is never forgotten');
  }
});

test('end to end over HTTP: the host that was moved is offered what the new address has, though the old one lives on', async () => {
  using fleet = await twoRepositories();
  const { before, after } = fleet;
  const { options } = hostOf(before);
  await using old = await served(before.dir);
  await using fresh = await served(after.dir);
  const http = createHttp({ connectTimeoutMs: 2000, idleTimeoutMs: 2000, userAgent: 'test', clock: realClock });
  const running = { product: PRODUCT, version: '1.0', counter: 1 } as Release;
  const offered = async (url: string, embeddedRoot: Uint8Array): Promise<Version | undefined> => {
    const releases = createReleases({
      product: PRODUCT as Product,
      channel: 'stable',
      group: 'default',
      machine: async () => 'a'.repeat(32) as MachineId,
      urls: [url],
      http,
      resumption: { clock: realClock, random: { fraction: () => 0, bytes: () => new Uint8Array() } },
      trust: (mirrors) => createTrust({ ...options, files: quickFiles, embeddedRoot, mirrors }),
    });
    const found = await releases.find({}, running, NOW, new AbortController().signal);
    return 'trusted' in found ? found.trusted.release.version : undefined;
  };
  assert.equal(await offered(old.url, before.root), '1.0');
  assert.equal(await offered(fresh.url, after.root), '2.0');
  await assert.rejects(offered(old.url, after.root), { code: 'metadata-signature' });
  await old[Symbol.asyncDispose]();
  assert.equal(await offered(fresh.url, after.root), '2.0');
});

/** A folder over HTTP. */
async function served(dir: string) {
  const server = createServer(({ url = '/' }, response) => {
    try {
      response.end(readFileSync(join(dir, normalize(decodeURIComponent(new URL(url, 'http://x').pathname)))));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}
