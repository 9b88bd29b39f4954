/** How a process ends. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const PROCESS = JSON.stringify(new URL('../../src/system/process.ts', import.meta.url).href);

test('a process that is done ends as a success, though something is still open', async () => {
  const lasting = `setInterval(() => {}, 1000); (await import(${PROCESS})).endNow();`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', lasting], { stdio: 'inherit' });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('a signal to stop aborts, so that what is under way can be put away', async () => {
  const waiting = `
    const signal = (await import(${PROCESS})).onStop(() => new Error('told to stop'));
    signal.addEventListener('abort', () => { console.log(signal.reason.message); clearInterval(beat); });
    const beat = setInterval(() => {}, 1000);
    console.log('waiting');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', waiting], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  for await (const text of child.stdout.setEncoding('utf8')) {
    if (said === '') child.kill();
    said += text;
  }
  assert.equal(said, 'waiting\ntold to stop\n');
});
