/** Nobody may ask more often than the limits say, whoever waits is told how long, and the wrong tokens of one are not the fault of another. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { UpdateError } from '../../../src/errors.ts';
import { fleetLock } from '../../../src/reboot/gates/locks/fleetlock.ts';
import { createBucket, createLimits, networkOf } from '../../../src/server/access/rate-limits.ts';
import { digestOf } from '../../../src/server/access/tokens.ts';
import { lastEntries } from '../../../src/server/fleet/audit.ts';
import { noSignal } from '../../support/bundles.ts';
import { testHttp } from '../../support/http-client.ts';
import { idOf, OPERATOR_SESSION, someMachine, TestFleet, TOKEN, VIEWER } from '../pages/fleet.ts';

const anyRate = fc.record({ atOnce: fc.integer({ min: 1, max: 20 }), perSecond: fc.integer({ min: 1, max: 50 }) });

test('in no time are more let in than at once and so many a second, and who waits as told is let in', () => {
  fc.assert(
    fc.property(anyRate, fc.array(fc.nat(400), { minLength: 1, maxLength: 200 }), (rate, pauses) => {
      const bucket = createBucket(rate);
      const letIn: number[] = [];
      let now = 1_000_000;
      for (const pause of pauses) {
        now += pause;
        const wait = bucket.take('a', now);
        if (wait === 0) letIn.push(now);
        else if (pause % 3 === 0) {
          now += Math.ceil(wait);
          assert.equal(bucket.take('a', now), 0);
          letIn.push(now);
        }
      }
      for (const [from, begin] of letIn.entries())
        for (const [to, end] of letIn.entries())
          if (to >= from)
            assert.ok(
              to - from + 1 <= rate.atOnce + ((end - begin) * rate.perSecond) / 1000 + 0.01,
              `${from} to ${to}`,
            );
      assert.ok(letIn.length > 0);
    }),
  );
});

test('each has a bucket of his own, and of those who ask only so many are remembered', () => {
  const bucket = createBucket({ atOnce: 1, perSecond: 1 }, 2);
  assert.deepEqual([bucket.take('a', 0), bucket.take('a', 0), bucket.take('b', 0)], [0, 1000, 0]);
  assert.equal(bucket.take('a', 400), 600);
  bucket.take('c', 400);
  assert.equal(bucket.take('a', 400), 0, 'the one that asked least lately is forgotten');
  assert.equal(bucket.take('c', 400), 1000);
  const none = createBucket({ atOnce: 0, perSecond: 0 });
  assert.ok(Array.from({ length: 1000 }, () => none.take('a', 0)).every((wait) => wait === 0));
});

test('the addresses of one network of IPv6 are one asker, those of IPv4 each their own', () => {
  const same = (one: string, other: string) => networkOf(one) === networkOf(other);
  assert.ok(same('2001:db8:1:2::1', '2001:0db8:0001:0002:ffff:1:2:3'));
  assert.ok(same('2001:db8::', '2001:db8:0:0:1::9'));
  assert.ok(same('::1', '::2') && same('fe80::1%eth0', 'fe80::2'));
  assert.ok(!same('2001:db8:1:2::1', '2001:db8:1:3::1') && !same('2001:db8::1', '2001:db8:0:1::1'));
  assert.ok(same('::ffff:192.0.2.1', '192.0.2.1') && !same('192.0.2.1', '192.0.2.2'));
});

async function limited(hosts: number): Promise<TestFleet & { elapsed: number }> {
  const site = Object.assign(await new TestFleet().fill(2), { elapsed: 0 });
  site.limits = createLimits(hosts, () => site.elapsed);
  site.tokens = { ...site.tokens, machine: digestOf('of-a-machine') };
  site.proxies = ['127.0.0.1'];
  await site.start();
  return site;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const checkInOf = (site: TestFleet, token: string, from = '192.0.2.1') => {
  const { firstSeen, lastSeen, events, hold, ...rest } = someMachine(1);
  return site.app.inject({
    method: 'POST',
    url: '/v1/check-in',
    headers: { ...bearer(token), 'x-forwarded-for': from },
    payload: rest,
  });
};

test('hosts of one address are held to their rate, told when to ask again, and others are not in their way', async () => {
  await using site = await limited(2);
  const statuses: number[] = [];
  for (let one = 0; one < 12; one += 1) statuses.push((await checkInOf(site, 'of-a-machine')).statusCode);
  assert.deepEqual(statuses, [...Array(10).fill(200), 429, 429]);
  const { headers, body } = await checkInOf(site, 'of-a-machine');
  assert.deepEqual([headers['retry-after'], JSON.parse(body).code], ['1', 'too-many-requests']);
  assert.match(JSON.parse(body).next, /Retry-After/);
  assert.equal((await checkInOf(site, 'of-a-machine', '192.0.2.2')).statusCode, 200);
  site.elapsed += 500;
  assert.equal((await checkInOf(site, 'of-a-machine')).statusCode, 200);
});

test('our client of the lock waits for as long as a busy server says', async () => {
  await using site = await limited(1);
  const client = fleetLock({
    http: testHttp(),
    url: site.url,
    id: 'aa',
    group: 'web',
    login: { user: 'host', password: 'of-a-machine' },
    timeoutMs: 5000,
    askMs: 10_000,
    random: { fraction: () => 0.5, bytes: (length) => new Uint8Array(length) },
    signal: noSignal,
  });
  for (let one = 0; one < 5; one += 1) assert.equal((await client.take('update')).ok, true);
  await assert.rejects(client.take('update'), (error: UpdateError) => {
    assert.deepEqual([error.code, error.details['retryAfterMs']], ['server-busy', 1000]);
    return /Too many requests: .*\(too-many-requests\)/.test(error.message);
  });
});

test('wrong tokens have an end for each address, and keep nobody out who has the right one', async () => {
  await using site = await limited(1000);
  const from = { 'x-forwarded-for': '198.51.100.7' };
  const read = (token: string) => site.app.inject({ url: '/v1/machines', headers: { ...bearer(token), ...from } });
  const signIn = (token: string) =>
    site.app.inject({
      method: 'POST',
      url: '/sign-in',
      headers: { ...from, 'content-type': 'application/x-www-form-urlencoded' },
      payload: `token=${token}`,
    });
  const page = (cookie: string) => site.app.inject({ url: '/', headers: { ...from, cookie } });
  for (let one = 0; one < 18; one += 1) assert.equal((await read(`wrong-${one}`)).statusCode, 401);
  assert.equal((await checkInOf(site, 'wrong', '198.51.100.7')).statusCode, 401);
  assert.equal((await signIn('wrong')).statusCode, 403);
  for (const { statusCode, headers } of [await read('x'), await signIn('x'), await page('tandem=operator.x')])
    assert.deepEqual([statusCode, headers['retry-after']], [429, '2']);
  const { body } = await signIn('x');
  assert.match(body, /Too many requests: try again in 2 s\./);
  assert.equal((await read(VIEWER)).statusCode, 200);
  assert.equal((await page(OPERATOR_SESSION.cookie)).statusCode, 200);
  assert.equal((await signIn(TOKEN)).statusCode, 303);
  assert.equal((await site.app.inject({ url: '/sign-in', headers: from })).statusCode, 200);
  const failed = (await lastEntries(site.store, 100)).filter(({ what }) => what === 'sign-in-failed');
  assert.deepEqual(
    failed.map(({ from: address, times }) => [address, times]),
    [['198.51.100.7', undefined]],
  );
});

test('who has a token is held to a rate by its name, wherever he asks from', async () => {
  await using site = await limited(1000);
  const ask = async (token: string, from: string) =>
    (
      await site.app.inject({
        url: `/v1/machines/${idOf(1)}`,
        headers: { ...bearer(token), 'x-forwarded-for': from },
      })
    ).statusCode;
  for (let one = 0; one < 200; one += 1) assert.equal(await ask(VIEWER, `192.0.2.${one}`), 200);
  assert.equal(await ask(VIEWER, '192.0.2.250'), 429);
  assert.equal(await ask(TOKEN, '192.0.2.250'), 200);
});

test('only a proxy that is trusted says for whom it asks', async () => {
  await using site = Object.assign(await new TestFleet().fill(1));
  await site.start();
  const { headers } = await site.app.inject({
    method: 'POST',
    url: '/sign-in',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': '192.0.2.66' },
    payload: `token=${TOKEN}`,
  });
  assert.equal(headers.location, './');
  assert.deepEqual(
    (await lastEntries(site.store, 1)).map(({ from }) => from),
    ['127.0.0.1'],
  );
});

test('asking whether the server works has its limit, too', async () => {
  await using site = await limited(1);
  const statuses: number[] = [];
  for (let one = 0; one < 6; one += 1) statuses.push((await site.app.inject({ url: '/healthz' })).statusCode);
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429]);
});

test('who has a token may ask twenty times a second in the long run, a stranger once in two, and hosts as often as they are told', () => {
  const clock = { now: 0 };
  const limits = createLimits(7, () => clock.now);
  const letIn = (ask: () => number): number => {
    // First what each may have at once, which comes back only with time.
    while (ask() === 0) {}
    let count = 0;
    for (let turn = 0; turn < 10_000; turn++) {
      clock.now += 1;
      if (ask() === 0) count += 1;
    }
    return count;
  };
  assert.equal(
    letIn(() => limits.holder('ana')),
    200,
  );
  assert.equal(
    letIn(() => limits.stranger('192.0.2.1')),
    5,
  );
  assert.equal(
    letIn(() => limits.host('192.0.2.1')),
    70,
  );
});
