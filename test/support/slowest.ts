/**
 * A reporter for `node --test`: the ten slowest tests, in their files, so that a suite that grows says where; and last, on one screen, why tests
 * failed, so that nobody has to look for it in a long record.
 */

import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

const SHOWN = 10;
const LINES = 40;

// The test runner takes a reporter from the default export.
// biome-ignore lint/style/noDefaultExport: see above
export default async function* slowest(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const took: { name: string; file: string; ms: number }[] = [];
  const failed: string[] = [];
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.file === undefined || data.name === data.file) continue;
    const file = relative('.', data.file);
    if (data.nesting === 0) took.push({ name: data.name, file, ms: data.details.duration_ms });
    if (type === 'test:fail' && !isOfSubtests(data.details.error))
      failed.push(`\nFailed: ${file}: ${data.name}\n${reasonOf(data.details.error)}\n`);
  }
  took.sort((one, two) => two.ms - one.ms);
  yield `\nThe slowest of ${took.length}:\n`;
  for (const { name, file, ms } of took.slice(0, SHOWN))
    yield `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}: ${name}\n`;
  yield* failed.slice(0, SHOWN);
}

/** A test fails with its subtests, which say why. */
const isOfSubtests = (error: Error): boolean => 'failureType' in error && error.failureType === 'subtestsFailed';

/** The runner wraps what a test threw. */
function reasonOf(error: Error): string {
  const { message } = error.cause instanceof Error ? error.cause : error;
  const lines = message.split('\n');
  return [...lines.slice(0, LINES), ...(lines.length > LINES ? [`(${lines.length - LINES} more lines)`] : [])]
    .map((line) => `  ${line.slice(0, 300)}`)
    .join('\n');
}
