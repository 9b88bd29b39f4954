/** The address under which other hosts reach this one: the source address of its own connections. */

import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';

/** The local source address for packets to the server of `url`; sends nothing. Undefined without a route, or after the time limit. */
export async function addressTowards(url: string): Promise<string | undefined> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const never = once(late, 'abort').then(() => undefined);
  return Promise.race([routed(url, late).catch(() => undefined), never]);
}

/** For display only, so no check waits longer than this. */
const PATIENCE_MS = 2_000;

async function routed(url: string, signal: AbortSignal): Promise<string> {
  const { hostname, port } = new URL(url);
  const { address, family } = await lookup(hostname.replace(/^\[(.*)\]$/, '$1'));
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4').unref();
  try {
    // Connecting a datagram socket asks the kernel for the route without sending anything.
    socket.connect(Number(port) || 443, address);
    await once(socket, 'connect', { signal });
    return socket.address().address;
  } finally {
    socket.close();
  }
}
