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

/** A well-behaved answer with a whole file or the part that is asked for; the connection stays open. */
export const serving =
  (file: Uint8Array): Script =>
  (socket, request) => {
    const [start, end] = rangeOf(request, file.length);
    const isPart = /^range:/im.test(request);
    const range = isPart ? `Content-Range: bytes ${start}-${end - 1}/${file.length}\r\n` : '';
    const status = isPart ? '206 Partial Content' : '200 OK';
    socket.cork();
    socket.write(`HTTP/1.1 ${status}\r\n${range}Content-Length: ${end - start}\r\n\r\n`);
    socket.write(file.subarray(start, end));
    socket.uncork();
  };

/** The head of a proper answer and only the first `length` bytes of its body; then the connection breaks. */
export const breaking =
  (file: Uint8Array, length: number): Script =>
  (socket, request) => {
    const [start, end] = rangeOf(request, file.length);
    const range = `Content-Range: bytes ${start}-${end - 1}/${file.length}`;
    socket.write(`HTTP/1.1 206 Partial Content\r\n${range}\r\nContent-Length: ${end - start}\r\n\r\n`);
    socket.write(file.subarray(start, Math.min(end, start + length)), () => socket.resetAndDestroy());
  };

/** The parts that were asked for, as `first-last`, in the order in which they came. */
export const partsOf = (requests: readonly string[]): string[] =>
  requests.map((request) => /^range: bytes=(\d+-\d+)\r$/im.exec(request)?.[1] ?? 'whole');
