/** Metrics in the Prometheus text format (version 0.0.4). Pure. */

export type Labels = Readonly<Record<string, string>>;
export type Sample = Readonly<{ labels?: Labels; value: number }>;

/** A histogram: the number of values up to each bound; `counts` has one more, for larger values. */
export type Distribution = Readonly<{
  labels?: Labels;
  bounds: readonly number[];
  counts: readonly number[];
  sum: number;
}>;

/** `help` is one sentence. Metrics without samples are omitted. */
export type Metric = Readonly<{ name: string; help: string }> &
  (
    | Readonly<{ type: 'gauge' | 'counter'; samples: readonly Sample[] }>
    | Readonly<{ type: 'histogram'; samples: readonly Distribution[] }>
  );

/** The media type of this format. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The text of a scrape. */
export const metricsText = (metrics: readonly Metric[]): string =>
  metrics
    .filter(({ samples }) => samples.length > 0)
    .map((metric) =>
      [
        `# HELP ${metric.name} ${escaped(metric.help)}`,
        `# TYPE ${metric.name} ${metric.type}`,
        ...linesOf(metric),
        '',
      ].join('\n'),
    )
    .join('');

/** A gauge; undefined values are omitted. */
export const gauge = (
  name: string,
  help: string,
  samples: number | undefined | readonly Readonly<{ labels?: Labels; value: number | undefined }>[],
): Metric => ({ name, help, type: 'gauge', samples: known(samples) });

/** A counter, which only grows while the process lives. */
export const counter = (name: string, help: string, samples: number | readonly Sample[]): Metric => ({
  name,
  help,
  type: 'counter',
  samples: known(samples),
});

const known = (
  samples: number | undefined | readonly Readonly<{ labels?: Labels; value: number | undefined }>[],
): readonly Sample[] =>
  (typeof samples === 'object' ? samples : [{ value: samples }]).flatMap(({ value, ...rest }) =>
    value === undefined ? [] : [{ ...rest, value }],
  );

const linesOf = ({ name, ...metric }: Metric): readonly string[] =>
  metric.type === 'histogram'
    ? metric.samples.flatMap((one) => distributionLines(name, one))
    : metric.samples.map(({ labels = {}, value }) => line(name, labels, value));

function distributionLines(name: string, { labels = {}, bounds, counts, sum }: Distribution): readonly string[] {
  let total = 0;
  const buckets = counts.map((count, at) => {
    total += count;
    return line(`${name}_bucket`, { ...labels, le: number(bounds[at] ?? Number.POSITIVE_INFINITY) }, total);
  });
  return [...buckets, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, total)];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text).replaceAll('"', '\\"')}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${number(value)}`;
}

const escaped = (text: string): string => text.toWellFormed().replaceAll('\\', '\\\\').replaceAll('\n', '\\n');

const number = (value: number): string =>
  Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
