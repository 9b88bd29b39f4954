/** A folder on a loopback port, served by nginx as a publisher would, with an account of what went over the wire. */

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Headers included, both ways. */
export type Traffic = Readonly<{ bytes: number; requests: number }>;

export interface Served extends Disposable {
  readonly url: string;
  /** The master and its workers. */
  readonly pids: readonly number[];
  /** What was asked for and sent since the last call. */
  traffic(): Promise<Traffic>;
}

/** Starts nginx with two workers; disposing stops it. */
export async function serveDirectory(dir: string): Promise<Served> {
  const port = await freePort();
  const home = mkdtempSync(join(tmpdir(), 'tandem-nginx-'));
  writeFileSync(join(home, 'nginx.conf'), configuration(dir, home, port));
  const child = spawn('nginx', ['-p', home, '-c', 'nginx.conf', '-e', join(home, 'error.log')], { stdio: 'ignore' });
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const url = `http://127.0.0.1:${port}`;
  await Promise.race([failed, answering(url)]).catch((cause: unknown) => {
    throw new Error(`nginx does not serve: ${readFileSync(join(home, 'error.log'), 'utf8')}`, { cause });
  });
  const log = accessLog(join(home, 'access.log'));
  await log.since();
  const workers = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
  return {
    url,
    pids: [child.pid ?? 0, ...workers.map(Number)],
    traffic: log.since,
    [Symbol.dispose]: () => {
      child.kill('SIGTERM');
      rmSync(home, { recursive: true, force: true });
    },
  };
}

const configuration = (dir: string, home: string, port: number): string => `
user root; daemon off; worker_processes 2; pid ${home}/pid; error_log ${home}/error.log crit;
events { worker_connections 64; }
http {
  log_format bytes '$bytes_sent $request_length'; access_log ${home}/access.log bytes; sendfile on; tcp_nopush on;
  client_body_temp_path ${home}/a; proxy_temp_path ${home}/b; fastcgi_temp_path ${home}/c; uwsgi_temp_path ${home}/d; scgi_temp_path ${home}/e;
  server { listen 127.0.0.1:${port}; root ${dir}; }
}
`;

function accessLog(path: string): { since(): Promise<Traffic> } {
  let seen = 0;
  return {
    since: async () => {
      const lines = (await settled(path)).subarray(seen);
      seen += lines.length;
      const entries = lines.toString().split('\n').slice(0, -1);
      const bytes = entries.reduce(
        (sum, line) =>
          sum +
          line
            .split(' ')
            .map(Number)
            .reduce((a, b) => a + b),
        0,
      );
      return { bytes, requests: entries.length };
    },
  };
}

/** A request is logged when it has ended, which the client may know a moment earlier. */
async function settled(path: string): Promise<Buffer> {
  for (let before = -1; ; ) {
    const text = readFileSync(path);
    if (text.length === before) return text;
    before = text.length;
    await sleep(100);
  }
}

async function answering(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer) return;
    await sleep(50);
  }
  throw new Error('nginx does not answer');
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
