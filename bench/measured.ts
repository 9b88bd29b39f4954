/** What a command costs: wall time, processor time of all its processes, and the peak of their summed memory. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Cost = Readonly<{ seconds: number; cpuSeconds: number; peakRssBytes: number }>;

const POLL_MS = 15;
const PAGE = 4096;

/** Runs a line of bash that must succeed; every process it starts counts, as long as it is waited for. */
export async function measured(line: string, env: Readonly<Record<string, string>>, cwd: string): Promise<Cost> {
  const home = mkdtempSync(join(tmpdir(), 'tandem-time-'));
  try {
    const times = join(home, 'times');
    const timed = ['-q', '-f', '%U %S', '-o', times, 'bash', '-o', 'pipefail', '-ec', line];
    const start = performance.now();
    const child = spawn('/usr/bin/time', timed, {
      cwd,
      env: { ...process.env, LC_ALL: 'C', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const peakRssBytes = await watched(child, line);
    const seconds = (performance.now() - start) / 1000;
    const [user = 0, system = 0] = readFileSync(times, 'utf8').trim().split(' ').map(Number);
    return { seconds, cpuSeconds: user + system, peakRssBytes };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Waits for the end, and looks at the memory of the whole family meanwhile. */
function watched(child: ChildProcess, line: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let peak = 0;
    let said = '';
    const timer = setInterval(() => {
      peak = Math.max(peak, familyRss(String(child.pid)));
    }, POLL_MS);
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (bytes: Buffer) => {
        said = (said + bytes.toString()).slice(-2000);
      });
    child.once('error', reject);
    child.once('close', (status) => {
      clearInterval(timer);
      if (status === 0) resolve(peak);
      else reject(new Error(`${line.trim()}\nended with ${status}: ${said.trim()}`));
    });
  });
}

/** Pages that two processes share are counted twice, as other measuring tools do. */
function familyRss(pid: string): number {
  let sum = Number(readProc(`${pid}/statm`).split(' ')[1] ?? 0) * PAGE;
  for (const child of readProc(`${pid}/task/${pid}/children`).split(' ')) if (child !== '') sum += familyRss(child);
  return sum;
}

/** Nothing when the process has ended meanwhile. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8').trim();
  } catch {
    return '';
  }
}
