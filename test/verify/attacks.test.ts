import assert from 'node:assert/strict';
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UpdateError } from '../../src/errors.ts';
import type { Version } from '../../src/model.ts';
import { realFiles } from '../../src/system/files.ts';
import { MAX_TARGETS } from '../../src/verify/documents.ts';
import { dirMetadata } from '../../src/verify/metadata-fetch.ts';
import { refreshRepository } from '../../src/verify/publish/publisher.ts';
import { renewRole, rotateKey } from '../../src/verify/publish/rotate-key.ts';
import { codeOf, daysLater, type Loose, NOW, newSigner, PRODUCT, TestRepository } from '../support/tuf-repository.ts';

const template = await new TestRepository().init();
await template.add('1.0');
await template.promote('1.0');
after(() => template[Symbol.dispose]());

const published = async (): Promise<TestRepository> => template.copy();

/** What a server showed at a moment, to be shown again later. */
const snapshotOf = (repository: TestRepository) => {
  const kept = `${repository.dir}-kept`;
  return {
    take: () => realCopy(repository.dir, kept),
    replay: dirMetadata(kept).fetch,
  };
};

const realCopy = async (from: string, to: string): Promise<void> => {
  const { cp } = await import('node:fs/promises');
  await cp(from, to, { recursive: true });
};

for (const role of ['timestamp', 'snapshot', 'targets', 'releases', 'channels'] as const)
  test(`expired ${role} metadata is refused with its name`, async () => {
    using repository = await published();
    const soon = { timestamp: 1, snapshot: 1, targets: 1, releases: 1, channels: 1, [role]: -1 };
    await repository.edit(role, (signed) => {
      signed.expires = `${daysLater(soon[role]).toISOString().slice(0, 19)}Z`;
    });
    await assert.rejects(repository.host().poll(), (error: UpdateError) => {
      assert.equal(error.code, 'metadata-expired');
      assert.match(
        error.message,
        new RegExp(`^${role}.json expired on 2029-12-31T12:00:00Z; the local clock shows 2030-01-01`),
      );
      return true;
    });
  });

test('frozen metadata is refused once it has expired', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  assert.equal(await host.refused(daysLater(1)), 'accepted');
  assert.equal(await host.refused(daysLater(3)), 'metadata-expired');
  assert.equal(await host.refused(daysLater(400)), 'metadata-expired');
});

test('an expired root in the image is fine when a newer one can be had', async () => {
  using repository = await published();
  const late = { now: daysLater(400) };
  await renewRole(repository.publisher(late), 'root');
  for (const role of ['targets', 'releases', 'channels'] as const) await renewRole(repository.publisher(late), role);
  assert.equal(await repository.host().refused(late.now), 'accepted');
});

test('an expired newest root is refused', async () => {
  using repository = await published();
  for (const role of ['targets', 'releases', 'channels'] as const)
    await renewRole(repository.publisher({ now: daysLater(400) }), role);
  await assert.rejects(repository.host().poll(daysLater(400)), /root\.json expired on 2031-01-01T12:00:00Z/);
});

test('a replayed older timestamp is refused', async () => {
  using repository = await published();
  const old = snapshotOf(repository);
  await old.take();
  await repository.add('2.0');
  await repository.host().poll();
  assert.equal(await repository.host('host', { fetch: old.replay }).refused(), 'metadata-rollback');
});

test('a replay is refused by the floors when all local metadata is lost', async () => {
  using repository = await published();
  const old = snapshotOf(repository);
  await old.take();
  await repository.add('2.0');
  const host = repository.host();
  await host.poll();
  rmSync(host.options.metadataDir, { recursive: true });
  assert.equal(await repository.host('host', { fetch: old.replay }).refused(), 'metadata-rollback');
  assert.equal(await host.refused(), 'accepted');
});

