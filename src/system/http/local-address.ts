/** Which of this host's addresses others see it under: the one from which it reaches them. */

import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';

/** The local address of packets to the server of `url`; nothing is sent. Undefined where no way leads there, or not soon enough. */
export async function addressTowards(url: string): Promise<string | undefined> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const never = once(late, 'abort').then(() => undefined);
  return Promise.race([routed(url, late).catch(() => undefined), never]);
}

/** It is shown to people: no check waits for it longer than this. */
const PATIENCE_MS = 2_000;

async function routed(url: string, signal: AbortSignal): Promise<string> {
  const { hostname, port } = new URL(url);
  const { address, family } = await lookup(hostname.replace(/^\[(.*)\]$/, '$1'));
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4').unref();
  try {
    // To connect a datagram socket asks the kernel for the route, and sends nothing.
    socket.connect(Number(port) || 443, address);
    await once(socket, 'connect', { signal });
    return socket.address().address;
  } finally {
    socket.close();
  }
}
