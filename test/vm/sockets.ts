/** Talks to a running QEMU over its two Unix sockets: the guest's root shell and the monitor (QMP). */

import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type CommandResult = Readonly<{ status: number; output: string }>;

export type Shell = Readonly<{
  /** Runs commands in the guest's root shell and waits for their end. */
  run(command: string, timeoutMs: number): Promise<CommandResult>;
  /** Types something and does not wait, as one does before a power cut. */
  type(command: string): void;
  close(): void;
}>;

export type Monitor = Readonly<{
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  close(): void;
}>;

const CONNECT_MS = 10_000;

/** Connects to the virtual console on which the guest runs a root shell (or will, once it is up: what is typed waits). */
export async function openShell(path: string): Promise<Shell> {
  const socket = await connectTo(path);
  const received = collect(socket);
  let number = 0;
  socket.write('\nstty -echo -onlcr -opost; PS1=; PS2=; set +m\n');

  return {
    async run(command, timeoutMs) {
      number += 1;
      // The quotes keep the echo of what is typed from looking like the answer.
      const before = `@'begin'${number}`;
      const after = `@'end'${number}`;
      socket.write(`printf '%s\\n' ${before}; {\n${command}\n} </dev/null 2>&1; printf '%s %d\\n' ${after} $?\n`);
      const pattern = new RegExp(`@begin${number}\\r?\\n([^]*?)@end${number} (\\d+)\\r?\\n`);
      const match = await received.until(pattern, timeoutMs, `the guest did not finish: ${command}`);
      // A shell that was started anew, as after a soft reboot, has a terminal with its defaults again.
      return { output: (match[1] ?? '').replaceAll('\r\n', '\n').trimEnd(), status: Number(match[2]) };
    },
    type: (command) => void socket.write(`${command}\n`),
    close: () => socket.destroy(),
  };
}

/** Connects to QEMU's monitor. */
export async function openMonitor(path: string): Promise<Monitor> {
  const socket = await connectTo(path);
  const received = collect(socket);
  let number = 0;
  await received.until(/"QMP"[^\n]*\n/, CONNECT_MS, 'the monitor did not greet');

  const execute = async (command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> => {
    number += 1;
    socket.write(`${JSON.stringify({ execute: command, arguments: args, id: number })}\n`);
    const pattern = new RegExp(`^(.*"id": ?${number}[,}].*)\\r?\\n`, 'm');
    const [, line] = await received.until(pattern, 60_000, `the monitor did not answer ${command}`);
    const answer: unknown = JSON.parse(line ?? '');
    if (typeof answer === 'object' && answer !== null && 'return' in answer) return answer.return;
    throw new Error(`${command}: ${line}`);
  };
  await execute('qmp_capabilities');
  return { execute, close: () => socket.destroy() };
}

/** QEMU makes its sockets a moment after it has started. */
async function connectTo(path: string): Promise<Socket> {
  const end = performance.now() + CONNECT_MS;
  for (;;) {
    const socket = connect(path);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) {
      socket.on('error', () => socket.destroy());
      return socket;
    }
    if (performance.now() > end) throw error;
    await sleep(20);
  }
}

function collect(socket: Socket) {
  let text = '';
  let look: () => void = () => undefined;
  let closed = false;
  socket.on('data', (bytes) => {
    text += bytes.toString('utf8');
    look();
  });
  socket.on('close', () => {
    closed = true;
    look();
  });

  return {
    /** Resolves with the first match and forgets everything up to its end. */
    until: (pattern: RegExp, timeoutMs: number, complaint: string): Promise<RegExpExecArray> =>
      new Promise((resolve, reject) => {
        const fail = (why: string): void => reject(new Error(`${complaint} (${why}); last words: ${text.slice(-600)}`));
        const timer = setTimeout(() => fail(`${timeoutMs / 1000} s`), timeoutMs);
        look = () => {
          const match = pattern.exec(text);
          if (match === null && !closed) return;
          clearTimeout(timer);
          look = () => undefined;
          if (match === null) return fail('the connection closed');
          text = text.slice(match.index + match[0].length);
          resolve(match);
        };
        look();
      }),
  };
}