test('a replay is refused when local timestamp and snapshot are torn', async () => {
  using repository = await published();
  const old = snapshotOf(repository);
  await old.take();
  await repository.add('2.0');
  const host = repository.host();
  await host.poll();
  for (const name of ['timestamp.json', 'snapshot.json']) truncateSync(join(host.options.metadataDir, name), 100);
  assert.equal(await repository.host('host', { fetch: old.replay }).refused(), 'metadata-rollback');
  assert.equal(await host.refused(), 'accepted');
});

test('a replay is refused when the local metadata was put back to the same old state', async () => {
  using repository = await published();
  const old = snapshotOf(repository);
  await old.take();
  const host = repository.host();
  await host.poll();
  const kept = `${host.options.metadataDir}-kept`;
  await realCopy(host.options.metadataDir, kept);
  await repository.add('2.0');
  await host.poll();
  rmSync(host.options.metadataDir, { recursive: true });
  renameSync(kept, host.options.metadataDir);
  assert.equal(await repository.host('host', { fetch: old.replay }).refused(), 'metadata-rollback');
});

test('the same timestamp version with other content changes nothing', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  const before = readFileSync(join(host.options.metadataDir, 'timestamp.json'));
  const { signed } = repository.read('timestamp');
  await repository.edit('timestamp', (again) => {
    again.version = signed.version;
    again.expires = '2030-01-02T00:00:00Z';
  });
  assert.equal(await host.refused(), 'accepted');
  assert.deepEqual(readFileSync(join(host.options.metadataDir, 'timestamp.json')), before);
});

test('a snapshot that drops a role is refused', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  await repository.edit('snapshot', (signed) => {
    delete (signed['meta'] as Record<string, unknown>)['channels.json'];
  });
  assert.equal(await host.refused(), 'metadata-rollback');
  rmSync(host.options.metadataDir, { recursive: true });
  assert.equal(await host.refused(), 'metadata-rollback');
});

test('a snapshot that lowers the version of a role is refused', async () => {
  using repository = await published();
  await repository.add('2.0');
  const host = repository.host();
  await host.poll();
  const old = JSON.parse(readFileSync(join(repository.dir, 'metadata/2.snapshot.json'), 'utf8')).signed.meta;
  await repository.edit('snapshot', (signed) => {
    (signed['meta'] as Record<string, unknown>)['releases.json'] = old['releases.json'];
  });
  assert.equal(await host.refused(), 'metadata-rollback');
});

test('a root that the old keys did not sign is refused', async () => {
  using repository = await published();
  using stranger = await new TestRepository().init();
  await renewRole(stranger.publisher(), 'root');
  writeFileSync(join(repository.dir, 'metadata/2.root.json'), readFileSync(join(stranger.dir, 'metadata/2.root.json')));
  assert.equal(await repository.host().refused(), 'metadata-signature');
});

test('a repository of strangers is refused', async () => {
  using repository = await published();
  using stranger = await new TestRepository().init();
  assert.equal(
    await repository.host('host', { fetch: dirMetadata(stranger.dir).fetch }).refused(),
    'metadata-signature',
  );
});

for (const [what, role] of [
  ['timestamp', 'timestamp'],
  ['snapshot', 'snapshot'],
  ['releases', 'releases'],
] as const)
  test(`${what} metadata signed by a wrong key is refused`, async () => {
    using repository = await published();
    const right = repository.keys[role];
    repository.keys[role] = [newSigner()];
    await repository.edit(role, () => {});
    repository.keys[role] = right;
    assert.equal(await repository.host().refused(), 'metadata-signature');
  });

test('one changed byte in a hashed file is refused before it is parsed', async () => {
  using repository = await published();
  const path = repository.path('releases');
  const bytes = readFileSync(path);
  bytes[0] = 0x5b;
  writeFileSync(path, bytes);
  await assert.rejects(repository.host().poll(), { code: 'metadata-invalid', message: /Expected hash/ });
});

