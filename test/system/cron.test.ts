/** The schedule of polls: it names its next moment, and lets go of the process when it is over. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { isCron, isScheduleExpression, startSchedule } from '../../src/system/cron.ts';
import { noSignal } from '../support/bundles.ts';

const CRON = new URL('../../src/system/cron.ts', import.meta.url).href;
const PATIENCE_MS = 30_000;

/** What a process says that starts a schedule and does these things with it; fails when it does not end by itself. */
async function inProcess(then: string): Promise<string> {
  const program = `
    import { startSchedule } from ${JSON.stringify(CRON)};
    const stop = new AbortController();
    const schedule = startSchedule('*/30 * * * *', () => {}, stop.signal);
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { timeout: PATIENCE_MS });
  const [said, [status, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  assert.deepEqual([status, signal], [0, null], 'the process ended by itself');
  return said;
}

test('a schedule names its next moment and ends with its signal, so that the process can', async () => {
  const said = await inProcess(
    'setTimeout(() => { console.log(schedule.next().getMinutes() % 30); stop.abort(); }, 50);',
  );
  assert.equal(said.trim(), '0');
});

test('a schedule that is over at once keeps nothing alive either', async () => {
  await inProcess('stop.abort();');
});

test('an expression that names more than a calendar has is refused without being written out', () => {
  for (const range of ['0-9999999999', '1/100000000000', '*/1000', '0,'.repeat(120)]) {
    assert.equal(isScheduleExpression(`${range} * * * *`), false, range);
    assert.equal(isCron(`${range} * * * *`), false, range);
    assert.throws(() => startSchedule(`${range} * * * *`, () => {}, noSignal), { code: 'config-invalid' });
  }
  for (const good of ['*/30 * * * *', '0 2,14 1-7 jan-mar mon', '59 23 31 12 *']) assert.ok(isCron(good), good);
  assert.ok(isScheduleExpression('30 */5 * * * *'));
});
