/** Scenario: two hosts, a fleet server, and an operator who starts rollouts and watches them in a browser. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openBrowser, openPage, type Page, PICTURES } from '../server/pages/browser.ts';
import { ServerProcess } from '../support/server-process.ts';
import { prepareFixture } from './fixture.ts';
import { assertSettled, awaitState, statusOf, UPDATE_MS } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine } from './machine.ts';
import { CHANNEL, copyRepository, servedBy, startRollout } from './repository.ts';

const POLICY = ['--canary', 'lab', '--soak', '3m', '--over', '1m', '--max-in-flight', '1', '--max-failures', '0'];

test('a rollout reaches the canary first and then the other host; a bad release ends with the canary, and the page says so', async () => {
  const fixture = await prepareFixture();
  await using things = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'tandem-vm-rollout-'));
  things.defer(() => rm(dir, { recursive: true, force: true }));
  const repository = join(dir, 'repository');
  await copyRepository(fixture.repository, repository);
  const options = ['--repository', servedBy(repository), '--state', join(dir, 'state')];
  const server = things.use(await ServerProcess.start(options));
  const browser = await openBrowser();
  things.defer(() => browser.close());
  const { page, complaints } = await openPage(browser, 'light');
  await signIn(page, server);
  const host = hostOf(server);
  await inLab('rollout-canary', host('c', 'lab'), (canary) =>
    inLab('rollout-other', host('d', 'web'), async (other) => {
      await startRollout(repository, '2', POLICY);
      await goodRelease(page, canary, other);
      await startRollout(repository, '6', POLICY);
      await badRelease(page, canary, other);
    }),
  );
  assert.deepEqual(complaints, []);
});

/** The server gives both hosts everything: the repository, and the turn. */
function hostOf(server: ServerProcess) {
  const url = `${server.url.replace('127.0.0.1', '10.0.2.2')}/`;
  return (digit: string, group: string) => ({
    machineId: `${digit.repeat(31)}1`,
    patient: true,
    repositoryUrl: url,
    config: `[host]\ngroup = "${group}"\n[fleet]\nurl = "${url}"\n`,
  });
}

async function signIn(page: Page, { url, operatorToken }: ServerProcess): Promise<void> {
  assert.ok(operatorToken, 'the first start shows the token of the operator');
  await page.goto(`${url}/`);
  await page.getByLabel('Operator or viewer token').fill(operatorToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${url}/`);
}

async function goodRelease(page: Page, { machine: canary }: Lab, { machine: other }: Lab): Promise<void> {
  await askUntil(other, 'canaries-first');
  canary.forgetOutput();
  other.forgetOutput();
  await keepAsking(canary);
  await assertSettled(canary, await canary.awaitReady(UPDATE_MS), 'b', '2');
  await keepAsking(canary);
  await keepAsking(other);
  await assertSettled(other, await other.awaitReady(UPDATE_MS), 'b', '2');
  await keepAsking(other);
  await shows(page, /2 of 2 machines run it/);
  await page.screenshot({ path: join(PICTURES, 'vm-rollout-done.png'), fullPage: true });
}

async function badRelease(page: Page, { machine: canary }: Lab, { machine: other }: Lab): Promise<void> {
  const boots = other.boots;
  canary.forgetOutput();
  await keepAsking(canary);
  const trial = await canary.awaitReady(UPDATE_MS);
  assert.equal(trial.version, '6');
  let ready = trial;
  while (ready.version === '6') ready = await canary.awaitReady(UPDATE_MS);
  await assertSettled(canary, ready, 'b', '2');
  await keepAsking(canary);
  await shows(page, new RegExp(`The rollout of 6 in ${CHANNEL} is stopped`));
  await page.screenshot({ path: join(PICTURES, 'vm-rollout-stopped.png'), fullPage: true });
  await askUntil(other, 'braked');
  await awaitState(other, 'idle');
  assert.equal((await statusOf(other)).running?.version, '2');
  assert.equal(other.boots, boots, 'it has not rebooted');
}

/** Hosts of the harness do not poll by themselves. Ends with the restart. */
const keepAsking = (machine: Machine): Promise<string> =>
  machine.run('(for i in $(seq 90); do updatectl check; sleep 20; done) </dev/null >/run/check.log 2>&1 &');

/** Until this is what holds the host. */
const askUntil = (machine: Machine, code: string): Promise<string> =>
  machine.run(
    `until updatectl explain --json | grep -q '"${code}"'; do updatectl check; sleep 5; done >/run/explain.log 2>&1`,
    UPDATE_MS,
  );

/** The page follows the fleet by itself. */
async function shows(page: Page, text: RegExp): Promise<void> {
  await page.getByText(text).first().waitFor({ timeout: UPDATE_MS });
}