test('files of two publications mixed are refused', async () => {
  using repository = await published();
  const older = readFileSync(repository.path('releases'));
  await repository.add('2.0');
  writeFileSync(repository.path('releases'), older);
  assert.equal(await repository.host().refused(), 'metadata-invalid');
});

const odd: readonly (readonly [string, (signed: Loose) => void])[] = [
  ['version 0', (signed) => (signed.version = 0)],
  ['a negative version', (signed) => (signed.version = -1)],
  ['a version above 2^53', (signed) => Object.assign(signed, { version: 1e21 })],
  ['a version as text', (signed) => Object.assign(signed, { version: '7' })],
  ['expiry "never"', (signed) => (signed.expires = 'never')],
  ['expiry "2099"', (signed) => (signed.expires = '2099')],
  ['expiry without a zone', (signed) => (signed.expires = '2099-01-01T00:00:00')],
  ['expiry as an HTTP date', (signed) => (signed.expires = 'Thu, 01 Jan 2099 00:00:00 GMT')],
  ['expiry on a day that does not exist', (signed) => (signed.expires = '2099-02-30T00:00:00Z')],
  ['a type of another role', (signed) => (signed['_type'] = 'snapshot')],
];
for (const [what, change] of odd)
  test(`a timestamp with ${what} is refused`, async () => {
    using repository = await published();
    await repository.edit('timestamp', change);
    assert.equal(await repository.host().refused(), 'metadata-invalid');
  });

test('a version that jumps by more than a million is refused', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  await repository.edit('timestamp', (signed) => {
    signed.version = 2 ** 53 - 1;
  });
  assert.equal(await host.refused(), 'metadata-invalid');
});

test('a newer TUF specification is named as such', async () => {
  using repository = await published();
  await repository.edit('timestamp', (signed) => {
    signed['spec_version'] = '2.0.0';
  });
  assert.equal(await repository.host().refused(), 'metadata-newer');
});

test('duplicate keys in JSON are refused', async () => {
  using repository = await published();
  const path = repository.path('timestamp');
  const text = readFileSync(path, 'utf8').trim();
  writeFileSync(path, text.replace(/\}$/, ',"\\u0073igned":{}}').replace('"signed"', '"signed"'));
  await assert.rejects(repository.host().poll(), { code: 'metadata-invalid', message: /the key "signed" twice/ });
});

test('bytes that are not UTF-8 are refused', async () => {
  using repository = await published();
  const path = repository.path('timestamp');
  const text = readFileSync(path, 'latin1').trim();
  writeFileSync(path, text.replace(/\}$/, ',"note":"\xff"}'), 'latin1');
  assert.equal(await repository.host().refused(), 'metadata-invalid');
});

test('a captive portal is not metadata, and nothing of it is kept', async () => {
  using repository = await published();
  const html = async (path: string) => (path.includes('root') ? undefined : Buffer.from('<html>Please log in</html>'));
  const host = repository.host('host', { fetch: html });
  assert.equal(await host.refused(), 'metadata-invalid');
  assert.deepEqual(await realFiles.list(host.options.metadataDir), []);
});

test('more targets than clients accept in a role are refused quickly', async () => {
  using repository = await published();
  const { signed } = repository.read('releases');
  const [entry] = Object.values(signed['targets'] as object);
  await repository.edit('releases', (again) => {
    again['targets'] = Object.fromEntries(
      Array.from({ length: MAX_TARGETS + 1 }, (_, index) => [`releases/acme/${index}.bundle`, entry]),
    );
  });
  await assert.rejects(repository.host().poll(), {
    code: 'metadata-invalid',
    message: new RegExp(`at most ${MAX_TARGETS}`),
  });
});

