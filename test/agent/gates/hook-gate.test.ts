/** Programs before a restart: run in order while the lock is held, taken back whenever the host stays or has come back. */

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { hookGate, lockWithHooks } from '../../../src/agent/gates/hook-gate.ts';
import type { LockGate } from '../../../src/agent/gates/lock-gate.ts';
import { closed, OPEN } from '../../../src/reboot/gates/gate.ts';
import { type Files, realFiles } from '../../../src/system/files.ts';
import { silentLog } from '../../../src/system/log.ts';
import { type Exec, realExec } from '../../../src/system/process/exec.ts';
import { noSignal } from '../../support/bundles.ts';

/** A host with these programs: what each does for `do` and for `undo`, as lines of shell. */
async function bench(programs: Readonly<Record<string, readonly [doing: string, undoing: string]>>) {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-hooks-'));
  const hooks = join(dir, 'pre-reboot.d');
  const calls = join(dir, 'calls');
  const run = await mkdtemp(join(tmpdir(), 'tandem-run-'));
  await mkdir(hooks);
  for (const [name, [doing, undoing]] of Object.entries(programs)) {
    const path = join(hooks, name);
    await writeFile(
      path,
      `#!/bin/sh\necho "${name} $1" >>${calls}\ncd ${dir}\nif [ "$1" = do ]; then ${doing}\nelse ${undoing}\nfi\n`,
    );
    await chmod(path, 0o755);
  }
  let ms = Date.UTC(2026, 2, 4);
  const clock = { now: () => new Date(ms), monotonicMs: () => ms, sleep: async () => {} };
  let mostRuns = Number.POSITIVE_INFINITY;
  let ended = 0;
  // systemd: one service, whose start is over when its program has ended.
  const exec: Exec = async (program, args, options) => {
    const said = (exitCode: number, stdout = '') => ({ exitCode, stdout, stderr: '', timedOut: false });
    if (program === 'systemctl') return said(0, `Result=exit-code\nExecMainStatus=${ended}\n`);
    if (program !== 'systemd-run') return realExec(program, args, options);
    mostRuns -= 1;
    if (mostRuns < 0) throw new Error('the power has failed');
    const result = await realExec(args.at(-2) ?? '', args.slice(-1), options);
    ended = result.exitCode ?? 1;
    const output = args.find((arg) => arg.includes('StandardOutput='))?.split('=file:')[1];
    if (output !== undefined) await speak(output, `${result.stdout}${result.stderr}`);
    return said(ended === 0 ? 0 : 1);
  };
  const world = {
    files: realFiles,
    exec,
    clock,
    log: silentLog,
    dirs: [hooks],
    stateDir: dir,
    runtimeDir: run,
    timeoutMs: 60_000,
  };
  return {
    dir,
    run,
    start: (files: Files = realFiles) => hookGate({ ...world, files, signal: noSignal }),
    calls: async () => (await readFile(calls, 'utf8').catch(() => '')).split('\n').filter(Boolean),
    begun: async () => (await readdir(dir)).includes('pre-reboot.json'),
    pass: (minutes: number): void => {
      ms += minutes * 60_000;
    },
    failAfter: (runs: number): void => {
      mostRuns = runs;
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of [dir, run]) await rm(each, { recursive: true, force: true });
    },
  };
}

/** As systemd does, where a socket lies in the place of a file. */
const speak = (path: string, words: string): Promise<void> =>
  new Promise((resolve, reject) => {
    connect(path).once('error', reject).once('close', resolve).end(words).resume();
  });

function fakeLock(calls: string[]): LockGate {
  return {
    verdict: async () => {
      calls.push('lock');
      return OPEN;
    },
    isHeld: async () => false,
    take: async () => {},
    giveBack: async () => void calls.push('give back'),
    lookAfter: async () => {},
    owed: () => undefined,
    wakeMs: () => undefined,
  };
}

test('programs are run once, in the order of their names, and taken back the last first', async () => {
  await using host = await bench({ '20-b': ['true', 'true'], '10-a': ['true', 'true'] });
  const gate = host.start();
  assert.equal((await gate.verdict(false)).ok, true);
  assert.equal((await gate.verdict(false)).ok, true);
  assert.equal(await host.begun(), true);
  await gate.undo();
  assert.deepEqual(await host.calls(), ['10-a do', '20-b do', '20-b undo', '10-a undo']);
  assert.equal(await host.begun(), false);
  await gate.undo();
  assert.equal((await host.calls()).length, 4);
});

test('status 21 asks for more time: the lock is kept, and only what is not done is asked again', async () => {
  await using host = await bench({
    '10-a': ['true', 'true'],
    '20-b': ['[ -e ready ] || { echo "two pods are left"; exit 21; }', 'true'],
  });
  const calls: string[] = [];
  const gate = host.start();
  const lock = lockWithHooks(fakeLock(calls), gate);
  const said = await lock.verdict(true);
  assert.ok(!said.ok && said.code === 'hook-later' && said.strength === 'soft');
  assert.match(said.reason, /20-b asks for more time: two pods are left$/);
  assert.equal(lock.wakeMs(), 60_000);
  await writeFile(join(host.dir, 'ready'), '');
  assert.equal((await lock.verdict(true)).ok, true);
  assert.deepEqual(calls, ['lock', 'lock']);
  assert.deepEqual(await host.calls(), ['10-a do', '20-b do', '20-b do']);
});

