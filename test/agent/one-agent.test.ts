/** One agent a host: whoever is started beside it says so and ends, however close the two come, and whatever lies where they meet. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as elapsed } from 'node:timers/promises';
import { takeLock } from '../../src/system/process/lock-file.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { daemonStatus, layDaemonOut } from '../support/daemon.ts';

const LOCK = new URL('../../src/system/process/lock-file.ts', import.meta.url).href;
const DAEMON = new URL('../support/daemon.ts', import.meta.url).href;

/** Takes and gives back when it is told to, and says whether it has the lock. */
const RUNNER = `
const { takeLock } = await import(${JSON.stringify(LOCK)});
let lock;
process.stdin.on('data', async (said) => {
  if (String(said) === 'drop') { await lock?.[Symbol.asyncDispose]?.(); lock = undefined; process.stdout.write('dropped'); }
  else { lock = await takeLock(process.argv[1]); process.stdout.write('heldBy' in lock ? 'refused' : 'held'); }
});
process.stdout.write('ready');
`;

/** Ends by itself when the daemon does: nothing that it left behind may keep it. */
const STARTER = `
const { runDaemon } = await import(${JSON.stringify(DAEMON)});
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
process.stdout.write('ready');
process.stdin.once('data', async () => {
  process.stdin.destroy();
  await runDaemon(process.argv[1], stop.signal).catch((error) => {
    process.stdout.write(String(error.code ?? error));
    process.exitCode = 9;
  });
});
`;

type Runner = Readonly<{ child: ChildProcess; heard(): Promise<string>; tell(word: string): void }>;

async function start(script: string, path: string): Promise<Runner> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const heard = async (): Promise<string> => String((await once(child.stdout ?? assert.fail(), 'data'))[0]);
  const runner = { child, heard, tell: (word: string) => void child.stdin?.write(word) };
  assert.equal(await heard(), 'ready');
  return runner;
}

/** What each says to the word, told to all before any is heard. */
async function all(runners: readonly Runner[], word: string): Promise<string[]> {
  const answers = runners.map(({ heard }) => heard());
  for (const { tell } of runners) tell(word);
  return Promise.all(answers);
}

test('of four processes that reach for the lock at the same moment, forty times, one has it', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'agent.lock');
  const runners = await Promise.all(Array.from({ length: 4 }, () => start(RUNNER, path)));
  for (let round = 0; round < 40; round++) {
    assert.deepEqual((await all(runners, 'take')).sort(), ['held', 'refused', 'refused', 'refused']);
    await all(runners, 'drop');
  }
  for (const { child } of runners) child.kill('SIGKILL');
  assert.deepEqual(await readdir(folder.path), []);
});

test('the lock of a process that was killed is free at once', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'agent.lock');
  const holder = await start(RUNNER, path);
  assert.deepEqual(await all([holder], 'take'), ['held']);
  assert.ok('heldBy' in (await takeLock(path)));
  holder.child.kill('SIGKILL');
  await once(holder.child, 'exit');
  const mine = await takeLock(path);
  assert.ok(!('heldBy' in mine));
  await mine[Symbol.asyncDispose]();
});

test('what lies in the place of the lock does not keep the agent from starting, unless it cannot be a file', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'agent.lock');
  await writeFile(path, 'no database at all'.repeat(100));
  const holder = await start(RUNNER, path);
  assert.deepEqual(await all([holder], 'take'), ['held']);
  assert.ok('heldBy' in (await takeLock(path)));
  holder.child.kill('SIGKILL');
  await mkdir(join(folder.path, 'folder'));
  await assert.rejects(takeLock(join(folder.path, 'folder')), { code: 'file-unlockable' });
  await assert.rejects(takeLock(join(folder.path, 'absent/agent.lock')), { code: 'file-unlockable' });
});

test('of two agents that are started at the same moment one listens; the other says why not, and its process ends', async () => {
  await using folder = await temporaryFolder();
  await layDaemonOut(folder.path);
  const agents = await Promise.all([start(STARTER, folder.path), start(STARTER, folder.path)]);
  const ended = agents.map(({ child }) => once(child, 'exit'));
  const refused = Promise.race(agents.map(({ heard }) => heard()));
  for (const { tell } of agents) tell('go');
  assert.equal(await refused, 'already-running');
  assert.deepEqual(await Promise.race(ended), [9, null]);
  assert.equal((await daemonStatus(folder.path)).state.kind.length > 0, true);
  const alive = agents.filter(({ child }) => child.exitCode === null);
  assert.equal(alive.length, 1);
  alive[0]?.child.kill('SIGTERM');
  assert.deepEqual((await Promise.all(ended)).map(([status]) => status).sort(), [0, 9]);
});

test('an agent that finds another one ends before it has touched anything', async () => {
  await using folder = await temporaryFolder();
  await layDaemonOut(folder.path);
  await mkdir(join(folder.path, 'run'));
  const held = await takeLock(join(folder.path, 'run/agent.lock'));
  assert.ok(!('heldBy' in held));
  const agent = await start(STARTER, folder.path);
  const ended = once(agent.child, 'exit');
  assert.deepEqual(await all([agent], 'go'), ['already-running']);
  assert.deepEqual(await ended, [9, null]);
  assert.deepEqual((await readdir(folder.path)).sort(), ['config.d', 'esp', 'root.json', 'run']);
  await held[Symbol.asyncDispose]();
});

test('an agent that cannot be put together ends, whatever it had begun', async () => {
  await using folder = await temporaryFolder();
  await layDaemonOut(folder.path, `lock = { kind = "etcd", endpoints = ["https://x/"], ca_file = "/nowhere" }\n`);
  const agent = await start(STARTER, folder.path);
  const heard = agent.heard();
  const ended = once(agent.child, 'exit');
  agent.tell('go');
  assert.equal(await heard, 'config-invalid');
  assert.deepEqual(await Promise.race([ended, elapsed(20_000, 'it goes on')]), [9, null]);
});