for (const path of [
  'releases/../../x.bundle',
  'releases/acme/1.0.bundle?x',
  'releases/acme/%2e.bundle',
  'channels/x.json',
  'constructor',
])
  test(`a releases role that lists ${path} is refused`, async () => {
    using repository = await published();
    await repository.edit('releases', (signed) => {
      const targets = signed['targets'] as Record<string, unknown>;
      targets[path] = Object.values(targets)[0];
    });
    assert.equal(await repository.host().refused(), 'metadata-invalid');
  });

for (const [what, change] of [
  ['a pattern that takes hours to match', { paths: ['releases/*(a|a?)+/*'] }],
  ['everything', { paths: ['*/*/*'] }],
  ['the paths of the other role', { paths: ['channels/*'] }],
  ['a role called __proto__', { name: '__proto__' }],
  ['a role called constructor', { name: 'constructor' }],
  ['a role that does not terminate', { terminating: false }],
] as const)
  test(`a delegation with ${what} is refused`, async () => {
    using repository = await published();
    await repository.edit('targets', (signed) => {
      Object.assign((signed['delegations'] as { roles: object[] }).roles[0] ?? {}, change);
    });
    assert.equal(await repository.host().refused(), 'metadata-invalid');
  });

test('one key under two names does not count twice', async () => {
  using repository = await published();
  await repository.edit('targets', (signed) => {
    const delegations = signed['delegations'] as { keys: Record<string, unknown>; roles: { keyids: string[] }[] };
    const [key] = Object.values(delegations.keys);
    delegations.keys['0'.repeat(64)] = key;
  });
  assert.equal(await repository.host().refused(), 'metadata-invalid');
});

test('an unknown hash algorithm is refused', async () => {
  using repository = await published();
  await repository.edit('releases', (signed) => {
    const targets = signed['targets'] as Record<string, Record<string, unknown>>;
    for (const entry of Object.values(targets)) entry['hashes'] = { md5: '0'.repeat(32) };
  });
  assert.equal(await repository.host().refused(), 'metadata-invalid');
});

test('unknown fields are kept and covered by the signature', async () => {
  using repository = await published();
  await repository.edit('timestamp', (signed) => {
    signed['x-later'] = { any: ['thing'] };
  });
  assert.equal(await repository.host().refused(), 'accepted');
});

for (const field of ['counter', 'manifest', 'product', 'architecture', 'minAgent'])
  test(`a release without ${field} is named incomplete, and the others stay`, async () => {
    using repository = await published();
    await repository.add('2.0');
    await repository.edit('releases', (signed) => {
      const targets = signed['targets'] as Record<string, { custom: Record<string, unknown> }>;
      delete targets['releases/acme/2.0.bundle']?.custom[field];
    });
    const trusted = await repository.host().poll();
    await assert.rejects(trusted.release(PRODUCT, '2.0' as Version), { code: 'target-incomplete' });
    assert.deepEqual(
      trusted.releases().map((one) => one.release.version),
      ['1.0'],
    );
  });

test('an entry that describes another release than its path is named incomplete', async () => {
  using repository = await published();
  await repository.edit('releases', (signed) => {
    const targets = signed['targets'] as Record<string, { custom: Record<string, unknown> }>;
    Object.assign(targets['releases/acme/1.0.bundle']?.custom ?? {}, { version: '9.0' });
  });
  const trusted = await repository.host().poll();
  await assert.rejects(trusted.release(PRODUCT, '1.0' as Version), { code: 'target-incomplete' });
});

test('a swapped channel document is refused', async () => {
  using repository = await published();
  await repository.promote('1.0', 'edge');
  const { fetch } = dirMetadata(repository.dir);
  const host = repository.host('host', {
    fetch: async (path, limit, signal) => {
      const bytes = await fetch(path, limit, signal);
      return path.startsWith('targets/') ? Buffer.from(String(bytes).replace('1.0', '9.9')) : bytes;
    },
  });
  await assert.rejects((await host.poll()).channel('edge'), { code: 'server-file-changed' });
});

