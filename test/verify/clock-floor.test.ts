/** No clock may show a time before what was signed; and no clock that once was wrong, ours or a publisher's, keeps a host from its updates. */

import assert from 'node:assert/strict';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { createTrust } from '../../src/verify/client.ts';
import { checkClock, clockFloor } from '../../src/verify/clock-floor.ts';
import { refreshRepository } from '../../src/verify/publish/publisher.ts';
import { daysLater, NOW, TestRepository } from '../support/tuf-repository.ts';

const published = async (): Promise<TestRepository> => {
  const repository = await new TestRepository().init();
  await repository.add('1.0');
  await repository.promote('1.0');
  return repository;
};
const HOUR = 1 / 24;

test('a clock that was once 40 hours ahead blocks nothing after it is right again', async () => {
  using repository = await published();
  const host = repository.host();
  assert.equal(await host.refused(daysLater(40 * HOUR)), 'accepted');
  assert.equal(await host.refused(NOW), 'accepted');
});

test('a clock that goes back behind what was signed is refused before anything is fetched', async () => {
  using repository = await published();
  await repository.host().poll();
  const fetch = async (): Promise<undefined> => assert.fail('fetched');
  assert.equal(await repository.host('host', { fetch }).refused(daysLater(-25 * HOUR)), 'clock-not-set');
  assert.equal(await repository.host().refused(daysLater(-23 * HOUR)), 'accepted');
});

test('the floor rises with each timestamp that is signed', async () => {
  using repository = await published();
  await refreshRepository(repository.publisher({ now: daysLater(9) }));
  const host = repository.host();
  assert.equal(await host.refused(daysLater(9)), 'accepted');
  assert.equal(await host.refused(daysLater(7)), 'clock-not-set');
});

test('an image that has just been installed goes by its root: when that was signed, not by any date of a file', async () => {
  using repository = await published();
  const fetch = async (): Promise<undefined> => assert.fail('fetched');
  const host = repository.host('fresh', { fetch });
  assert.equal(await host.refused(new Date(0)), 'clock-not-set');
  assert.equal(await host.refused(daysLater(-2)), 'clock-not-set');
});

test('a publisher whose clock is ahead keeps nobody from updates whose clock is right', async () => {
  using repository = await published();
  await refreshRepository(repository.publisher({ now: daysLater(80) }));
  const host = repository.host();
  assert.equal(await host.refused(daysLater(1)), 'accepted');
  assert.equal(await host.refused(daysLater(0.5)), 'accepted');
  assert.equal(await host.refused(daysLater(-1)), 'clock-not-set');
});

test('where both were ahead an operator says that the clock is right, until something newer is signed', async () => {
  using repository = await published();
  await refreshRepository(repository.publisher({ now: daysLater(10) }));
  const host = repository.host();
  assert.equal(await host.refused(daysLater(10)), 'accepted');
  assert.equal(await host.refused(NOW), 'clock-not-set');
  const trust = createTrust(host.options);
  assert.equal(await trust.waiveClock(), '2030-01-11T12:00:00Z');
  assert.equal(await host.refused(NOW), 'accepted');
  assert.equal(await trust.waiveClock(), undefined);
  await refreshRepository(repository.publisher({ now: daysLater(11) }));
  assert.equal(await host.refused(daysLater(11)), 'accepted');
  assert.equal(await host.refused(daysLater(5)), 'clock-not-set');
});

test('a root that was signed by a clock years ahead can be lived with, too', async () => {
  using repository = new TestRepository();
  await repository.init();
  await repository.add('1.0');
  const later = { root: repository.root, NOW: daysLater(-900) };
  const host = repository.host('host');
  assert.equal(await host.refused(later.NOW), 'clock-not-set');
  assert.equal(await createTrust(host.options).waiveClock(), '2030-01-01T12:00:00Z');
  assert.equal(await host.refused(later.NOW), 'accepted');
});

test('what an older agent has kept of the time is read and not heard: it came from a clock alone', async () => {
  using repository = await published();
  const host = repository.host();
  await host.poll();
  const { issued: _, ...floors } = JSON.parse(readFileSync(host.options.floorsPath, 'utf8'));
  writeFileSync(host.options.floorsPath, JSON.stringify({ ...floors, latest: '2031-01-01T00:00:00Z' }));
  utimesSync(host.options.floorsPath, daysLater(900), daysLater(900));
  assert.equal(await host.refused(daysLater(1)), 'accepted');
});

test('metadata of publishers that do not say when they signed it sets no floor', () => {
  const root = Buffer.from('{"signed":{"expires":"2031-01-01T00:00:00Z"}}');
  assert.equal(clockFloor(root, {}), undefined);
  assert.equal(clockFloor(root, { issued: '2030-01-01T00:00:00Z' }), '2030-01-01T00:00:00Z');
  checkClock(undefined, new Date(0));
});
