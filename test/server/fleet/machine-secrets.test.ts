/** Whose machine an id is: the first secret that is shown for it counts, on every address that hosts use. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createFleet } from '../../../src/server/fleet/fleet.ts';
import { createRebootLocks } from '../../../src/server/fleet/reboot-locks.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { TestFleet, TOKEN } from '../pages/fleet.ts';

const [MINE, OTHER] = ['a'.repeat(43), 'b'.repeat(43)];
const OPERATOR = { authorization: `Bearer ${TOKEN}` };

let site: TestFleet;
before(async () => {
  site = await new TestFleet().start();
});
after(() => site[Symbol.asyncDispose]());

type Answer = Readonly<{ status: number; code: string | undefined }>;

async function ask(path: string, body: object, headers: Record<string, string>, method = 'POST'): Promise<Answer> {
  const init = method === 'POST' ? { body: JSON.stringify(body) } : {};
  const answer = await fetch(`${site.url}${path}`, {
    method,
    headers: { ...(method === 'POST' ? { 'content-type': 'application/json' } : {}), ...OPERATOR, ...headers },
    ...init,
  });
  const { code, kind } = (await answer.json()) as { code?: string; kind?: string };
  return { status: answer.status, code: code ?? kind };
}

const showing = (secret?: string): Record<string, string> => (secret === undefined ? {} : { 'tandem-secret': secret });
const checkIn = (host: number, secret?: string, change: object = {}) =>
  ask('/v1/check-in', { ...checkInOf(host), ...change }, showing(secret));
const lock = (verb: string, id: string, headers: Record<string, string> = {}, group = 'web') =>
  ask(`/v1/${verb}`, { client_params: { id, group } }, { 'fleet-lock-protocol': 'true', ...headers });

test('an id belongs to the first secret that is shown for it, and what others say of it is not believed', async () => {
  const { machine } = checkInOf(1);
  assert.equal((await checkIn(1, MINE)).status, 200);
  assert.deepEqual(await checkIn(1, OTHER, { group: 'db' }), { status: 403, code: 'machine-secret-wrong' });
  assert.deepEqual(await checkIn(1, undefined, { group: 'db' }), { status: 403, code: 'machine-secret-missing' });
  assert.equal((await site.fleet.machine(machine))?.group, 'default');
  assert.equal((await checkIn(1, MINE)).status, 200);
});

test('the same secret again, as after an answer that was lost, is no stranger; what is none is refused', async () => {
  for (let times = 0; times < 3; times++) assert.equal((await checkIn(2, MINE)).status, 200);
  for (const secret of ['short', 'a'.repeat(44), `${'a'.repeat(42)}=`])
    assert.deepEqual(await checkIn(2, secret), { status: 400, code: 'request-invalid' }, secret);
});

test('hosts that show nothing are served as ever, until their agent shows a secret', async () => {
  assert.equal((await checkIn(3)).status, 200);
  assert.equal((await checkIn(3, MINE)).status, 200);
  assert.equal((await checkIn(3)).code, 'machine-secret-missing');
});

test('a system on trial binds nothing, since the one that it falls back to may know of no secrets', async () => {
  assert.equal((await checkIn(4, MINE, { confirmed: false })).status, 200);
  assert.equal((await checkIn(4)).status, 200);
});

test('only a digest is kept, and nobody is shown it', async () => {
  assert.equal((await checkIn(5, MINE)).status, 200);
  const { machine } = checkInOf(5);
  assert.ok(!JSON.stringify(await site.store.read({ kind: 'machine', id: machine })).includes(MINE));
  const digest = (await site.fleet.machine(machine))?.secret ?? assert.fail('not bound');
  for (const path of [`/v1/machines/${machine}`, '/v1/machines?limit=1000']) {
    const text = await (await fetch(`${site.url}${path}`, { headers: OPERATOR })).text();
    assert.ok(!text.includes(digest) && text.includes('"bound":true'), path);
  }
});

test('who was refused is remembered with his name and address, and trying again writes nothing', async () => {
  const { machine } = checkInOf(6);
  const key = { kind: 'machine', id: machine };
  await checkIn(6, MINE);
  await checkIn(6, OTHER, { host: { name: 'web-\u001b[2Jclone' } });
  const first = await site.store.read(key);
  const { stranger } = (await site.fleet.machine(machine)) ?? {};
  assert.deepEqual([stranger?.name, stranger?.from], ['web- [2Jclone', '127.0.0.1']);
  await checkIn(6, OTHER, { host: { name: 'yet another' } });
  assert.deepEqual(await site.store.read(key), first);
  await checkIn(6, MINE);
  assert.deepEqual((await site.fleet.machine(machine))?.stranger, stranger, 'until an operator has seen it');
});

test('an operator lets a reinstalled machine show another secret, and that stands in the audit log', async () => {
  const { machine } = checkInOf(7);
  await checkIn(7, MINE);
  await checkIn(7, OTHER);
  assert.equal((await ask(`/v1/machines/${machine}/secret`, {}, {}, 'DELETE')).status, 200);
  assert.equal((await checkIn(7, OTHER)).status, 200);
  assert.equal((await checkIn(7, MINE)).code, 'machine-secret-wrong');
  const { entries } = (await (await fetch(`${site.url}/v1/audit`, { headers: OPERATOR })).json()) as {
    entries: { what: string; about: string }[];
  };
  assert.deepEqual([entries[0]?.what, entries[0]?.about], ['machine-reset', machine]);
  assert.equal((await ask(`/v1/machines/${'0'.repeat(32)}/secret`, {}, {}, 'DELETE')).code, 'machine-unknown');
});

test('nobody but the machine gives its lock back or asks in its name, whatever it is called in the lock', async () => {
  const { machine } = checkInOf(8);
  await checkIn(8, MINE);
  const [mine, other] = [
    { ...showing(MINE), 'tandem-machine': machine },
    { ...showing(OTHER), 'tandem-machine': checkInOf(9).machine },
  ];
  for (const id of [machine, 'web-8.example']) {
    assert.equal((await lock('pre-reboot', id, mine, id)).status, 200);
    for (const headers of [{}, other, showing(OTHER)])
      for (const verb of ['steady-state', 'pre-reboot']) {
        const { status, code } = await lock(verb, id, headers, id);
        assert.ok(status === 403 || status === 409, `${verb} is answered ${status}`);
        assert.match(code ?? '', /^(machine-secret-wrong|machine-secret-missing|lock-identity)$/);
      }
    assert.equal((await site.locks.show(id, site.now)).holders.length, 1);
    assert.equal((await lock('steady-state', id, mine, id)).status, 200);
    assert.equal((await site.locks.show(id, site.now)).holders.length, 0);
  }
});

test('a machine that is called otherwise in the lock has its name and its page there, too', async () => {
  const { machine } = checkInOf(12);
  const alias = 'e1'.repeat(16);
  await checkIn(12, MINE, { host: { name: 'shop-12' }, group: 'shops' });
  assert.equal((await lock('pre-reboot', alias, { ...showing(MINE), 'tandem-machine': machine }, 'shops')).status, 200);
  assert.equal((await site.fleet.machine(alias))?.machine, machine);
  const [holder] = (await site.locks.show('shops', site.now)).holders;
  assert.deepEqual([holder?.id, holder?.name], [alias, 'shop-12']);
  const body = new URLSearchParams({ token: TOKEN });
  const entered = await fetch(`${site.url}/sign-in`, { method: 'POST', body, redirect: 'manual' });
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? '';
  const page = async (path: string) => (await fetch(`${site.url}${path}`, { headers: { cookie } })).text();
  assert.match(await page('/locks'), /shop-12</);
  assert.match(await page(`/machines/${machine}`), /of shops is held by this machine/);
  assert.match(await page(`/machines/${alias}`), /<h1>shop-12</);
});

test('who has not shown the secret of a machine is not taken for it in the lock', async () => {
  const { machine } = checkInOf(13);
  const alias = 'e2'.repeat(16);
  await checkIn(13);
  assert.equal((await lock('pre-reboot', alias, { ...showing(OTHER), 'tandem-machine': machine }, 'e2')).status, 200);
  assert.equal(await site.fleet.machine(alias), undefined);
});

test('a copy of a disk on other hardware has the same secret, and neither gets nor frees the lock of the first', async () => {
  const { machine } = checkInOf(10);
  const on = (hardware: string) => ({
    ...showing(MINE),
    'tandem-machine': machine,
    'tandem-hardware': hardware.repeat(32),
  });
  await checkIn(10, MINE);
  assert.equal((await lock('pre-reboot', machine, on('1'))).status, 200);
  for (const verb of ['pre-reboot', 'steady-state'])
    assert.deepEqual(await lock(verb, machine, on('2')), { status: 409, code: 'lock-identity' });
  assert.equal((await lock('steady-state', machine, on('1'))).status, 200);
});

test('Zincati and other clients of FleetLock, which show nothing, have the lock as ever', async () => {
  for (const verb of ['pre-reboot', 'pre-reboot', 'steady-state', 'steady-state'])
    assert.equal((await lock(verb, 'e0f3745b108f471cbd4883c6fbed8cdd', {}, 'zincati')).status, 200);
});

test('a server that is told so serves machines that leave their secret out, and still no one with another', async () => {
  await checkIn(11, MINE);
  const fleet = createFleet(
    site.store,
    async () => undefined,
    () => {},
    { maySilent: true },
  );
  const locks = createRebootLocks(site.store, { max: 1, maxFailures: 0, deadlineSeconds: 60 }, { maySilent: true });
  assert.deepEqual(await fleet.checkIn(checkInOf(11), site.now), { schema: 1, go: true });
  await assert.rejects(fleet.checkIn(checkInOf(11), site.now, { secret: OTHER }), { code: 'machine-secret-wrong' });
  assert.equal(await locks.take('silent', checkInOf(11).machine, site.now), undefined);
  await locks.giveBack('silent', checkInOf(11).machine);
  assert.equal((await checkIn(11)).code, 'machine-secret-missing', 'the binding stays');
});
