/** What a server counts from its start: what it was asked, what it answered, and how long its store took. */

import type { CheckIn, CheckInAnswer } from '../../formats/check-in.ts';
import { counter, type Metric } from '../../formats/metrics-text.ts';
import type { Store } from '../store/store.ts';
import { type Counter, createCounter, createTimer, type Timer } from './counters.ts';

export type Figures = Readonly<{
  checkIns: Counter;
  /** Hosts that were told to begin a release. */
  offers: Counter;
  /** By the name that the caller was told. */
  refusals: Counter;
  requests: Counter;
  requestTimes: Timer;
  storeTimes: Timer;
  storeFailures: Counter;
  /** Failures that came to light after their request was over. */
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

/** A host has asked, and was answered. */
export function countCheckIn({ checkIns, offers }: Figures, { wants }: CheckIn, { go }: CheckInAnswer): void {
  checkIns.add({ answer: go ? 'go' : 'hold' });
  if (go && wants !== undefined) offers.add({});
}

/** As Prometheus is told. */
export const figuresMetrics = (figures: Figures): readonly Metric[] => [
  counter('tandem_check_ins_total', 'Check-ins by what they were told.', figures.checkIns.samples()),
  counter(
    'tandem_offers_total',
    'Check-ins that were told to begin a release, or to go on with it.',
    figures.offers.samples(),
  ),
  counter(
    'tandem_refusals_total',
    'Requests that did not get what they asked for, by the name they were told.',
    figures.refusals.samples(),
  ),
  counter('tandem_http_requests_total', 'Requests by route and status.', figures.requests.samples()),
  {
    name: 'tandem_http_request_seconds',
    help: 'From the request to the end of the answer.',
    type: 'histogram',
    samples: figures.requestTimes.samples(),
  },
  {
    name: 'tandem_store_seconds',
    help: 'How long the store takes.',
    type: 'histogram',
    samples: figures.storeTimes.samples(),
  },
  counter('tandem_store_failures_total', 'What the store could not do.', figures.storeFailures.samples()),
  counter(
    'tandem_server_strays_total',
    'Failures that no request was waiting for any more; the log has each.',
    figures.strays.samples(),
  ),
];

/** The same store, with a watch beside it. `nowMs` never jumps. */
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
