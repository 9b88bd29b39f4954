/** A web server that does exactly what its script says, byte for byte, because real servers are too well behaved. */

import { createServer, type Server, type Socket } from 'node:net';

/** What the server does on one connection, once the head of the request has come. */
export type Script = (socket: Socket, request: string, round: number) => void;

export class HostileServer implements AsyncDisposable {
  readonly requests: string[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  private constructor(script: Script) {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {});
      let head = '';
      socket.on('data', (chunk) => {
        head += chunk.toString('latin1');
        if (!head.includes('\r\n\r\n')) return;
        const request = head;
        head = '';
        this.requests.push(request);
        script(socket, request, this.requests.length);
      });
    });
  }

  static async start(script: Script): Promise<HostileServer> {
    const hostile = new HostileServer(script);
    await new Promise<void>((resolve) => hostile.server.listen(0, '127.0.0.1', resolve));
    return hostile;
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  url(path = '/file'): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  get openSockets(): number {
    return this.sockets.size;
  }

  /** Resolves when no client is connected any more. */
  async allClosed(): Promise<void> {
    while (this.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** An answer with these headers and this body; the connection stays open unless `end`. */
export const answer =
  (status: string, headers: Record<string, string | number>, body = '', end = true): Script =>
  (socket) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n${body}`, 'latin1');
    if (end) socket.end();
  };

/** A well-behaved answer. */
export const ok = (body: string): Script => answer('200 OK', { 'Content-Length': Buffer.byteLength(body) }, body);

/** Start and end (exclusive) of the range that a request asks for. */
export function rangeOf(request: string, total: number): [number, number] {
  const match = /^range: bytes=(\d+)-(\d+)\r$/im.exec(request);
  return match ? [Number(match[1]), Number(match[2]) + 1] : [0, total];
}
