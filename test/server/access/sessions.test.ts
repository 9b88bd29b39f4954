/** Who is signed in stays so until his time is over, nobody has used it, he signs out, or his token is revoked: at every server of the store alike. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import { createAccess } from '../../../src/server/access/access.ts';
import { formTokenOf, keyIn } from '../../../src/server/access/session-cookie.ts';
import { createSessions, MOST_SESSIONS, type Sessions } from '../../../src/server/access/sessions.ts';
import { digestOf } from '../../../src/server/access/tokens.ts';
import { lastEntries } from '../../../src/server/fleet/audit.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { idOf, TestFleet, TOKEN, VIEWER, VIEWER_SESSION } from '../pages/fleet.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const FORMS = { 'content-type': 'application/x-www-form-urlencoded' };

async function site(): Promise<TestFleet> {
  return await (await new TestFleet().fill(3)).start();
}

/** The cookie that signing in has set, as a browser sends it, and the form of its pages. */
async function signIn(at: TestFleet, token: string, headers: Record<string, string> = {}) {
  const payload = new URLSearchParams({ token }).toString();
  const answer = await at.app.inject({ method: 'POST', url: '/sign-in', headers: { ...FORMS, ...headers }, payload });
  const set = String(answer.headers['set-cookie']);
  const cookie = set.split(';')[0] ?? '';
  return { set, cookie, form: formTokenOf(keyIn(cookie)) };
}

const look = async (at: TestFleet, cookie: string, headers: Record<string, string> = {}) =>
  (await at.app.inject({ url: '/machines', headers: { cookie, ...headers } })).statusCode;

const pass = (at: TestFleet, ms: number): void => {
  at.now = new Date(at.now.getTime() + ms);
};

test('the cookie holds nothing of the token, and the token in its place is nobody’s', async () => {
  await using at = await site();
  const { set, cookie } = await signIn(at, TOKEN);
  for (const form of [TOKEN, Buffer.from(TOKEN).toString('base64url'), digestOf(TOKEN)]) {
    assert.ok(!set.includes(form), set);
    assert.equal(await look(at, `tandem=${form}`), 303);
    assert.equal(await look(at, `tandem=operator.${form}`), 303);
  }
  assert.match(set, /; HttpOnly; SameSite=Strict; Max-Age=43200$/);
  assert.match((await signIn(at, TOKEN, { 'x-forwarded-proto': 'https' })).set, /; Secure$/);
  assert.notEqual((await signIn(at, TOKEN)).cookie, cookie, 'each session has a key of its own');
  const asToken = { authorization: `Bearer ${keyIn(cookie)}` };
  assert.equal((await at.app.inject({ url: '/v1/machines', headers: asToken })).statusCode, 401);
  const kept = JSON.stringify(await at.store.read({ kind: 'session', id: 'operator' }));
  assert.ok(!kept.includes(keyIn(cookie)?.split('.')[1] ?? ''), 'the store does not have the key');
});

test('a cookie that is good for nothing any more is taken back', async () => {
  await using at = await site();
  for (const cookie of [`tandem=${Buffer.from(TOKEN).toString('base64url')}`, 'tandem=operator.none', 'tandem=']) {
    const { headers, statusCode } = await at.app.inject({ url: '/', headers: { cookie } });
    assert.deepEqual([statusCode, headers.location], [303, './sign-in']);
    assert.match(String(headers['set-cookie']), /^tandem=; .*Max-Age=0/);
  }
});

test('a session ends an hour after its last use, and twelve hours after it began', async () => {
  await using at = await site();
  const idle = await signIn(at, TOKEN);
  const used = await signIn(at, TOKEN);
  for (let minutes = 0; minutes < 12 * 60; minutes += 30) {
    assert.equal(await look(at, used.cookie), 200, `${minutes} minutes`);
    assert.equal(await look(at, idle.cookie, { 'tandem-follows': '1' }), minutes < 60 ? 200 : 303);
    pass(at, 30 * MINUTE);
  }
  assert.equal(await look(at, used.cookie), 303);
  pass(at, -30 * MINUTE);
  assert.equal(await look(at, used.cookie), 200);
  pass(at, -3 * HOUR);
  assert.equal(await look(at, used.cookie), 303, 'a clock that is set back keeps nothing alive');
});

