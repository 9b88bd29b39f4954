/** `updatectl server` as a process of its own, which tests kill and start again at the same address. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

export class ServerProcess implements AsyncDisposable {
  readonly url: string;
  /** Shown at its last start, if it was. */
  operatorToken: string | undefined;
  /** The end of what it wrote to its log. */
  said = '';
  private readonly args: readonly string[];
  private readonly env: Readonly<Record<string, string>>;
  private process: ChildProcess | undefined;

  private constructor(port: number, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.env = env;
    this.url = `http://127.0.0.1:${port}`;
    const open = args.includes('--machine-token') ? [] : ['--machines-without-token'];
    const fast = args.includes('--host-rate') ? [] : ['--host-rate', '0'];
    this.args = ['server', '--listen', `127.0.0.1:${port}`, ...open, ...fast, ...args];
  }

  /** Running, with these options beside its address; hosts need no token unless the options name one. */
  static async start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
    const server = new ServerProcess(await freePort(), args, env);
    await server.start();
    return server;
  }

  /** Until it says that it serves. */
  async start(more: readonly string[] = []): Promise<void> {
    const child = spawn(process.execPath, [MAIN, ...this.args, ...more], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.env },
    });
    this.process = child;
    this.said = '';
    child.stderr.on('data', (bytes) => {
      this.said = `${this.said}${bytes}`.slice(-2000);
    });
    this.operatorToken = undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      this.operatorToken ??= /operator's token, shown only once: (\S+)$/.exec(line)?.[1];
      if (line.startsWith('Serving ')) return;
    }
    throw new Error(`the server does not come up: ${this.said}`);
  }

  get pid(): number {
    return this.process?.pid ?? 0;
  }

  /** As the kernel ends what takes too much memory: at once, in the middle of whatever it does. */
  async kill(): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
