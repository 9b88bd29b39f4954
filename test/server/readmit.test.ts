/** Machines are let in again by an operator alone: on the pages, over the interface, and with every deed in the audit log. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { rolloutReadmit } from '../../src/cli/rollout/readmit.ts';
import { lastEntries } from '../../src/server/fleet/audit.ts';
import { refusalOf, runCommand } from '../support/command-line.ts';
import { idOf, NOW, OPERATOR_SESSION, TestFleet, TOKEN, VIEWER, VIEWER_SESSION } from './pages/fleet.ts';

let site: TestFleet;
beforeEach(async () => {
  site = await (await (await new TestFleet().fill(40)).disturb()).start();
});
afterEach(() => site[Symbol.asyncDispose]());

/** The three that the test fleet has failed on. */
const [ONE, TWO, THREE] = [idOf(4), idOf(15), idOf(26)];

const call = (method: 'GET' | 'POST', url: string, token: string, payload?: object) =>
  site.app.inject({ method, url, headers: { authorization: `Bearer ${token}` }, ...(payload ? { payload } : {}) });
const failed = async () => [...(await site.fleet.ledger('stable', NOW)).failed.keys()];
const deeds = async () => (await lastEntries(site.store, 10)).filter(({ what }) => what === 'machine-readmitted');

test('whoever may look sees each machine that failed or is under way, and why', async () => {
  const { statusCode, body } = await call('GET', '/v1/rollouts/stable', VIEWER);
  assert.equal(statusCode, 200);
  const told = JSON.parse(body);
  assert.deepEqual(
    told.failed.map(({ machine, mayTry }: { machine: string; mayTry: boolean }) => [machine, mayTry]),
    [ONE, TWO, THREE].map((id) => [id, false]),
  );
  assert.equal(told.inFlight.length, 3);
  assert.equal((await call('GET', '/v1/rollouts/none', VIEWER)).statusCode, 404);
});

test('one machine is let in again, then all, and doing it twice changes and notes nothing more', async () => {
  const one = await call('POST', '/v1/rollouts/stable/readmit', TOKEN, { machine: ONE });
  assert.equal(JSON.parse(one.body).readmitted, 1);
  assert.deepEqual(await failed(), [TWO, THREE]);
  for (const many of [2, 0]) {
    const all = await call('POST', '/v1/rollouts/stable/readmit', TOKEN, {});
    assert.deepEqual([all.statusCode, JSON.parse(all.body).readmitted], [200, many]);
  }
  assert.deepEqual(await failed(), []);
  const told = JSON.parse((await call('GET', '/v1/rollouts/stable', VIEWER)).body);
  assert.deepEqual(told.readmitted, [ONE, TWO, THREE]);
  assert.deepEqual(
    (await deeds()).map(({ who, about }) => [who, about]).toSorted(),
    [
      ['operator', 'all that failed: 2.1.0 in stable'],
      ['operator', `${ONE}: 2.1.0 in stable`],
    ].toSorted(),
  );
});

test('a viewer lets nobody in, nor does a machine that nobody knows come in', async () => {
  assert.equal((await call('POST', '/v1/rollouts/stable/readmit', VIEWER, {})).statusCode, 403);
  const stranger = await call('POST', '/v1/rollouts/stable/readmit', TOKEN, { machine: 'f'.repeat(32) });
  assert.deepEqual([stranger.statusCode, JSON.parse(stranger.body).code], [404, 'machine-unknown']);
  for (const payload of [{ machine: 'x' }, { machine: 7 }])
    assert.equal((await call('POST', '/v1/rollouts/stable/readmit', TOKEN, payload)).statusCode, 400);
  assert.equal((await call('POST', '/v1/rollouts/edge/readmit', TOKEN, {})).statusCode, 404, 'there is no rollout');
  assert.deepEqual([(await failed()).length, await deeds()], [3, []]);
});

test('on the pages an operator lets one machine in, or all, and a viewer is not offered it', async () => {
  const page = async (url: string, { cookie } = OPERATOR_SESSION) => site.app.inject({ url, headers: { cookie } });
  const send = (fields: Record<string, string>, { cookie, form } = OPERATOR_SESSION) =>
    site.app.inject({
      method: 'POST',
      url: '/rollouts/stable/readmit',
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ form, ...fields }).toString(),
    });
  for (const path of ['/rollouts/stable', `/machines/${ONE}`, '/rollouts/stable/failed']) {
    assert.match((await page(path)).body, /\/readmit\?machine=/, path);
    assert.doesNotMatch((await page(path, VIEWER_SESSION)).body, /readmit/, path);
  }
  assert.match((await page(`/rollouts/stable/readmit?machine=${ONE}`)).body, new RegExp(`value="${ONE}"`));
  assert.match((await page('/rollouts/stable/readmit')).body, /the 3 machines that failed/);
  assert.equal((await send({ machine: ONE }, VIEWER_SESSION)).statusCode, 403);
  assert.equal((await send({ machine: 'f'.repeat(32) })).statusCode, 404);
  assert.equal((await send({ machine: ONE })).statusCode, 303);
  assert.deepEqual(await failed(), [TWO, THREE]);
  assert.match((await page(`/machines/${ONE}`)).body, /readmitted it/);
  assert.equal((await send({})).statusCode, 303);
  assert.deepEqual(await failed(), []);
  assert.equal((await deeds()).length, 2);
});

test('all machines that failed can be listed, page by page', async () => {
  const many = Array.from({ length: 450 }, (_, at) => [idOf(1000 + at), 'no web']);
  await site.put('ledger', [['stable/2.1.0 2030-01-01T12:00:00Z', { inFlight: [], failed: many, updated: 0 }]]);
  const seen: string[] = [];
  const { cookie } = OPERATOR_SESSION;
  for (
    let path: string | undefined = '/rollouts/stable/failed', pages = 0;
    path !== undefined && pages < 9;
    pages += 1
  ) {
    const { body }: Readonly<{ body: string }> = await site.app.inject({ url: path, headers: { cookie } });
    seen.push(...[...body.matchAll(/id="readmit-([0-9a-f]{32})"/g)].map(([, id = '']) => id));
    path = /href="([^"]+)">Next</.exec(body)?.[1];
  }
  assert.deepEqual(
    seen,
    many.map(([id]) => id),
  );
  assert.match((await site.app.inject({ url: '/rollouts/stable', headers: { cookie } })).body, /All 450</);
});

test('the command lets in one machine or all, and says when there was nobody', async () => {
  writeFileSync(join(site.top, 'token'), TOKEN);
  const run = (...args: string[]) =>
    runCommand(rolloutReadmit, site.top, [...args, '--server', site.url, '--token-file', 'token']);
  assert.match(await run(TWO), /1 machine may try 2\.1\.0 again/);
  assert.match(await run('--all'), /2 machines may try 2\.1\.0 again/);
  assert.match(await run('--all'), /2\.1\.0 has not failed on any machine/);
  assert.equal(await refusalOf(run()), 'usage');
  assert.equal(await refusalOf(run(ONE, '--all')), 'usage');
  assert.equal(await refusalOf(run('--all', '--channel', 'none')), 'channel-unknown');
});
