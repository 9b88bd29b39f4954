/** What a host believes of a repository, and what it keeps of it. */

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Version } from '../../src/model.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { acceptBundle, createTrust } from '../../src/verify/client.ts';
import { LIMITS } from '../../src/verify/documents.ts';
import { dirMetadata } from '../../src/verify/metadata-fetch.ts';
import { ROLE_NAMES } from '../../src/verify/names.ts';
import { renewRole, rotateKey } from '../../src/verify/publish/rotate-key.ts';
import { daysLater, facts, type Loose, NOW, newSigner, PRODUCT, TestRepository } from '../support/tuf-repository.ts';

test('a host sees the release and the channel that were published', async () => {
  using repository = await new TestRepository().init();
  await repository.add('1.0');
  await repository.promote('1.0');
  const trusted = await repository.host().poll();
  const channel = await trusted.channel('stable');
  assert.equal(channel.version, '1.0');
  const release = await trusted.release(PRODUCT, channel.version);
  assert.equal(release.release.counter, 1);
  assert.match(release.bundle.path, /^targets\/releases\/acme\/[0-9a-f]{64}\.1\.0\.bundle$/);
  assert.equal(trusted.releases().length, 1);
  assert.equal(trusted.expires.role, 'timestamp');
  assert.equal(acceptBundle(trusted, facts('1.0').manifest.sha256).release.version, '1.0');
  const other = facts('2.0').manifest.sha256;
  assert.throws(() => acceptBundle(trusted, other), {
    code: 'release-unknown',
    message: `No release of the repository has the manifest ${other.slice(0, 12)}….`,
  });
  await assert.rejects(trusted.channel('edge'), { code: 'channel-unknown' });
  await assert.rejects(trusted.channel('constructor'), { code: 'channel-unknown' });
  await assert.rejects(trusted.release(PRODUCT, '9.0' as Version), { code: 'release-unknown' });
});

test('a host that was switched off for a year takes up where its repository has arrived by then', async () => {
  using repository = await new TestRepository().init();
  await repository.add('1.0');
  await repository.promote('1.0');
  const host = repository.host();
  await host.poll();
  const late = { now: daysLater(365) };
  await renewRole(repository.publisher(late), 'root');
  for (const role of ROLE_NAMES) {
    const [old] = repository.keys[role];
    const fresh = newSigner();
    await rotateKey(repository.publisher(late), { role, oldKeyId: old?.keyId ?? '', newSigner: fresh });
    repository.keys[role] = [fresh];
  }
  for (let root = 0; root < 20; root++) await renewRole(repository.publisher(late), 'root');
  for (const role of ['targets', 'releases', 'channels'] as const) await renewRole(repository.publisher(late), role);
  for (const version of ['2.0', '3.0']) await repository.add(version, {}, late);
  await repository.promote('3.0', 'stable', late);
  const trusted = await host.poll(late.now);
  assert.equal((await trusted.channel('stable')).version, '3.0');
  assert.equal(trusted.releases().length, 3);
});

async function published(): Promise<TestRepository> {
  const repository = await new TestRepository().init();
  await repository.add('1.0');
  await repository.promote('1.0');
  return repository;
}

test('floors that cannot be understood are put aside as they are, told of once, and the next poll goes on', async () => {
  using repository = await published();
  const warnings: unknown[] = [];
  const log = { ...silentLog, warn: (facts: Record<string, unknown>) => void warnings.push(facts['path']) } as Log;
  const host = repository.host('host', { log });
  mkdirSync(join(repository.top, 'host'));
  const path = join(repository.top, 'host/floors.json');
  writeFileSync(path, 'torn');
  await host.poll();
  assert.equal(readFileSync(`${path}.damaged`, 'utf8'), 'torn');
  assert.deepEqual(warnings, [path]);
  assert.ok(JSON.parse(readFileSync(path, 'utf8')).timestamp.version >= 1);
  await host.poll();
  assert.deepEqual(warnings, [path]);
});

