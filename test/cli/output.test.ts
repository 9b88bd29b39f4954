/** What goes to the terminal: lines and a live bar do not write over one another, and colours are for terminals only. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOutput } from '../../src/cli/output.ts';
import type { Streams } from '../../src/cli/progress.ts';
import type { Clock } from '../../src/system/clock.ts';

const clock: Clock = { now: () => new Date(0), monotonicMs: () => 1000, sleep: async () => {} };

/** Both streams end on one screen; `lines` is what stands there in the end. */
function terminal(more: Partial<Streams> = {}) {
  let text = '';
  const write = (one: string): void => {
    text += one;
  };
  const streams = { out: write, err: write, isTerminal: true, width: () => 60, ...more };
  const lines = (): string[] => text.split('\n').map((line) => line.split('\u001b[2K').at(-1)?.replace('\r', '') ?? '');
  return { out: createOutput(streams, clock, false), raw: () => text, lines };
}

test('a line that comes while a bar is shown stands above it, whole, and the bar goes on below', () => {
  const { out, lines } = terminal();
  {
    using bar = out.progress('writing');
    bar.update(1, 4);
    out.line('  plan       patch: 72 MB');
    out.warn('careful');
    bar.update(4, 4);
  }
  const [plan, warning, last, ...rest] = lines();
  assert.deepEqual([plan, warning, rest], ['  plan       patch: 72 MB', 'careful', ['']]);
  assert.match(last ?? '', /^writing .*100 %/);
});

test('before a bar is shown and after it has gone, a line is a line', () => {
  const { out, raw } = terminal();
  {
    using _bar = out.progress('writing');
    out.line('before');
  }
  out.line('after');
  assert.equal(raw(), 'before\nafter\n');
});

test('where nobody watches, no line is cleared for another', () => {
  const { out, raw } = terminal({ isTerminal: false });
  using bar = out.progress('writing');
  bar.update(1, 4);
  out.line('plan');
  assert.ok(!raw().includes('\u001b'));
  assert.match(raw(), /^writing .*\nplan\n$/);
});

test('a mark has a colour where there are colours, and what comes from outside steers nothing', () => {
  const coloured = terminal({ hasColour: true });
  coloured.out.marked('bad', '✗', '  clock  it \u001b[2J is wrong');
  assert.equal(coloured.raw(), '\u001b[31m✗\u001b[0m  clock  it \ufffd[2J is wrong\n');
  const plain = terminal();
  plain.out.marked('good', '✓', '  clock');
  assert.equal(plain.raw(), '✓  clock\n');
});
