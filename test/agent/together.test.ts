/** Works side by side: one failure ends all, and nothing goes on afterwards. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { together } from '../../src/agent/install/delta/together.ts';

const never = new AbortController().signal;

/** Ends only when it is told to, and a little later than it is told. */
const stopped = (signal: AbortSignal, done: () => void): Promise<void> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () =>
      setImmediate(() => {
        done();
        reject(signal.reason);
      }),
    );
  });

test('the first failure is the one that is thrown, once the others have ended', async () => {
  let ended = false;
  const works = together(
    never,
    async () => {
      throw new Error('first');
    },
    (signal) =>
      stopped(signal, () => {
        ended = true;
      }),
  );
  await assert.rejects(works, { message: 'first' });
  assert.ok(ended);
});

test('what stops the whole stops each of them', async () => {
  const stop = new AbortController();
  let ended = 0;
  const work = (signal: AbortSignal): Promise<void> =>
    stopped(signal, () => {
      ended += 1;
    });
  const works = together(stop.signal, work, work);
  stop.abort(new Error('stopped'));
  await assert.rejects(works, { message: 'stopped' });
  assert.equal(ended, 2);
});

test('works that succeed have all ended', async () => {
  const done: number[] = [];
  await together(
    never,
    async () => void done.push(1),
    async () => {
      await new Promise(setImmediate);
      done.push(2);
    },
  );
  assert.deepEqual(done, [1, 2]);
});