test('a clock at 1970 or years slow is refused before anything is fetched', async () => {
  using repository = await published();
  const never = async (): Promise<undefined> => assert.fail('fetched');
  const host = repository.host('fresh', { fetch: never });
  assert.equal(await host.refused(new Date(0)), 'clock-not-set');
  assert.equal(await host.refused(daysLater(-730)), 'clock-not-set');
  await repository.host().poll();
  assert.equal(await repository.host('host', { fetch: never }).refused(daysLater(-730)), 'clock-not-set');
});

test('a clock years ahead shows expiry and local time side by side', async () => {
  using repository = await published();
  await assert.rejects(repository.host().poll(daysLater(3000)), /expired on .* the local clock shows 2038-03-20/);
});

test('a torn or empty root that was kept is put aside and fetched again', async () => {
  using repository = await published();
  await renewRole(repository.publisher(), 'root');
  const host = repository.host();
  await host.poll();
  const kept = join(host.options.metadataDir, '2.root.json');
  for (const size of [0, 100]) {
    truncateSync(kept, size);
    assert.equal(await host.refused(), 'accepted');
    assert.deepEqual(readFileSync(kept), readFileSync(join(repository.dir, 'metadata/2.root.json')));
  }
});

test('every local file may be torn or empty without stopping updates', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  for (const name of await realFiles.list(host.options.metadataDir))
    for (const size of [0, 50]) {
      truncateSync(join(host.options.metadataDir, name), size);
      assert.equal(await host.refused(), 'accepted', `${name} cut to ${size}`);
    }
  truncateSync(host.options.floorsPath, 10);
  assert.equal(await host.refused(), 'accepted');
});

test('kept roots are replayed without the network', async () => {
  using repository = await published();
  await renewRole(repository.publisher(), 'root');
  await repository.host().poll();
  const asked: string[] = [];
  const { fetch } = dirMetadata(repository.dir);
  const host = repository.host('host', {
    fetch: (path, limit, signal) => {
      asked.push(path);
      return fetch(path, limit, signal);
    },
  });
  await host.poll();
  assert.deepEqual(asked, ['metadata/3.root.json', 'metadata/timestamp.json']);
});

test('a server that hides the newest root is refused when the kept copy is lost', async () => {
  using repository = await published();
  await renewRole(repository.publisher(), 'root');
  const host = repository.host();
  await host.poll();
  rmSync(join(host.options.metadataDir, '2.root.json'));
  rmSync(join(repository.dir, 'metadata/2.root.json'));
  assert.equal(await host.refused(), 'metadata-rollback');
});

test('a host 300 roots behind catches up in two polls', async () => {
  using repository = await published();
  for (let version = 2; version <= 301; version++) await renewRole(repository.publisher(), 'root');
  const host = repository.host();
  assert.equal(await host.refused(), 'metadata-behind');
  assert.equal(await host.refused(), 'accepted');
});

test('403 for the next root means that there is none; 500 and 410 stop the poll', async () => {
  using repository = await published();
  const { fetch } = dirMetadata(repository.dir);
  const answering = (code: 'server-denied' | 'not-found-on-server' | 'server-failed', status: number) =>
    repository.host('host', {
      fetch: (path, limit, signal) =>
        path.endsWith('.root.json')
          ? Promise.reject(new UpdateError(code, 'no', { details: { status } }))
          : fetch(path, limit, signal),
    });
  assert.equal(await answering('server-denied', 403).refused(), 'accepted');
  assert.equal(await answering('not-found-on-server', 410).refused(), 'not-found-on-server');
  assert.equal(await answering('server-failed', 500).refused(), 'server-failed');
});

test('a stolen timestamp key that ran versions up is overcome by a new key', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  await repository.edit('timestamp', (signed) => {
    signed.version = 900_000;
  });
  await host.poll();
  const [old] = repository.keys.timestamp;
  const fresh = newSigner();
  await rotateKey(repository.publisher(), { role: 'timestamp', oldKeyId: old?.keyId ?? '', newSigner: fresh });
  repository.keys.timestamp = [fresh];
  await repository.edit('timestamp', (signed) => {
    signed.version = 5;
  });
  assert.equal(await host.refused(), 'accepted');
});

