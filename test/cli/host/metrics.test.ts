/** The figures of a host over a real socket, in a file, and without an agent. */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPolls } from '../../../src/agent/find/poll-timer.ts';
import { metrics } from '../../../src/cli/host/metrics.ts';
import { UpdateError } from '../../../src/errors.ts';
import { METRICS_TYPE } from '../../../src/formats/metrics-text.ts';
import { realRandom } from '../../../src/system/random.ts';
import { checkMetrics, seriesOf } from '../../support/promtool.ts';
import { runCommand, startScriptedAgent } from '../../support/scripted-agent.ts';

test('who asks the socket as curl does gets the page, and Prometheus can read it', async () => {
  await using agent = await startScriptedAgent();
  const { type, text } = await new Promise<{ type: string | undefined; text: string }>((resolve, reject) => {
    request({ socketPath: agent.socket, path: '/metrics' }, async (response) => {
      const text = (await response.toArray()).join('');
      resolve({ type: response.headers['content-type'], text });
    })
      .once('error', reject)
      .end();
  });
  assert.equal(type, METRICS_TYPE);
  checkMetrics(text);
  const told = seriesOf(text);
  assert.equal(told.get('tandem_agent_up'), 1);
  assert.ok((told.get('tandem_agent_resident_memory_bytes') ?? 0) > 1e6);
});

test('everything but the figures still needs the protocol to be named', async () => {
  await using agent = await startScriptedAgent();
  const status = await new Promise((resolve, reject) => {
    request({ socketPath: agent.socket, path: '/v1/status' }, (response) => resolve(response.statusCode))
      .once('error', reject)
      .end();
  });
  assert.equal(status, 400);
});

test('`updatectl metrics` prints the page, as one document with --json', async () => {
  await using agent = await startScriptedAgent();
  const { out } = await runCommand(metrics, agent.dir);
  assert.equal(seriesOf(out).get('tandem_agent_state{state="idle"}'), 1);
  const document = JSON.parse((await runCommand(metrics, agent.dir, { json: true })).out) as { metrics: string };
  assert.equal(seriesOf(document.metrics).get('tandem_agent_up'), 1);
});

test('a file for the collector is there whole or not at all, and nothing else is left beside it', async () => {
  await using agent = await startScriptedAgent();
  const folder = mkdtempSync(join(tmpdir(), 'tandem-textfile-'));
  const textfile = join(folder, 'tandem.prom');
  writeFileSync(textfile, 'what was there before, and longer than nothing');
  const { out } = await runCommand(metrics, agent.dir, { options: { textfile } });
  assert.equal(out, '');
  checkMetrics(readFileSync(textfile, 'utf8'));
  assert.deepEqual(readdirSync(folder), ['tandem.prom']);
  const nowhere = { textfile: join(folder, 'missing/tandem.prom') };
  await assert.rejects(runCommand(metrics, agent.dir, { options: nowhere }), { code: 'file-unwritable' });
  rmSync(folder, { recursive: true });
});

test('without an agent the figures are those of the state files, and say that it is down', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-offline-'));
  const release = { product: 'acme', version: '2.1' };
  const state = { kind: 'staged', release, target: 'b' };
  writeFileSync(
    join(dir, 'state.json'),
    JSON.stringify({ schema: 1, state, since: '2026-03-01T11:00:00.000Z', slots: {} }),
  );
  const entry = { at: '2026-02-01T11:00:00.000Z', result: 'updated', version: '2.0', method: 'kexec' };
  writeFileSync(join(dir, 'history.jsonl'), `${JSON.stringify(entry)}\n`);
  const { out } = await runCommand(metrics, dir);
  checkMetrics(out);
  const told = seriesOf(out);
  assert.equal(told.get('tandem_agent_up'), 0);
  assert.equal(told.get('tandem_agent_state{state="staged"}'), 1);
  assert.equal(told.get('tandem_agent_restarts{method="kexec"}'), 1);
  assert.equal(existsSync(join(dir, 'control.sock')), false);
  rmSync(dir, { recursive: true });
});

test('a failed check is no good check: the moment of the last good one stays', async () => {
  let now = new Date('2026-03-01T12:00:00.000Z');
  const polls = createPolls({
    clock: { now: () => now, monotonicMs: () => now.getTime(), sleep: async () => {} },
    random: realRandom,
    limits: { backoffMs: 1000, backoffLimitMs: 60_000, jitterMs: 0 },
    scheduled: () => undefined,
  });
  assert.equal(polls.status().lastGoodCheck, undefined);
  polls.succeeded({ result: 'r', code: 'up-to-date' });
  now = new Date('2026-03-01T13:00:00.000Z');
  polls.failed(new UpdateError('server-failed'), true);
  const { lastCheck, lastGoodCheck } = polls.status();
  assert.equal(lastCheck?.at, '2026-03-01T13:00:00.000Z');
  assert.equal(lastGoodCheck, '2026-03-01T12:00:00.000Z');
});
