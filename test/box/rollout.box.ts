/** Two hosts, a fleet server, and an operator who starts rollouts and watches them in a browser. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rolloutStart } from '../../src/cli/rollout/start.ts';
import { openBrowser, openPage, type Page, PICTURES } from '../server/pages/browser.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { ServerProcess } from '../support/server-process.ts';
import type { Box } from './box.ts';
import { HEALTH, inLab, type Lab } from './lab.ts';
import { CHANNEL, Publisher } from './publisher.ts';
import { PRODUCT } from './release.ts';

const PATIENCE_MS = 180_000;
const ASK_MS = 1_000;
const POLICY = ['--canary', 'lab', '--soak', '1m', '--over', '0m', '--max-in-flight', '1', '--max-failures', '0'];
/** It has begun a while ago, so that less of the canary's minute is left to wait for. */
const BEGUN_MS = 20_000;

test('a rollout reaches the canary first and then the other host; a bad release ends with the canary, and the page says so', async () => {
  await using things = new AsyncDisposableStack();
  const folder = things.use(await temporaryFolder());
  const publisher = await Publisher.create(join(folder.path, 'publisher'));
  const state = ['--state', join(folder.path, 'state')];
  const server = things.use(await ServerProcess.start(['--repository', publisher.served, ...state]));
  const browser = await openBrowser();
  things.defer(() => browser.close());
  const { page, complaints } = await openPage(browser, 'light');
  await signIn(page, server);
  const host = hostOf(server, publisher);
  await inLab(host('c', 'lab'), (canary) =>
    inLab({ ...host('d', 'web'), companionOf: canary }, async (other) => {
      await goodRelease(page, canary, other);
      await badRelease(page, canary, other);
    }),
  );
  assert.deepEqual(complaints, []);
});

/** The server gives both hosts everything: the repository, and the turn. */
function hostOf(server: ServerProcess, publisher: Publisher) {
  const port = Number(new URL(server.url).port);
  const config = (group: string) => (address: string) =>
    `[repository]
url = "http://${address}:${port}/"
[host]
group = "${group}"
[fleet]
url = "http://${address}:${port}/"
`;
  return (digit: string, group: string) => ({
    publisher,
    machineId: `${digit.repeat(31)}1`,
    ports: [port],
    config: config(group),
  });
}

async function signIn(page: Page, { url, operatorToken }: ServerProcess): Promise<void> {
  assert.ok(operatorToken, 'the first start shows the token of the operator');
  await page.goto(`${url}/`);
  await page.getByLabel('Operator or viewer token').fill(operatorToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${url}/`);
}

async function goodRelease(page: Page, canary: Lab, other: Lab): Promise<void> {
  await canary.release({ version: '2' });
  await startRollout(canary, '2');
  await asksUntil(other.box, 'it waits for the canary', ({ lastCheck }) => lastCheck?.code === 'canaries-first');
  await canary.box.check();
  await canary.box.settledAgain('b', '2');
  await canary.box.check();
  assert.deepEqual(other.box.versions, ['1']);
  await asksUntil(other.box, 'it has the release', ({ running }) => running?.version === '2');
  await other.box.settled('b', '2');
  await other.box.check();
  await shows(page, /2 of 2 machines run it/);
  await page.screenshot({ path: join(PICTURES, 'rollout-done.png'), fullPage: true });
}

async function badRelease(page: Page, canary: Lab, other: Lab): Promise<void> {
  await canary.release({ version: '3', files: { [`${HEALTH}/required/10-database`]: '#!/bin/sh\nexit 1\n' } });
  await startRollout(canary, '3');
  await canary.box.check();
  const { refused } = await canary.box.settledAgain('b', '2');
  assert.equal(refused[0]?.version, '3');
  await canary.box.check();
  await shows(page, new RegExp(`The rollout of 3 in ${CHANNEL} is stopped`));
  await page.screenshot({ path: join(PICTURES, 'rollout-stopped.png'), fullPage: true });
  await asksUntil(other.box, 'the brake holds it', ({ lastCheck }) => lastCheck?.code === 'braked');
  await other.box.settled('b', '2');
  assert.deepEqual(other.box.versions, ['1', '2'], 'it has not rebooted');
}

async function startRollout({ publisher }: Lab, version: string): Promise<void> {
  const start = new Date(Date.now() - BEGUN_MS).toISOString().replace(/\.\d+Z$/, 'Z');
  const where = ['--product', PRODUCT, '--channel', CHANNEL];
  await publisher.run(rolloutStart, version, ...where, '--start', start, ...POLICY);
}

/** Hosts of the lab do not poll by themselves. */
async function asksUntil(box: Box, what: string, isSo: Parameters<Box['until']>[1]): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(ASK_MS)) {
    const status = await box.status().catch(() => undefined);
    if (status && isSo(status)) return;
    if (status?.state.kind === 'idle') await box.check();
  }
  throw new Error(`in ${PATIENCE_MS / 1000} s it did not come about that ${what}`);
}

/** The page follows the fleet by itself. */
async function shows(page: Page, text: RegExp): Promise<void> {
  await page.getByText(text).first().waitFor({ timeout: PATIENCE_MS });
}
