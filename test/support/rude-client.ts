/** A client that hangs up: somewhere in its request, or somewhere in the answer. */

import { connect } from 'node:net';

/** How much of `request` is sent, and how many bytes of answers are waited for, before the connection is reset. */
export type Rudeness = Readonly<{ request: Uint8Array; sends: number; reads: number }>;

/** Resolves when the connection is gone; `answered` says whether a byte came back. */
export function hangUp(port: number, { request, sends, reads }: Rudeness): Promise<Readonly<{ answered: boolean }>> {
  return new Promise((resolve) => {
    let read = 0;
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(request.subarray(0, sends), () => {
        if (reads === 0 || sends < request.length) socket.resetAndDestroy();
      });
    });
    socket.on('data', (bytes) => {
      read += bytes.length;
      if (read >= reads) socket.resetAndDestroy();
    });
    socket.on('end', () => socket.resetAndDestroy());
    // The other side may be quicker.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve({ answered: read > 0 }));
  });
}

/** A request as it goes over the wire; the last one of a connection has to ask for its end. */
export function wire(
  {
    method,
    path,
    headers,
    body,
  }: Readonly<{
    method: string;
    path: string;
    headers: Readonly<Record<string, string>>;
    body?: Buffer | undefined;
  }>,
  isLast: boolean,
): Buffer {
  const length = body === undefined ? {} : { 'content-length': String(body.length) };
  const all = { host: 'fleet', ...headers, ...length, ...(isLast ? { connection: 'close' } : {}) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    body ?? Buffer.alloc(0),
  ]);
}
