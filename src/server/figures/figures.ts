/** A server's counters since its start: requests, answers, and the store's latency. */

import type { CheckIn, CheckInAnswer } from '../../formats/check-in.ts';
import { counter, type Metric } from '../../formats/metrics-text.ts';
import type { Store } from '../store/store.ts';
import { type Counter, createCounter, createTimer, type Timer } from './counters.ts';

export type Figures = Readonly<{
  checkIns: Counter;
  /** Hosts permitted to start a release. */
  offers: Counter;
  /** By the code in the answer. */
  refusals: Counter;
  requests: Counter;
  requestTimes: Timer;
  storeTimes: Timer;
  storeFailures: Counter;
  /** Failures found after their request had ended. */
  strays: Counter;
}>;

export const createFigures = (): Figures => ({
  checkIns: createCounter(FEW, [{ answer: 'go' }, { answer: 'hold' }]),
  offers: createCounter(FEW, [{}]),
  refusals: createCounter(MANY),
  requests: createCounter(MOST),
  requestTimes: createTimer(MANY),
  storeTimes: createTimer(FEW),
  storeFailures: createCounter(
    FEW,
    ['read', 'list', 'count', 'update'].map((operation) => ({ operation })),
  ),
  strays: createCounter(FEW, [{}]),
});

const FEW = 24;
const MANY = 100;
const MOST = 400;

/** Counts a check-in and its answer. */
export function countCheckIn({ checkIns, offers }: Figures, { wants }: CheckIn, { go }: CheckInAnswer): void {
  checkIns.add({ answer: go ? 'go' : 'hold' });
  if (go && wants !== undefined) offers.add({});
}

/** As Prometheus metrics. */
export const figuresMetrics = (figures: Figures): readonly Metric[] => [
  counter('tandem_check_ins_total', 'Check-ins by answer.', figures.checkIns.samples()),
  counter('tandem_offers_total', 'Check-ins permitted to start or continue a release.', figures.offers.samples()),
  counter('tandem_refusals_total', 'Refused requests by code.', figures.refusals.samples()),
  counter('tandem_http_requests_total', 'Requests by route and status.', figures.requests.samples()),
  {
    name: 'tandem_http_request_seconds',
    help: 'Time from the request to the end of the answer.',
    type: 'histogram',
    samples: figures.requestTimes.samples(),
  },
  {
    name: 'tandem_store_seconds',
    help: 'Time that the store takes.',
    type: 'histogram',
    samples: figures.storeTimes.samples(),
  },
  counter('tandem_store_failures_total', 'Failed operations of the store.', figures.storeFailures.samples()),
  counter(
    'tandem_server_strays_total',
    'Failures found after their request had ended; each is in the log.',
    figures.strays.samples(),
  ),
];

/** The store with its latency and failures counted. `nowMs` is monotonic. */
export function measuredStore(store: Store, { storeTimes, storeFailures }: Figures, nowMs: () => number): Store {
  const timed = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const begun = nowMs();
    try {
      return await work();
    } catch (error) {
      storeFailures.add({ operation });
      throw error;
    } finally {
      storeTimes.took({ operation }, (nowMs() - begun) / 1000);
    }
  };
  return {
    read: (key) => timed('read', () => store.read(key)),
    list: (kind, limit, after) => timed('list', () => store.list(kind, limit, after)),
    count: (kind) => timed('count', () => store.count(kind)),
    update: (keys, change) => timed('update', () => store.update(keys, change)),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