test('a counter that is known already is not written again', async () => {
  using repository = await published();
  const { options } = repository.host();
  const writes: string[] = [];
  const write: typeof options.files.write = (path, chunks) => {
    writes.push(path);
    return options.files.write(path, chunks);
  };
  const trust = createTrust({ ...options, files: { ...options.files, write } });
  for (const counter of [0, 7, 7, 6]) await trust.raiseCounter(PRODUCT, counter);
  assert.equal(writes.length, 1);
  await trust.raiseCounter(PRODUCT, 8);
  assert.equal(writes.length, 2);
  assert.deepEqual([await trust.counterFloor(PRODUCT), await trust.counterFloor('other' as typeof PRODUCT)], [8, 0]);
});

test('what an earlier power cut has left half written among the metadata goes with the next poll', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  const { metadataDir } = host.options;
  writeFileSync(join(metadataDir, 'timestamp.json.tandem-new'), 'torn');
  await host.poll();
  assert.deepEqual(
    readdirSync(metadataDir).filter((name) => name.endsWith('.tandem-new')),
    [],
  );
});

test('what expires first is told, whichever role it is', async () => {
  for (const role of ['timestamp', 'snapshot', 'targets', 'releases', 'channels'] as const) {
    using repository = await published();
    const at = `${new Date(NOW.getTime() + 3_600_000).toISOString().slice(0, 19)}Z`;
    await repository.edit(role, (signed) => {
      signed.expires = at;
    });
    const { expires } = await repository.host().poll();
    assert.deepEqual([expires.role, expires.at.getTime()], [role, Date.parse(at)]);
  }
});

type Listed = Record<string, { length: number; hashes: { sha256: string } }>;

/** The file of the channel, and where it lies in the repository. */
const channelFile = (repository: TestRepository): string => {
  const listed = (repository.read('channels').signed as Loose & { targets: Listed }).targets['channels/stable.json'];
  return `targets/channels/${listed?.hashes.sha256}.stable.json`;
};

test('a channel whose document is not there, or is another, is named as such', async () => {
  using repository = await published();
  const trusted = await repository.host().poll();
  const path = join(repository.dir, channelFile(repository));
  const bytes = readFileSync(path);
  const changed = Buffer.from(bytes);
  changed[changed.length - 2] = 0x20;
  for (const other of [changed, bytes.subarray(1)]) {
    writeFileSync(path, other);
    await assert.rejects(trusted.channel('stable'), { code: 'server-file-changed' });
  }
  rmSync(path);
  await assert.rejects(trusted.channel('stable'), { code: 'not-found-on-server', message: /stable\.json/ });
});

test('a channel is read up to the size that a document may have, and a larger one is not even fetched', async () => {
  using repository = await published();
  for (const [length, fetches] of [
    [LIMITS.channel, true],
    [LIMITS.channel + 1, false],
  ] as const) {
    await repository.edit('channels', (signed) => {
      for (const entry of Object.values(signed['targets'] as Listed)) entry.length = length;
    });
    const fetched: string[] = [];
    const { fetch } = dirMetadata(repository.dir);
    const host = repository.host(`host ${length}`, {
      fetch: (path, limit, signal) => {
        fetched.push(path);
        return fetch(path, limit, signal);
      },
    });
    const trusted = await host.poll();
    await assert.rejects(trusted.channel('stable'), { code: fetches ? 'server-file-changed' : 'target-incomplete' });
    assert.equal(fetched.includes(channelFile(repository)), fetches);
  }
});

test('a release or a delta that makes no sense is left out, and which it was is told', async () => {
  using repository = await published();
  await repository.edit('releases', (signed) => {
    const listed = signed['targets'] as Listed;
    const [entry] = Object.values(listed);
    assert.ok(entry);
    listed['releases/acme/9.0.bundle'] = entry;
    listed['releases/acme/1.0.blocks'] = { ...entry, custom: {} } as typeof entry;
  });
  const told: unknown[] = [];
  const warn = (facts: Record<string, unknown>, text: string) => void told.push([facts['path'], text]);
  const trusted = await repository.host('host', { log: { ...silentLog, warn } as Log }).poll();
  assert.deepEqual(
    trusted.releases().map(({ release }) => release.version),
    ['1.0'],
  );
  assert.deepEqual(told, [
    ['releases/acme/1.0.blocks', 'A delta is ignored.'],
    ['releases/acme/9.0.bundle', 'A release is ignored.'],
  ]);
});
