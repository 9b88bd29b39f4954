/** A reporter for `node --test`: the ten slowest tests, in their files, so that a suite that grows says where. */

import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

const SHOWN = 10;

// The test runner takes a reporter from the default export.
// biome-ignore lint/style/noDefaultExport: see above
export default async function* slowest(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const took: { name: string; file: string; ms: number }[] = [];
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.nesting > 0 || data.file === undefined || data.name === data.file) continue;
    took.push({ name: data.name, file: relative('.', data.file), ms: data.details.duration_ms });
  }
  took.sort((one, two) => two.ms - one.ms);
  yield `\nThe slowest of ${took.length}:\n`;
  for (const { name, file, ms } of took.slice(0, SHOWN))
    yield `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}: ${name}\n`;
}
