/**
 * Simulated agents, as a process of their own: they check in over connections that stay open, each with one request at a time, and tell how long
 * every answer took. Started by bench/load.ts, which sends the work; what they send is what the real agent sends.
 */

import { connect, type Socket } from 'node:net';
import type { MachineId, Product, Version } from '../src/model.ts';
import type { CheckIn } from '../src/protocol.ts';

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
export type Done = Readonly<{ answers: number; told: number; seconds: number; p50: number; p99: number }>;

process.on('message', (work: Work) => {
  void act(work).then((done) => process.send?.(done));
});

async function act(work: Work): Promise<Done> {
  const begun = performance.now();
  const next = work.seconds === undefined ? each(work) : random(work, begun + work.seconds * 1000);
  const taken: number[] = [];
  let told = 0;
  const perHost = work.perSecond ? (1000 * work.connections) / work.perSecond : 0;
  await Promise.all(
    Array.from({ length: work.connections }, async (_, at) => {
      const line = new Line(work.port);
      let due = begun + (perHost * at) / work.connections;
      for (let host = next(); host !== undefined; host = next()) {
        // Who is late counts from when it should have asked: a server that stands still is seen.
        if (perHost > 0) await until(due);
        const start = perHost > 0 ? due : performance.now();
        due += perHost;
        const answer = await line.ask(requestOf(work, host));
        taken.push(performance.now() - start);
        if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(`the server answers ${answer}`);
        if (answer.includes('"go":false')) told += 1;
      }
      line.close();
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  const sorted = Float64Array.from(taken).sort();
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return { answers: taken.length, told, seconds, p50: at(0.5), p99: at(0.99) };
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

function requestOf({ kind, token }: Work, host: number): string {
  const body = JSON.stringify(checkInOf(host, kind));
  return `POST /v1/check-in HTTP/1.1\r\nhost: fleet\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

const checkInOf = (host: number, kind: Work['kind']): CheckIn => ({
  schema: 1,
  machine: (host + 1).toString(16).padStart(32, '0') as MachineId,
  group: 'default',
  product: 'acme' as Product,
  channel: 'stable',
  agent: '0.1.0',
  running: { version: '1.0' as Version, counter: 1 },
  confirmed: true,
  state: 'idle',
  since: '2026-01-01T00:00:00.000Z',
  ...(kind === 'asking' ? { wants: '2.0' as Version } : {}),
});

/** A connection that is kept. Far cheaper than a client that knows all of HTTP, so that the server is what is measured. */
class Line {
  private readonly socket: Socket;
  private received = '';
  private waiting: { resolve(answer: string): void; reject(error: Error): void } | undefined;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (bytes: string) => this.take(bytes));
    this.socket.on('error', (error) => this.waiting?.reject(error));
    this.socket.on('close', () => this.waiting?.reject(new Error('the server hangs up')));
  }

  ask(request: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(request);
    });
  }

  close(): void {
    this.waiting = undefined;
    this.socket.destroy();
  }

  private take(bytes: string): void {
    this.received += bytes;
    const head = this.received.indexOf('\r\n\r\n');
    if (head === -1) return;
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(this.received) ?? [];
    if (this.received.length < head + 4 + Number(length)) return;
    const answer = this.received;
    this.received = '';
    this.waiting?.resolve(answer);
  }
}
