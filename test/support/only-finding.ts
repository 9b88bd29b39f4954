/** The findings of doctor where one fault was seeded. */

import assert from 'node:assert/strict';
import type { Finding } from '../../src/cli/doctor/finding.ts';

type Named = Finding & Readonly<{ name: string }>;

/** The check found it, with this result and sentence and a next step, and no other check found anything. */
export function assertOnly(wrong: readonly Named[], check: string, result: Finding['result'], sentence: RegExp): void {
  assert.deepEqual(
    wrong.map(({ name }) => name),
    [check],
    JSON.stringify(wrong),
  );
  assert.equal(wrong[0]?.result, result);
  assert.match(wrong[0]?.sentence ?? '', sentence);
  assert.ok(wrong[0]?.next);
}
