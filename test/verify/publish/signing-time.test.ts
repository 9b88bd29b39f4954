/** Publishers whose clocks are wrong: nothing that is signed goes back in time, or is good for longer than it should be. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ROLE_NAMES, type RoleName } from '../../../src/verify/names.ts';
import type { Insistable } from '../../../src/verify/publish/insist.ts';
import type { Publisher } from '../../../src/verify/publish/publish.ts';
import { refreshRepository } from '../../../src/verify/publish/publisher.ts';
import { renewRole, rotateKey } from '../../../src/verify/publish/rotate-key.ts';
import { codeOf, daysLater, NOW, newSigner, TestRepository } from '../../support/tuf-repository.ts';

const template = await new TestRepository().init();
await template.add('1.0');
await template.promote('1.0');
after(() => template[Symbol.dispose]());

const MINUTE = 1 / 1440;
const insists = (...codes: Insistable[]): Pick<Publisher, 'insists'> => ({ insists: new Set(codes) });
const refreshed = (repository: TestRepository, change: Partial<Publisher>): Promise<string> =>
  codeOf(refreshRepository(repository.publisher(change)));

/** Times of what is in use, as days from now. */
function daysOf(repository: TestRepository, role: RoleName): { issued: number; expires: number } {
  const { issued, expires } = repository.read(role).signed;
  const days = (text: unknown): number => (Date.parse(String(text)) - NOW.getTime()) / 86_400_000;
  return { issued: days(issued), expires: days(expires) };
}

test('nothing is signed by a clock that is behind what was signed last', async () => {
  using repository = template.copy();
  const before = daysOf(repository, 'timestamp');
  for (const days of [-400, -1, -6 * MINUTE])
    assert.equal(await refreshed(repository, { now: daysLater(days) }), 'clock-behind', `${days} days`);
  assert.equal(await codeOf(repository.promote('1.0', 'edge', { now: daysLater(-1) })), 'clock-behind');
  assert.equal(await codeOf(repository.add('2.0', {}, { now: daysLater(-1) })), 'clock-behind');
  assert.deepEqual(daysOf(repository, 'timestamp'), before);
});

for (const role of ROLE_NAMES)
  test(`${role} is not renewed by a clock that is behind`, async () => {
    using repository = template.copy();
    const before = repository.versionOf(role);
    const renew = (change: Partial<Publisher>): Promise<string> =>
      codeOf(renewRole(repository.publisher(change), role));
    assert.equal(await renew({ now: daysLater(-1) }), 'clock-behind');
    assert.equal(repository.versionOf(role), before);
    assert.equal(await renew({ now: daysLater(-1), ...insists('clock-behind') }), 'accepted');
  });

test('a clock that is some minutes behind signs with the time at which the repository is', async () => {
  using repository = template.copy();
  assert.equal(await refreshed(repository, { now: daysLater(-4 * MINUTE) }), 'accepted');
  assert.deepEqual(daysOf(repository, 'timestamp'), { issued: 0, expires: 2 });
  assert.equal(await refreshed(repository, { now: daysLater(MINUTE) }), 'accepted');
  assert.deepEqual(daysOf(repository, 'timestamp'), { issued: MINUTE, expires: 2 + MINUTE });
});

test('an expiry does not go back, but for somebody who means it', async () => {
  using repository = template.copy();
  const shorter = { lifetimeDays: { timestamp: 1 } };
  assert.equal(await refreshed(repository, shorter), 'expiry-earlier');
  assert.equal(
    await refreshed(repository, { ...shorter, ...insists('lifetime-too-long', 'clock-behind') }),
    'expiry-earlier',
  );
  assert.equal(await refreshed(repository, { ...shorter, ...insists('expiry-earlier') }), 'accepted');
  assert.equal(daysOf(repository, 'timestamp').expires, 1);
});

