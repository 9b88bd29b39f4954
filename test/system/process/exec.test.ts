/** Programs of other people: what their exit status says counts, whatever they leave behind, and however much they say. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attempt, type ExecOptions, realExec, run } from '../../../src/system/process/exec.ts';

const sh = (script: string, options: ExecOptions = {}) => realExec('sh', ['-c', script], options);

/** Somebody's daemon, which keeps what it was given open; killed when the test is over. */
async function withDaemon(check: (start: string, pid: () => Promise<number>) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-exec-'));
  const pid = async (): Promise<number> => Number(await readFile(join(dir, 'pid'), 'utf8'));
  try {
    await check(`sleep 300 & echo $! >${join(dir, 'pid')};`, pid);
  } finally {
    await pid()
      .then((one) => process.kill(one))
      .catch(() => {});
    await rm(dir, { recursive: true });
  }
}

/** One that nobody has taken leave of yet is dead all the same. */
const isAlive = (pid: number): Promise<boolean> =>
  readFile(`/proc/${pid}/stat`, 'utf8').then(
    (stat) => !/\) Z /.test(stat),
    () => false,
  );

for (const status of [0, 3])
  test(`a program that ends with status ${status} has ended, though a child holds its output open`, async () => {
    await withDaemon(async (start, pid) => {
      const result = await sh(`echo said; echo warned >&2; ${start} exit ${status}`, { timeoutMs: 20_000 });
      assert.deepEqual(result, { exitCode: status, stdout: 'said', stderr: 'warned', timedOut: false });
      assert.ok(await isAlive(await pid()), 'the daemon is not ours to kill');
    });
  });

test('everything that a program wrote before it ended is read, though a child holds its output open', async () => {
  await withDaemon(async (start) => {
    const { stdout } = await sh(`${start} head -c 3000000 /dev/zero | tr '\\0' x; exit 0`);
    assert.equal(stdout.length, 3_000_000);
  });
});

test('a program that ran out of time has, though a child holds its output open, and though it says that all is well', async () => {
  await withDaemon(async (start) => {
    const result = await sh(`trap 'exit 0' TERM; ${start} echo half; wait`, { timeoutMs: 200 });
    assert.deepEqual([result.timedOut, result.stdout], [true, 'half']);
    await assert.rejects(run(realExec, 'sh', ['-c', 'trap "exit 0" TERM; sleep 60 & wait'], { timeoutMs: 100 }), {
      code: 'tool-failed',
      message: /ran out of time/,
    });
  });
});

test('a program with a group of its own is stopped together with its children', async () => {
  await withDaemon(async (start, pid) => {
    assert.equal((await sh(`${start} wait`, { timeoutMs: 200, isGroup: true })).timedOut, true);
    assert.equal(await isAlive(await pid()), false);
  });
});

test('a program that says more than is kept goes on, and the end of what it said is kept', async () => {
  const flood = 'yes | head -c 40000000; echo the end';
  const result = await sh(flood);
  assert.deepEqual([result.exitCode, result.isCut], [0, true]);
  assert.ok(result.stdout.length < 17 * 1024 * 1024);
  assert.match(result.stdout, /\nthe end$/);
  await assert.rejects(run(realExec, 'sh', ['-c', flood]), { code: 'tool-failed', message: /more than 16 MiB/ });
});

test('a daemon that is stopped is told so by the programs that it runs', async () => {
  const stop = new AbortController();
  const running = sh('sleep 60', { signal: stop.signal });
  stop.abort(new Error('stopped'));
  await assert.rejects(running, /stopped/);
});

test('a program that is missing is named, with the package that brings it', async () => {
  await assert.rejects(realExec('no-such-program', [], { package: 'such' }), {
    code: 'tool-missing',
    message: /no-such-program is not installed \(Debian package such\)/,
  });
  assert.equal((await attempt(realExec, 'no-such-program', [])).exitCode, 127);
});

test('a program gets its input, and may leave it unread', async () => {
  const input = Buffer.alloc(1_000_000, 'x');
  assert.equal((await realExec('wc', ['-c'], { input })).stdout.trim(), '1000000');
  assert.equal((await realExec('true', [], { input })).exitCode, 0);
});

test('a program that may not be run has failed, and why is what it says', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-exec-'));
  try {
    await writeFile(join(dir, 'text'), 'exit 0');
    const result = await realExec(join(dir, 'text'), []);
    assert.deepEqual(result, { exitCode: 126, stdout: '', stderr: 'it cannot be run (EACCES)', timedOut: false });
  } finally {
    await rm(dir, { recursive: true });
  }
});