test('a program that fails gives the lock back, everything is taken back, and the host rests before it tries again', async () => {
  await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['echo no quorum >&2; exit 3', 'true'] });
  const calls: string[] = [];
  const lock = lockWithHooks(fakeLock(calls), host.start());
  const said = await lock.verdict(true);
  assert.ok(!said.ok && said.code === 'hook-failed');
  assert.match(said.reason, /20-b blocks the restart: ended with status 3: no quorum$/);
  assert.deepEqual(calls, ['lock', 'give back']);
  assert.deepEqual(await host.calls(), ['10-a do', '20-b do', '20-b undo', '10-a undo']);
  assert.equal((await lock.verdict(true)).ok, false);
  assert.equal(calls.length, 2);
  host.pass(10);
  await lock.verdict(true);
  assert.equal(calls.length, 4);
});

test('a program that cannot be run keeps the host and is named; nothing is run after it', async () => {
  await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['true', 'true'], '30-c': ['true', 'true'] });
  await chmod(join(host.dir, 'pre-reboot.d', '20-b'), 0o644);
  const lock = lockWithHooks(fakeLock([]), host.start());
  const said = await lock.verdict(true);
  assert.ok(!said.ok && said.code === 'hook-failed');
  assert.match(said.reason, /20-b blocks the restart: is not executable$/);
  assert.deepEqual(await host.calls(), ['10-a do', '10-a undo']);
});

test('however much a program prints, its last line is told, nothing of it lies in the runtime folder, and what did is gone', async () => {
  await using host = await bench({
    '10-a': ['yes noise | head -c 20000000; printf "\\n\\033[31mno quorum"; exit 3', 'true'],
  });
  await writeFile(join(host.run, 'pre-reboot.out'), 'of an earlier version');
  const said = await host.start().verdict(false);
  assert.ok(!said.ok);
  assert.match(said.reason, /ended with status 3: \[31mno quorum$/);
  assert.deepEqual(await readdir(host.run), []);
});

test('a program whose words cannot be heard is run all the same', async () => {
  await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['exit 3', 'true'] });
  await rm(host.run, { recursive: true });
  const said = await host.start().verdict(false);
  assert.ok(!said.ok);
  assert.match(said.reason, /20-b blocks the restart: ended with status 3$/);
  assert.deepEqual(await host.calls(), ['10-a do', '20-b do']);
});

test('whoever asks for more time for an hour has failed, so that others get the lock', async () => {
  await using host = await bench({ '10-a': ['exit 21', 'true'] });
  const calls: string[] = [];
  const lock = lockWithHooks(fakeLock(calls), host.start());
  for (let minute = 0; minute < 60; minute += 10) {
    const said = await lock.verdict(true);
    assert.ok(!said.ok && said.code === 'hook-later', `${minute}`);
    host.pass(10);
  }
  const said = await lock.verdict(true);
  assert.ok(!said.ok && said.code === 'hook-failed');
  assert.deepEqual(calls.at(-1), 'give back');
});

test('what was begun before a restart is taken back by the system that comes up, before the lock is given back', async () => {
  await using host = await bench({ '10-a': ['true', 'true'] });
  await host.start().verdict(false);
  const calls: string[] = [];
  const lock = lockWithHooks(fakeLock(calls), host.start());
  await lock.giveBack({ result: 'none' });
  assert.deepEqual(await host.calls(), ['10-a do', '10-a undo']);
  assert.deepEqual(calls, ['give back']);
  assert.equal(await host.begun(), false);
});

test('what cannot be taken back is owed, and tried again a minute later', async () => {
  await using host = await bench({ '10-a': ['true', '[ -e ready ]'] });
  const gate = host.start();
  await gate.verdict(false);
  await gate.undo();
  assert.equal(await host.begun(), true);
  assert.equal(await gate.isOwed(), false);
  assert.equal(gate.wakeMs(), 60_000);
  host.pass(1);
  assert.equal(await gate.isOwed(), true);
  await writeFile(join(host.dir, 'ready'), '');
  await gate.undo();
  assert.equal(await gate.isOwed(), false);
  assert.equal(await host.begun(), false);
});

test('one that cannot be taken back keeps no other from it, and is tried again alone', async () => {
  await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['true', 'exit 1'], '30-c': ['true', 'true'] });
  const gate = host.start();
  await gate.verdict(false);
  await gate.undo();
  assert.deepEqual((await host.calls()).slice(3), ['30-c undo', '20-b undo', '10-a undo']);
  host.pass(1);
  assert.equal(await gate.isOwed(), true);
  await gate.undo();
  assert.deepEqual((await host.calls()).slice(6), ['20-b undo']);
});

