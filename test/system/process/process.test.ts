/** How a process ends. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const PROCESS = JSON.stringify(new URL('../../../src/system/process/process.ts', import.meta.url).href);

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

const EXEC = JSON.stringify(new URL('../../../src/system/process/exec.ts', import.meta.url).href);

/** A process that runs a program, is told to stop while it does, and puts something away afterwards. */
const interrupted = `
  const { onStop } = await import(${PROCESS});
  const { realExec } = await import(${EXEC});
  const signal = onStop(() => new Error('told to stop'));
  const program = realExec('sleep', ['60'], { signal });
  const beat = setInterval(() => {}, 1000);
  console.log('waiting');
  await program.catch((error) => console.log(error.message));
  await new Promise((resolve) => setTimeout(resolve, 50));
  clearInterval(beat);
  console.log('put away');`;

for (const name of ['SIGTERM', 'SIGINT'] as const)
  test(`${name} while a program runs ends the program, and what comes after it is still done`, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', interrupted], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    let said = '';
    for await (const text of child.stdout.setEncoding('utf8')) {
      if (said === '') child.kill(name);
      said += text;
    }
    assert.equal(said, 'waiting\ntold to stop\nput away\n');
    assert.deepEqual(await ended, [0, null]);
  });

test('a second signal ends the process at once, with the status that shells give it', async () => {
  const deaf = `
    (await import(${PROCESS})).onStop(() => new Error('told to stop')).addEventListener('abort', () => console.log('told'));
    setInterval(() => {}, 1000);
    console.log('waiting');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', deaf], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  for await (const _ of child.stdout) child.kill('SIGTERM');
  assert.deepEqual(await ended, [143, null]);
});
