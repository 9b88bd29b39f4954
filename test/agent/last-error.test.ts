/** Which failure a host shows, what is to be done about it, and when it is over. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLastError } from '../../src/agent/last-error.ts';
import { ERRORS, type ErrorCode, UpdateError } from '../../src/errors.ts';
import type { Outcome, Product, Saved, Version } from '../../src/model.ts';

const at = '2026-03-01T12:00:00.000Z';
const release = { product: 'demo' as Product, version: '2.0' as Version };
const saved = (outcome: Outcome): Saved => ({ state: { kind: 'settling', outcome }, since: at, slots: {} });
const failed = (code: string, refuse = false): Saved =>
  saved({ result: 'failed', release, code, reason: 'it is so', refuse });

const fresh = () => createLastError({ now: () => new Date(at) }, { trouble: () => undefined });

function nextAfter(ended: Saved): string | undefined {
  const last = fresh();
  last.saved(ended, { type: 'started' }, ended);
  return last.status(ended).lastError?.next;
}

test('after a failed attempt stands what somebody can do about it, and then what happens by itself', () => {
  for (const code of ['slot-too-small', 'esp-full', 'slot-in-use', 'boot-partition-read-only'] satisfies ErrorCode[])
    assert.equal(nextAfter(failed(code)), `${ERRORS[code].next} The next check tries again.`);
  assert.equal(nextAfter(failed('of-a-newer-agent')), 'The next check tries again.');
});

test('a release that is refused is not tried again, and that is what stands there', () => {
  assert.match(nextAfter(failed('frame-invalid', true)) ?? '', /^It is refused.*updatectl forget 2\.0/);
});

test('that it could not be seen what is so is over as soon as it can be', async () => {
  const last = fresh();
  last.failed(undefined, new UpdateError('boot-partition-missing'));
  const idle: Saved = { state: { kind: 'idle' }, since: at, slots: {} };
  assert.equal(last.status(idle).lastError?.code, 'boot-partition-missing');
  await last.seeing(Promise.resolve());
  assert.deepEqual(last.status(idle), {});
});

test('what an action failed at is not over because it can be seen what is so', async () => {
  const last = fresh();
  last.failed({ do: 'check' }, new UpdateError('server-failed'));
  await last.seeing(Promise.resolve());
  assert.equal(last.status(failed('x')).lastError?.code, 'server-failed');
});
