/** The text format of Prometheus: whatever is written is read back the same, by us and by its own tool. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { counter, type Distribution, gauge, type Metric, metricsText } from '../../src/formats/metrics-text.ts';
import { processMetrics } from '../../src/system/process/process-metrics.ts';
import { checkMetrics, seriesOf } from '../support/promtool.ts';

const nasty = fc.string({
  unit: fc.constantFrom('a', '"', '\\', '\n', 'n', '{', '}', ',', '=', ' ', '#', 'é', '\u{1f600}'),
});
const value = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN),
);

test('any label and any value is read back as it was given', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('a', 'b_c', 'd'), nasty), value, nasty, (labels, number, help) => {
      const page = metricsText([gauge('tandem_x', help, [{ labels, value: number }])]);
      const [helpLine, typeLine, line, ...rest] = page.split('\n');
      assert.equal(unescaped(helpLine?.slice('# HELP tandem_x '.length) ?? ''), help);
      assert.equal(typeLine, '# TYPE tandem_x gauge');
      assert.deepEqual(rest, ['']);
      assert.deepEqual(readLine(line ?? ''), { labels: { ...labels }, value: number === 0 ? 0 : number });
    }),
  );
});

test('Prometheus reads every page of ours: labels, values and help of any kind', () => {
  const one = fc.tuple(fc.uniqueArray(nasty, { minLength: 1, maxLength: 4 }), value, nasty);
  const pages = fc.sample(fc.array(one, { maxLength: 5 }), { numRuns: 12, seed: 7 });
  for (const page of pages) {
    const metrics = page.map(([labels, number, help], at) =>
      gauge(
        `tandem_x${'yz'.repeat(at)}`,
        `A${help}.`,
        labels.map((text) => ({ labels: { text }, value: number })),
      ),
    );
    checkMetrics(metricsText(metrics));
  }
});

test('the check by Prometheus fails where a page is broken', () => {
  assert.throws(() => checkMetrics('tandem_x{a="b} 1\n'), /promtool check metrics ends with/);
  assert.throws(() => checkMetrics(metricsText([counter('tandem_x', 'Without its ending.', 1)])), /_total/);
});

test('a distribution adds up: each bucket holds those before it, the last one all', () => {
  const bounds = [0.1, 1, 10];
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 4, maxLength: 4 }), (counts) => {
      const one: Distribution = { labels: { of: 'x' }, bounds, counts, sum: 12.5 };
      const series = seriesOf(
        metricsText([{ name: 'tandem_t_seconds', help: 'Times.', type: 'histogram', samples: [one] }]),
      );
      const buckets = ['0.1', '1', '10', '+Inf'].map((le) => series.get(`tandem_t_seconds_bucket{of="x",le="${le}"}`));
      assert.deepEqual(
        buckets,
        counts.map((_, at) => counts.slice(0, at + 1).reduce((sum, many) => sum + many, 0)),
      );
      assert.equal(series.get('tandem_t_seconds_count{of="x"}'), buckets.at(-1));
      assert.equal(series.get('tandem_t_seconds_sum{of="x"}'), 12.5);
    }),
  );
  checkMetrics(
    metricsText([
      {
        name: 'tandem_t_seconds',
        help: 'Times.',
        type: 'histogram',
        samples: [{ bounds, counts: [1, 0, 2, 3], sum: 4 }],
      },
    ]),
  );
});

test('what has no value is not mentioned', () => {
  const metrics: readonly Metric[] = [
    gauge('tandem_none', 'None.', undefined),
    gauge('tandem_some', 'Some.', [
      { labels: { of: 'a' }, value: undefined },
      { labels: { of: 'b' }, value: 0 },
    ]),
  ];
  assert.equal(metricsText(metrics), '# HELP tandem_some Some.\n# TYPE tandem_some gauge\ntandem_some{of="b"} 0\n');
});

test('what this process costs is told under the name of who asks', () => {
  const page = metricsText(processMetrics('process'));
  checkMetrics(page);
  for (const [name, number] of seriesOf(page)) assert.ok(number > 0 && name.startsWith('process_'), name);
});

const unescaped = (text: string): string =>
  text.replace(/\\(.)/gs, (_, letter: string) => (letter === 'n' ? '\n' : letter));

/** One line as the format says that it is read. */
function readLine(line: string): { labels: Record<string, string>; value: number } {
  const [, inside = '', number = ''] = /^tandem_x(?:\{(.*)\})? (\S+)$/s.exec(line) ?? assert.fail(line);
  const pairs = [...inside.matchAll(/([a-z_]+)="((?:[^"\\\n]|\\.)*)"(?:,|$)/gs)];
  const labels = Object.fromEntries(pairs.map(([, name, text]) => [name, unescaped(text ?? '')]));
  return {
    labels,
    value: number === '+Inf' ? Number.POSITIVE_INFINITY : number === '-Inf' ? Number.NEGATIVE_INFINITY : Number(number),
  };
}