test('a publisher that does not say when it signed is known by its expiry', async () => {
  using repository = template.copy();
  await repository.edit('timestamp', (signed) => {
    delete signed['issued'];
  });
  assert.equal(await refreshed(repository, { now: daysLater(-400) }), 'expiry-earlier');
  assert.equal(await refreshed(repository, { now: daysLater(1) }), 'accepted');
  assert.deepEqual(daysOf(repository, 'timestamp'), { issued: 1, expires: 3 });
});

for (const role of ROLE_NAMES)
  test(`${role} is not good for longer than is usual, but for somebody who means it`, async () => {
    using repository = template.copy();
    const long = { lifetimeDays: { [role]: 3650 } };
    const renew = (change: Partial<Publisher>): Promise<string> =>
      codeOf(renewRole(repository.publisher(change), role));
    assert.equal(await renew(long), 'lifetime-too-long');
    assert.equal(await renew({ ...long, ...insists('lifetime-too-long') }), 'accepted');
    assert.equal(daysOf(repository, role).expires, 3650);
  });

test('a new repository has no role that is good for longer than is usual', async () => {
  using repository = new TestRepository();
  assert.equal(await codeOf(repository.init(undefined, NOW, { lifetimeDays: { timestamp: 3 } })), 'lifetime-too-long');
  assert.equal(await codeOf(repository.init(undefined, NOW, { lifetimeDays: { timestamp: 1 } })), 'accepted');
});

test('a clock that is years ahead does not give away signatures that are good for years', async () => {
  using repository = template.copy();
  const late = { now: daysLater(3650) };
  assert.equal(await refreshed(repository, late), 'role-expired');
  assert.equal(await codeOf(repository.add('2.0', {}, late)), 'role-expired');
  assert.equal(await codeOf(repository.promote('1.0', 'edge', late)), 'role-expired');
  assert.equal(daysOf(repository, 'timestamp').expires, 2);
});

test('what expired is named, and whoever signs it again in one ceremony after the other may go on', async () => {
  using repository = template.copy();
  const late = { now: daysLater(200) };
  await assert.rejects(
    refreshRepository(repository.publisher(late)),
    /targets\.json on 2030-06-30T12:00:00Z and releases/,
  );
  for (const role of ['targets', 'releases', 'channels'] as const)
    assert.equal(await codeOf(renewRole(repository.publisher(late), role)), 'accepted');
  assert.equal(await refreshed(repository, late), 'accepted');
  assert.equal(await repository.host().refused(late.now), 'accepted');
});

test('after a signature of the future was published, a refresh for each role that it signed brings the repository back', async () => {
  using repository = template.copy();
  const host = repository.host();
  await repository.promote('1.0', 'edge', { now: daysLater(80) });
  assert.equal(await host.refused(), 'accepted');
  assert.equal(await refreshed(repository, {}), 'clock-behind');
  assert.equal(await refreshed(repository, insists('clock-behind')), 'accepted');
  assert.equal(await host.refused(), 'accepted');
  assert.equal(await codeOf(repository.add('2.0')), 'accepted');
  assert.equal(await codeOf(renewRole(repository.publisher(insists('clock-behind')), 'channels')), 'accepted');
  assert.deepEqual(daysOf(repository, 'timestamp'), { issued: 0, expires: 2 });
  assert.deepEqual(daysOf(repository, 'channels'), { issued: 0, expires: 90 });
  assert.equal(await host.refused(), 'accepted');
  assert.equal(await codeOf(repository.promote('1.0', 'third')), 'accepted');
});

test('a key is not replaced half where a clock is behind', async () => {
  using repository = template.copy();
  const [old] = repository.keys.snapshot;
  repository.keys.snapshot = [];
  const replace = (change: Partial<Publisher>): Promise<unknown> =>
    rotateKey(repository.publisher(change), { role: 'snapshot', oldKeyId: old?.keyId ?? '', newSigner: newSigner() });
  await renewRole(
    repository.publisher({
      now: daysLater(1),
      signers: [...Object.values(repository.keys).flat(), ...(old ? [old] : [])],
    }),
    'snapshot',
  );
  assert.equal(await codeOf(replace({ now: daysLater(0.5) })), 'clock-behind');
  assert.equal(repository.versionOf('root'), 1);
});
