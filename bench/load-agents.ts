/**
 * Simulated agents, as a process of their own: they check in over connections that stay open, each with one request at a time, and tell how long
 * every answer took. Started by bench/load.ts, which sends the work; what they send is what the real agent sends.
 */

import type { Version } from '../src/model.ts';
import { CheckInLine, wholeCheckInOf } from '../test/support/check-in-line.ts';

/** `seconds` at random hosts below `to`, or each of `from` until `to` once; `perSecond` 0 is as fast as the server answers. */
export type Work = Readonly<{
  port: number;
  token: string;
  kind: 'steady' | 'asking';
  from: number;
  to: number;
  seconds?: number;
  perSecond?: number;
  connections: number;
}>;

/** Latencies in milliseconds. */
export type Done = Readonly<{ answers: number; held: number; seconds: number; p50: number; p99: number }>;

process.on('message', (work: Work) => {
  void act(work).then((done) => process.send?.(done));
});

async function act(work: Work): Promise<Done> {
  const begun = performance.now();
  const next = work.seconds === undefined ? each(work) : random(work, begun + work.seconds * 1000);
  const taken: number[] = [];
  let held = 0;
  const perHost = work.perSecond ? (1000 * work.connections) / work.perSecond : 0;
  await Promise.all(
    Array.from({ length: work.connections }, async (_, at) => {
      const line = new CheckInLine(work.port, work.token);
      let due = begun + (perHost * at) / work.connections;
      for (let host = next(); host !== undefined; host = next()) {
        // Who is late counts from when it should have asked: a server that stands still is seen.
        if (perHost > 0) await until(due);
        const start = perHost > 0 ? due : performance.now();
        due += perHost;
        const wish = work.kind === 'asking' ? { wants: '2.0' as Version } : {};
        const { request, headers } = wholeCheckInOf(host, wish);
        const answer = await line.ask(request, headers);
        taken.push(performance.now() - start);
        if (!answer.go) held += 1;
      }
      line.close();
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  const sorted = Float64Array.from(taken).sort();
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return { answers: taken.length, held, seconds, p50: at(0.5), p99: at(0.99) };
}

function each({ from, to }: Work): () => number | undefined {
  let host = from;
  return () => (host < to ? host++ : undefined);
}

const random =
  ({ from, to }: Work, end: number): (() => number | undefined) =>
  () =>
    performance.now() < end ? from + Math.floor(Math.random() * (to - from)) : undefined;

const until = (due: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