for (const [what, leave] of [
  ['is gone', (path: string) => rm(path)],
  ['is switched off', (path: string) => rm(path).then(() => symlink('/dev/null', path))],
] as const)
  test(`a program that ${what} when its restart is over is owed nothing more`, async () => {
    await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['true', 'true'] });
    await host.start().verdict(false);
    await leave(join(host.dir, 'pre-reboot.d', '20-b'));
    const next = host.start();
    await next.undo();
    assert.equal(await next.isOwed(), false);
    assert.equal(await host.begun(), false);
    assert.deepEqual((await host.calls()).slice(2), ['10-a undo']);
  });

test('a program that is replaced between the two is asked in its new form', async () => {
  await using host = await bench({ '10-a': ['true', 'true'] });
  const gate = host.start();
  await gate.verdict(false);
  const path = join(host.dir, 'pre-reboot.d', '10-a');
  await writeFile(`${path}.new`, `#!/bin/sh\necho "new $1" >>${join(host.dir, 'calls')}\n`, { mode: 0o755 });
  await rename(`${path}.new`, path);
  await gate.undo();
  assert.deepEqual(await host.calls(), ['10-a do', 'new undo']);
});

test('wherever the power fails, whatever was begun is taken back afterwards', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }), async (first, second) => {
      await using host = await bench({
        '10-a': ['touch a', 'rm -f a'],
        '20-b': ['touch b', 'rm -f b'],
        '30-c': ['touch c', 'rm -f c'],
      });
      host.failAfter(first);
      await host.start().verdict(false);
      host.failAfter(second);
      await host.start().undo();
      host.failAfter(Number.POSITIVE_INFINITY);
      await host.start().undo();
      const left = (await readdir(host.dir)).filter((name) => name !== 'calls');
      assert.deepEqual(left, ['pre-reboot.d']);
    }),
    { numRuns: 12 },
  );
});

test('a list of what was begun that cannot be read keeps nobody from restarting', async () => {
  await using host = await bench({ '10-a': ['true', 'true'] });
  for (const text of ['', '{', '[]', '{"begun":7}', '{"begun":["relative",3]}']) {
    await writeFile(join(host.dir, 'pre-reboot.json'), text);
    const gate = host.start();
    assert.equal((await gate.verdict(false)).ok, true, text);
    await gate.undo();
  }
});

test('a host that goes whatever the programs say runs them, stays drained and keeps the lock', async () => {
  await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['exit 3', 'true'], '30-c': ['exit 21', 'true'] });
  const calls: string[] = [];
  const lock = lockWithHooks(fakeLock(calls), host.start());
  assert.equal((await lock.verdict(true)).ok, false);
  assert.deepEqual(calls, ['lock', 'give back']);
  const before = (await host.calls()).length;
  assert.equal((await lock.verdict(true, true)).ok, true, 'also while it rests');
  assert.deepEqual(calls, ['lock', 'give back', 'lock']);
  assert.deepEqual((await host.calls()).slice(before), ['10-a do', '20-b do', '30-c do']);
  assert.equal(await host.begun(), true);
});

test('a host that has lost the lock while a program asks for more time does not stay drained', async () => {
  await using host = await bench({ '10-a': ['true', 'true'], '20-b': ['exit 21', 'true'] });
  let held = true;
  const full = closed('lock-full', 'hard', 'web-3 holds the lock');
  const lock = lockWithHooks({ ...fakeLock([]), verdict: async () => (held ? OPEN : full) }, host.start());
  await lock.verdict(true);
  held = false;
  assert.deepEqual(await lock.verdict(true), full);
  assert.deepEqual(await host.calls(), ['10-a do', '20-b do', '20-b undo', '10-a undo']);
});

test('where nothing can be written down, no program is begun, and the lock is given back', async () => {
  await using host = await bench({ '10-a': ['true', 'true'] });
  const full = async (): Promise<never> => {
    throw new Error('no space left on device');
  };
  const calls: string[] = [];
  const lock = lockWithHooks(fakeLock(calls), host.start({ ...realFiles, write: full }));
  const said = await lock.verdict(true);
  assert.ok(!said.ok && said.code === 'hook-failed');
  assert.match(said.reason, /cannot be recorded: Error: no space left on device$/);
  assert.deepEqual(calls, ['lock', 'give back']);
  assert.deepEqual(await host.calls(), []);
});

test('a list that cannot be read is tried again, and not taken for an empty one', async () => {
  await using host = await bench({ '10-a': ['true', 'true'] });
  await host.start().verdict(false);
  let isBroken = true;
  const read = async (path: string) => {
    if (isBroken) throw new Error('input/output error');
    return realFiles.read(path);
  };
  const gate = host.start({ ...realFiles, read });
  await gate.undo();
  assert.deepEqual(await host.calls(), ['10-a do']);
  isBroken = false;
  host.pass(1);
  assert.equal(await gate.isOwed(), true);
  await gate.undo();
  assert.deepEqual(await host.calls(), ['10-a do', '10-a undo']);
});