test('signing out ends that session for whoever has its cookie, and no other', async () => {
  await using at = await site();
  const [mine, another] = [await signIn(at, TOKEN), await signIn(at, TOKEN)];
  const signOut = (form: string) =>
    at.app.inject({
      method: 'POST',
      url: '/sign-out',
      headers: { ...FORMS, cookie: mine.cookie },
      payload: new URLSearchParams({ form }).toString(),
    });
  assert.equal((await signOut(another.form)).statusCode, 403, 'the form of one session is not good in another');
  assert.equal(await look(at, mine.cookie), 200);
  assert.match(String((await signOut(mine.form)).headers['set-cookie']), /Max-Age=0/);
  assert.deepEqual([await look(at, mine.cookie), await look(at, another.cookie)], [303, 200]);
});

test('when its token is revoked a session ends, also where a new one has the same name', async () => {
  await using at = await site();
  const bearer = { authorization: `Bearer ${TOKEN}` };
  assert.equal(await look(at, VIEWER_SESSION.cookie), 200);
  await at.app.inject({ method: 'DELETE', url: '/v1/tokens/viewer', headers: bearer });
  assert.equal(await look(at, VIEWER_SESSION.cookie), 303);
  await at.access.add({ name: 'viewer', role: 'operator' });
  assert.equal(await look(at, VIEWER_SESSION.cookie), 303);
  await at.access.begin({ renew: true });
  assert.equal(await look(at, (await signIn(at, TOKEN)).cookie), 303, 'the operator’s was made anew');
});

test('nobody can push out the sessions of another token, or have more than so many', async () => {
  await using at = await site();
  const first = await signIn(at, VIEWER);
  const mine = await signIn(at, TOKEN);
  for (let one = 0; one < MOST_SESSIONS; one++) await signIn(at, VIEWER);
  assert.deepEqual([await look(at, first.cookie), await look(at, mine.cookie)], [303, 200]);
});

test('who is signed in at one server is so at every server of the store, and after a restart', async () => {
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  let now = Date.parse('2030-01-01T00:00:00Z');
  let made = 0;
  const secret = () => `secret-${++made}`;
  const serverOf = () => {
    const access = createAccess({ store, now: () => new Date(now), secret });
    return { access, sessions: createSessions({ store, access, now: () => new Date(now), secret }) };
  };
  const [one, other] = [serverOf(), serverOf()];
  const { operator = '' } = await one.access.begin({ renew: false });
  const holder = await one.access.holderOf(operator);
  assert.ok(holder);
  const key = await one.sessions.begin(holder, operator);
  const another = await one.sessions.begin(holder, operator);
  const seenBy = async ({ sessions }: { sessions: Sessions }) => (await sessions.holderOf(key, true))?.name;
  assert.deepEqual([await seenBy(other), await seenBy(serverOf())], ['operator', 'operator']);
  await other.sessions.end(key);
  assert.deepEqual([await seenBy(one), await seenBy(serverOf())], [undefined, undefined]);
  await one.access.begin({ renew: true });
  now += 5001;
  assert.equal(await other.sessions.holderOf(another, true), undefined, 'the token behind it is another one');
});

test('where nothing can be written, who is signed in goes on looking', async () => {
  await using at = await site();
  const { cookie } = await signIn(at, TOKEN);
  pass(at, 20 * MINUTE);
  Object.assign(at.store, { update: () => Promise.reject(new UpdateError('store-full')) });
  assert.equal(await look(at, cookie), 200);
});

test('signing in is one entry of the audit log, kept with the session', async () => {
  await using at = await site();
  await signIn(at, TOKEN);
  assert.deepEqual(
    (await lastEntries(at.store, 10)).map(({ what, who }) => [what, who]),
    [['signed-in', 'operator']],
  );
  const real = at.store.update;
  Object.assign(at.store, { update: () => Promise.reject(new UpdateError('store-full')) });
  assert.equal((await signIn(at, TOKEN)).set, 'undefined', 'without its entry nobody is signed in');
  Object.assign(at.store, { update: real });
});

test('what lies there and is not understood lets nobody in, and keeps nobody from signing in', async () => {
  await using at = await site();
  for (const broken of [7, {}, { schema: 1, sessions: [{ digest: 'x' }] }]) {
    await at.put('session', [['operator', broken]]);
    assert.equal(await look(at, 'tandem=operator.known-beforehand'), 303);
    assert.equal(await look(at, (await signIn(at, TOKEN)).cookie), 200);
  }
  assert.equal(await look(at, `tandem=${idOf(1)}.x`), 303);
  await at.put('session', [['operator', { schema: 2, sessions: [] }]]);
  assert.equal(
    await look(at, 'tandem=operator.known-beforehand'),
    503,
    'what a newer server has written is left alone',
  );
});
