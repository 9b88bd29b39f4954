/** Machines have names: what a host says of itself is clean, found and shown wherever there was only an id. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CheckIn } from '../../src/formats/check-in.ts';
import { checkInOf } from '../support/check-in-line.ts';
import { TestFleet, TOKEN } from './pages/fleet.ts';

const HOST = {
  name: 'web-17.example',
  address: '10.0.7.17',
  os: 'Acme Linux 2.1.0',
  kernel: '6.12.48',
  architecture: 'x86-64',
};
const ID = checkInOf(17).machine;

let site: TestFleet;
before(async () => {
  site = await (await (await new TestFleet().fill(600)).disturb()).start();
  assert.equal(await said({ host: HOST }), 200);
});
after(() => site[Symbol.asyncDispose]());

async function said(change: object, host = 17): Promise<number> {
  const answer = await fetch(`${site.url}/v1/check-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ ...checkInOf(host), ...change }),
  });
  return answer.status;
}

/** A page, as an operator who has signed in sees it. */
async function shown(path: string): Promise<string> {
  const body = new URLSearchParams({ token: TOKEN });
  const entered = await fetch(`${site.url}/sign-in`, { method: 'POST', body, redirect: 'manual' });
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? '';
  return (await fetch(`${site.url}${path}`, { headers: { cookie } })).text();
}

const listed = async (query: string): Promise<{ documents: { id: string; document: CheckIn }[]; next?: string }> =>
  (await fetch(`${site.url}/v1/machines?${query}`, { headers: { authorization: `Bearer ${TOKEN}` } })).json() as never;

test('a machine is found by a part of its name, in small or capital letters, or of its address', async () => {
  for (const query of [
    'name=WEB-17.ex',
    'name=10.0.7.1',
    `id=${ID}`,
    'name=web-17&group=default&version=1.0&state=idle',
  ]) {
    const { documents } = await listed(query);
    assert.deepEqual(
      documents.map(({ id }) => id),
      [ID],
      query,
    );
    assert.deepEqual(documents[0]?.document.host, HOST);
  }
  assert.deepEqual((await listed('name=web-17&group=db')).documents, []);
});

test('a page of machines goes on where the one before ended, also among those that are looked for', async () => {
  const all: string[] = [];
  for (let after = ''; ; ) {
    const { documents, next } = await listed(`group=db&limit=7${after}`);
    assert.ok(documents.length <= 7);
    all.push(...documents.map(({ id }) => id));
    if (next === undefined) break;
    after = `&after=${next}`;
  }
  assert.equal(all.length, 120);
  assert.deepEqual(all, [...new Set(all)].toSorted());
});

test('an agent that says no name, after one that did, does not take the name away', async () => {
  assert.equal(await said({}), 200);
  assert.deepEqual((await site.fleet.machine(ID))?.host, HOST);
});

test('what a host calls itself is cut and cleaned, and is never markup', async () => {
  assert.equal(
    await said({ host: { name: '<b>x\u001b[31m\u202ey</b>\nz', os: ' ', kernel: 'k'.repeat(400) } }, 18),
    200,
  );
  const host = (await site.fleet.machine(checkInOf(18).machine))?.host;
  assert.deepEqual(host, { name: '<b>x [31m\ufffdy</b> z', kernel: `${'k'.repeat(254)}…` });
  assert.equal(await said({ host: { name: 'x'.repeat(501) } }, 18), 400);
  assert.equal(await said({ host: { name: 7 } }, 18), 400);
  assert.equal(await said({ host: { shoeSize: 'large' } }, 19), 200, 'a newer host may say more');
});

test('the boot that a host names is not in what is shown of it', async () => {
  assert.equal(await said({ host: HOST, boot: { id: 'b'.repeat(32), seconds: 7, hardware: 'c'.repeat(32) } }), 200);
  assert.equal('boot' in ((await listed(`id=${ID}`)).documents[0]?.document ?? {}), false);
});

test('names stand where ids stood: on the locks, beside a rollout and on the page of a machine', async () => {
  const held = (await site.locks.all(10, site.now)).locks.flatMap(({ holders }) => holders.map(({ id }) => id));
  const { failed, inFlight } = await site.fleet.ledger('stable', site.now);
  const nameOf = (id: string) => `shop-${id.slice(0, 6)}`;
  const rename = async (id: string) =>
    [id, { ...(await site.fleet.machine(id)), host: { ...HOST, name: nameOf(id) } }] as const;
  const ids = [...new Set([...held, ...failed.keys(), ...inFlight.keys()])];
  assert.ok(held.length > 0 && failed.size > 0 && inFlight.size > 0);
  await site.put('machine', await Promise.all(ids.map(rename)));
  const [locks, rollout] = [await shown('/locks'), await shown('/rollouts/stable')];
  for (const id of held) assert.ok(locks.includes(`>${nameOf(id)}</a>`), id);
  for (const id of [...failed.keys(), ...inFlight.keys()]) assert.ok(rollout.includes(`>${nameOf(id)}</a>`), id);
  const [id = ''] = failed.keys();
  const page = await shown(`/machines/${id}`);
  for (const text of [`<h1>${nameOf(id)}</h1>`, id, HOST.address, HOST.os, HOST.kernel])
    assert.ok(page.includes(text), text);
  assert.match(await shown(`/machines?name=${nameOf(id)}`), new RegExp(`${nameOf(id)}<[\\s\\S]*1 shown of`));
});
