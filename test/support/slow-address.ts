/** An address of this machine that drops attempts to connect, as one does that is far away or gone, until it is woken. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const SERVER = `
  const [host, port, body] = process.argv.slice(1);
  const server = require('node:http').createServer((_, answer) => answer.end(body));
  server.listen({ host, port: Number(port), backlog: 1 }, () => console.log(server.address().port));
`;

export class SlowAddress implements AsyncDisposable {
  readonly address: string;
  readonly port: number;
  private readonly child: ChildProcess;
  private readonly fillers: readonly Socket[];

  private constructor(address: string, port: number, child: ChildProcess, fillers: readonly Socket[]) {
    this.address = address;
    this.port = port;
    this.child = child;
    this.fillers = fillers;
  }

  /** A web server that answers with its own address once it is awake. */
  static async start(address: string, port = 0): Promise<SlowAddress> {
    const child = spawn(process.execPath, ['-e', SERVER, address, String(port), address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    const bound = Number(String(line));
    child.kill('SIGSTOP');
    // Nobody accepts any more, and the kernel drops what does not fit into a full queue.
    const fillers = await Promise.all([1, 2].map(() => filler(address, bound)));
    return new SlowAddress(address, bound, child, fillers);
  }

  /** The kernel of whoever tries to connect tries again after one second, then after two more. */
  wake(): void {
    for (const one of this.fillers) one.destroy();
    this.child.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.fillers) one.destroy();
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}

async function filler(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}
