/** Check-ins of simulated hosts over a connection that is kept, as real agents send them. */

import { connect, type Socket } from 'node:net';
import type { CheckIn, CheckInAnswer } from '../../src/formats/check-in.ts';
import type { MachineId, Product, Version } from '../../src/model.ts';

/** A host that runs 1.0 and has nothing to tell. */
export const checkInOf = (host: number, change: Partial<CheckIn> = {}): CheckIn => ({
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
  ...change,
});

/** The same as a real agent sends it: with where the host is, which boot this is, and its secret. */
export function wholeCheckInOf(
  host: number,
  change: Partial<CheckIn> = {},
): Readonly<{ request: CheckIn; headers: string }> {
  const hex = (host + 1).toString(16).padStart(32, '0');
  const facts = {
    host: {
      name: `web-${host}.frankfurt.example.net`,
      address: `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`,
      os: 'Acme Linux 2.1.0 (trixie)',
      kernel: '6.12.48+deb13-amd64',
      architecture: 'x86-64',
    },
    boot: { id: hex, seconds: 86_400, hardware: hex },
  };
  const secret = hex.padStart(43, 'a');
  return { request: checkInOf(host, { ...facts, ...change }), headers: `tandem-secret: ${secret}\r\n` };
}

/** Far cheaper than a client that knows all of HTTP, so that the server is what is measured. */
export class CheckInLine {
  private readonly socket: Socket;
  private readonly head: string;
  private received = '';
  private waiting: { resolve(answer: string): void; reject(error: Error): void } | undefined;

  constructor(port: number, token?: string) {
    this.head = `POST /v1/check-in HTTP/1.1\r\nhost: fleet\r\n${token === undefined ? '' : `authorization: Bearer ${token}\r\n`}content-type: application/json`;
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (bytes: string) => this.take(bytes));
    this.socket.on('error', (error) => this.waiting?.reject(error));
    this.socket.on('close', () => this.waiting?.reject(new Error('the server hangs up')));
  }

  /** One request at a time; `headers` are lines that end in CRLF. */
  async ask(request: CheckIn, headers = ''): Promise<CheckInAnswer> {
    const body = JSON.stringify(request);
    const answer = await new Promise<string>((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(`${this.head}\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`);
    });
    if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(`the server answers ${answer}`);
    return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as CheckInAnswer;
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
