import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Version } from '../../src/model.ts';
import { acceptBundle } from '../../src/verify/client.ts';
import { ROLE_NAMES } from '../../src/verify/names.ts';
import { renewRole, rotateKey } from '../../src/verify/rotate-key.ts';
import { daysLater, facts, newSigner, PRODUCT, TestRepository } from '../support/tuf-repository.ts';

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
  assert.throws(() => acceptBundle(trusted, facts('2.0').manifest.sha256), { code: 'release-unknown' });
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
