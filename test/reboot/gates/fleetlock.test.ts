/** FleetLock against a server that does what airlock does, and against servers that do not. */

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { fleetLock } from '../../../src/reboot/gates/locks/fleetlock.ts';
import type { LockClient } from '../../../src/reboot/gates/locks/lock-client.ts';
import { noSignal } from '../../support/bundles.ts';
import { refusalOf } from '../../support/command-line.ts';
import { FleetLockServer } from '../../support/fleetlock-server.ts';
import { answer, HostileServer } from '../../support/hostile-server.ts';
import { testHttp } from '../../support/http-client.ts';

const lockOf = (url: string, id = 'aa', group = 'default', totalMs = 5_000): LockClient =>
  fleetLock({
    http: testHttp(),
    url,
    id,
    group,
    timeoutMs: totalMs,
    askMs: 10_000,
    random: { fraction: () => 0.5, bytes: (length) => new Uint8Array(length) },
    signal: noSignal,
  });

test('the request is the one of the protocol, byte for byte', async () => {
  await using server = await HostileServer.start(answer('200 OK', { 'content-length': 0 }));
  await lockOf(server.url('/base/')).take('update');
  const [request = ''] = server.requests;
  assert.match(request, /^POST \/base\/v1\/pre-reboot HTTP\/1\.1\r\n/);
  assert.match(request, /\r\nfleet-lock-protocol: true\r\n/i);
  assert.match(request, /\r\ncontent-type: application\/json\r\n/i);
  await using airlock = await FleetLockServer.start({ default: 1 });
  await lockOf(airlock.url).take('update');
  assert.deepEqual(airlock.bodies, ['{"client_params":{"id":"aa","group":"default"}}']);
});

test('one host after the other: granted, refused with the reason of the server, given back, granted', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  const [first, second] = [lockOf(server.url, 'aa'), lockOf(server.url, 'bb')];
  assert.deepEqual(await first.take('update'), { ok: true });
  assert.deepEqual(await first.take('update'), { ok: true }, 'asking twice is fine');
  assert.deepEqual(await second.take('update'), {
    ok: false,
    code: 'lock-full',
    reason: 'semaphore currently full, all 1 slots are locked already (failed_lock_semaphore_full)',
    askAgainMs: 10_000,
  });
  await first.begin();
  await first.giveBack({});
  await first.giveBack();
  assert.deepEqual(await second.take('update'), { ok: true });
});

test('a lock that went to somebody else in between is noticed right before the reboot', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  const lock = lockOf(server.url);
  await lock.take('update');
  server.holders.set('default', new Set(['bb']));
  assert.equal(await refusalOf(lock.begin()), 'lock-lost');
});

test('a group that the server does not know is a reason, not a grant', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  const reply = await lockOf(server.url, 'aa', 'other').take('update');
  assert.equal(reply.ok ? '' : reply.reason, 'unknown group "other" (unknown_group)');
});

test('a lock that is not taken back is no success', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  server.instead.push((response) => response.writeHead(500).end('{"kind":"failed_unlock","value":"etcd is away"}'));
  assert.equal(await refusalOf(lockOf(server.url).giveBack()), 'server-failed');
  server.instead.push((response) => response.writeHead(400).end('{"kind":"unknown_group","value":"no such group"}'));
  assert.equal(await refusalOf(lockOf(server.url).giveBack()), 'lock-refused');
});

const wrong: Readonly<Record<string, Readonly<{ answer(response: ServerResponse): void; code: string }>>> = {
  'a redirect': { answer: (to) => to.writeHead(307, { location: '/v1/pre-reboot' }).end(), code: 'server-redirects' },
  'a success without content that is not 200': { answer: (to) => to.writeHead(204).end(), code: 'refused' },
  'an error of a proxy': { answer: (to) => to.writeHead(502).end('<html>bad gateway</html>'), code: 'server-failed' },
  'a refusal that is not JSON': { answer: (to) => to.writeHead(409).end('no'), code: 'refused' },
  'a refusal of another shape': { answer: (to) => to.writeHead(409).end('[1]'), code: 'refused' },
  'a compressed answer': {
    answer: (to) => to.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
    code: 'server-encoding',
  },
  'an answer without end': {
    answer: (to) => to.writeHead(200).end(Buffer.alloc(1024 * 1024)),
    code: 'server-too-much',
  },
  'a connection that breaks': { answer: (to) => to.destroy(), code: 'connection-lost' },
};

for (const [what, { answer: reply, code }] of Object.entries(wrong))
  test(`${what} does not grant the lock: ${code}`, async () => {
    await using server = await FleetLockServer.start({ default: 1 });
    server.instead.push(reply);
    const got = await refusalOf(
      lockOf(server.url)
        .take('x')
        .then((one) => assert.ok(!one.ok)),
    );
    assert.equal(got, code === 'refused' ? 'none' : code);
  });

test('a server that never answers is given up', async () => {
  await using server = await HostileServer.start(() => {});
  assert.equal(await refusalOf(lockOf(server.url(''), 'aa', 'default', 50).take('x')), 'server-timeout');
});

test('text of the server cannot steer a terminal', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  server.instead.push((response) => response.writeHead(409).end('{"kind":"a\\u001b[2J","value":"line\\nline"}'));
  const reply = await lockOf(server.url).take('x');
  assert.equal(reply.ok ? '' : reply.reason, 'line line (a [2J)');
});