test('accepted roots are kept although the rest of the poll failed', async () => {
  using repository = await published();
  await renewRole(repository.publisher(), 'root');
  rmSync(join(repository.dir, 'metadata/timestamp.json'));
  const host = repository.host();
  assert.equal(await host.refused(), 'not-found-on-server');
  assert.deepEqual(await realFiles.list(host.options.metadataDir), ['2.root.json']);
});

test('release counters never go down', async () => {
  using repository = await published();
  const { createTrust } = await import('../../src/verify/client.ts');
  const trust = createTrust(repository.host().options);
  assert.equal(await trust.counterFloor(PRODUCT), 0);
  await trust.raiseCounter(PRODUCT, 7);
  await trust.raiseCounter(PRODUCT, 5);
  await repository.host().poll();
  assert.equal(await trust.counterFloor(PRODUCT), 7);
});

test('an image whose root is not a root is named', async () => {
  using repository = await published();
  assert.equal(await repository.host('host', { embeddedRoot: Buffer.from('{}') }).refused(), 'trust-root-invalid');
});

test('refreshing keeps the repository acceptable beyond the life of its first timestamp', async () => {
  using repository = await published();
  const host = repository.host();
  for (const days of [1, 2, 3, 9, 15, 21]) {
    await refreshRepository(repository.publisher({ now: daysLater(days) }));
    assert.equal(await host.refused(daysLater(days + 1)), 'accepted', `day ${days}`);
  }
  assert.equal(await codeOf(host.poll(NOW)), 'clock-not-set');
});

for (const role of ['releases', 'channels'] as const)
  test(`a ${role} role that hands its word on to others is refused`, async () => {
    using repository = await published();
    const { delegations } = repository.read('targets').signed as Loose & { delegations: unknown };
    await repository.edit(role, (signed) => {
      signed['delegations'] = delegations;
    });
    await assert.rejects(repository.host().poll(), { code: 'metadata-invalid', message: /must not delegate further/ });
  });

test('the document of one channel does not pass for that of another', async () => {
  using repository = await published();
  await repository.edit('channels', (signed) => {
    const targets = signed['targets'] as Record<string, { hashes: { sha256: string } }>;
    const stable = targets['channels/stable.json'];
    assert.ok(stable);
    targets['channels/edge.json'] = stable;
    const at = (name: string): string => join(repository.dir, `targets/channels/${stable.hashes.sha256}.${name}.json`);
    writeFileSync(at('edge'), readFileSync(at('stable')));
  });
  const trusted = await repository.host().poll();
  assert.equal((await trusted.channel('stable')).channel, 'stable');
  await assert.rejects(trusted.channel('edge'), {
    code: 'target-incomplete',
    message: /document of the channel "stable"/,
  });
});

test('what a poll has accepted before it failed is a floor, too', async () => {
  using repository = await published();
  const old = snapshotOf(repository);
  await old.take();
  await repository.add('2.0');
  const { fetch } = dirMetadata(repository.dir);
  const torn = async (path: string, limit: number, signal: AbortSignal): Promise<Uint8Array | undefined> =>
    path.includes('releases.json') ? undefined : fetch(path, limit, signal);
  const host = repository.host('host', { mirrors: [{ ...dirMetadata(repository.dir), fetch: torn }] });
  assert.notEqual(await host.refused(), 'accepted');
  rmSync(host.options.metadataDir, { recursive: true });
  const replayed = repository.host('host', { mirrors: [{ ...dirMetadata(repository.dir), fetch: old.replay }] });
  assert.equal(await replayed.refused(), 'metadata-rollback');
  assert.equal(await repository.host().refused(), 'accepted');
});
