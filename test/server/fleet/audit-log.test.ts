/** The server's own log tells of what was changed, and of nothing that was not. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import { logTo } from '../../../src/system/log.ts';
import { idOf, OPERATOR_SESSION, TestFleet, TOKEN } from '../pages/fleet.ts';

type Line = Readonly<{ msg: string; what?: string; asked?: string; status?: number; about?: string }>;

async function site(): Promise<TestFleet & { lines: Line[] }> {
  const at = Object.assign(await (await new TestFleet().fill(30)).disturb(), { lines: [] as Line[] });
  at.log = logTo((line) => void at.lines.push(JSON.parse(line) as Line));
  return await at.start();
}

type Asked = readonly [method: 'POST' | 'PUT' | 'DELETE', url: string, body?: object];

/** As a program, or with a form of the dashboard. */
function ask(at: TestFleet, [method, url, body = {}]: Asked) {
  if (url.startsWith('/v1/'))
    return at.app.inject({ method, url, headers: { authorization: `Bearer ${TOKEN}` }, payload: body });
  return at.app.inject({
    method,
    url,
    headers: { cookie: OPERATOR_SESSION.cookie, 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ form: OPERATOR_SESSION.form, ...body }).toString(),
  });
}

/** What is refused, or changes nothing because it is so already, with the deed that it asks for and its answer. */
const UNDONE: Readonly<Record<string, readonly [Asked, deed: string, status: number]>> = {
  'the last operator': [['DELETE', '/v1/tokens/operator'], 'token-revoked', 409],
  'a token that is not there': [['DELETE', '/v1/tokens/nobody'], 'token-revoked', 404],
  'a token that is there': [['POST', '/v1/tokens', { name: 'viewer', role: 'viewer' }], 'token-added', 409],
  'a lock that is not held': [['DELETE', `/v1/locks/web/${idOf(9)}`], 'lock-freed', 404],
  'a lock that is not held, on the page': [['POST', `/locks/web/${idOf(9)}`], 'lock-freed', 303],
  'a rollout that runs': [['POST', '/rollouts/stable/resume'], 'rollout-resumed', 303],
};

for (const [what, [asked, deed, status]] of Object.entries(UNDONE))
  test(`of ${what} the log claims no ${deed}`, async () => {
    await using at = await site();
    assert.equal((await ask(at, asked)).statusCode, status);
    assert.deepEqual(
      at.lines.map((line) => [line.msg, line.what, line.asked, line.status]),
      [['nothing was changed', undefined, deed, status]],
    );
  });

/** What changes something, with its entry. */
const DONE: Readonly<Record<string, Asked>> = {
  'token-added': ['POST', '/v1/tokens', { name: 'grafana', role: 'viewer' }],
  'token-revoked': ['DELETE', '/v1/tokens/viewer'],
  'lock-freed': ['DELETE', `/v1/locks/web/${idOf(1)}`],
  'lock-resized': ['PUT', '/v1/locks/web', { max: 3 }],
  'rollout-paused': ['POST', '/rollouts/stable/pause', { reason: 'disks fail' }],
};

for (const [deed, asked] of Object.entries(DONE)) {
  test(`of a ${deed} that happened the log has one line`, async () => {
    await using at = await site();
    await ask(at, asked);
    assert.deepEqual(
      at.lines.map((line) => [line.msg, line.what]),
      [['audit', deed]],
    );
  });

  test(`of a ${deed} that cannot be kept the log claims nothing`, async () => {
    await using at = await site();
    Object.assign(at.store, { update: () => Promise.reject(new UpdateError('store-full')) });
    assert.equal((await ask(at, asked)).statusCode, 503);
    assert.deepEqual(
      at.lines.filter(({ msg }) => msg === 'audit'),
      [],
    );
  });
}

test('what was changed is logged also when its answer fails, and when nobody waits for it', async () => {
  await using at = await site();
  const { all } = at.access;
  Object.assign(at.access, { all: () => Promise.reject(new UpdateError('etcd-unavailable')) });
  assert.equal((await ask(at, ['DELETE', '/v1/tokens/viewer'])).statusCode, 503);
  Object.assign(at.access, { all });
  assert.deepEqual(
    at.lines.filter(({ msg }) => msg === 'audit').map(({ about }) => about),
    ['viewer'],
  );
  const { update } = at.store;
  const hungUp = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  at.app.server.once('connection', (served) => served.once('close', () => gone.resolve()));
  Object.assign(at.store, {
    update: async (...given: Parameters<typeof update>) => {
      hungUp.resolve();
      await gone.promise;
      return update(...given);
    },
  });
  const socket = connect(Number(new URL(at.url).port), '127.0.0.1');
  socket.write(`DELETE /v1/locks/web/${idOf(1)} HTTP/1.1\r\nhost: fleet\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`);
  await hungUp.promise;
  socket.resetAndDestroy();
  await gone.promise;
  Object.assign(at.store, { update });
  while ((await at.locks.show('web', at.now)).holders.length > 1) await new Promise(setImmediate);
  assert.deepEqual(
    at.lines.filter(({ msg }) => msg === 'audit').map(({ what }) => what),
    ['token-revoked', 'lock-freed'],
  );
});

test('an abort that was signed is logged as done, also when its entry cannot be kept', async () => {
  await using at = await site();
  await using other = Object.assign(await new TestFleet().fill(3), { lines: [] as Line[] });
  other.log = logTo((line) => void other.lines.push(JSON.parse(line) as Line));
  other.abort = async () => {};
  await other.start();
  Object.assign(other.store, { update: () => Promise.reject(new UpdateError('store-full')) });
  assert.equal(
    (await ask(other, ['POST', '/rollouts/stable/abort', { version: '2.1.0', reason: 'x' }])).statusCode,
    503,
  );
  assert.deepEqual(
    other.lines.filter(({ msg }) => msg === 'audit').map(({ what }) => what),
    ['rollout-aborted'],
  );
  assert.equal((await ask(at, ['POST', '/rollouts/stable/abort', { version: '2.1.0', reason: 'x' }])).statusCode, 409);
  assert.deepEqual(at.lines, []);
});
