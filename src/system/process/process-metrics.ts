/** The resource usage of this process. */

import { counter, gauge, type Metric } from '../../formats/metrics-text.ts';

/** Named after `prefix`: two processes with metrics in one file must not share names. */
export function processMetrics(prefix: 'process' | 'tandem_agent'): readonly Metric[] {
  const { user, system } = process.cpuUsage();
  return [
    counter(`${prefix}_cpu_seconds_total`, 'Processor time used, in user and kernel mode.', (user + system) / 1e6),
    gauge(`${prefix}_resident_memory_bytes`, 'Memory in use, shared pages included.', process.memoryUsage.rss()),
    gauge(`${prefix}_start_time_seconds`, 'When the process was started.', performance.timeOrigin / 1000),
  ];
}
