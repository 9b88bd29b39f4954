/** `updatectl inhibit` around real commands. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Context, inputOf } from '../../../src/cli/command.ts';
import { inhibit } from '../../../src/cli/host/inhibit.ts';
import { CONFIG_DIRS } from '../../../src/config/config.ts';
import { realClock } from '../../../src/system/clock.ts';
import { realFiles } from '../../../src/system/files.ts';
import { realRandom } from '../../../src/system/random.ts';

type Bench = Readonly<{ dir: string; run(command: readonly string[], duration?: string): Promise<number | undefined> }>;

async function withBench(story: (bench: Bench) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'inhibit-'));
  const drop = join(CONFIG_DIRS[2], 'test.toml');
  const context = {
    clock: realClock,
    random: realRandom,
    signal: new AbortController().signal,
    out: { line: () => {}, document: () => {} },
    files: {
      ...realFiles,
      list: async (path: string) =>
        path === CONFIG_DIRS[2] ? ['test.toml'] : CONFIG_DIRS.includes(path as never) ? [] : realFiles.list(path),
      read: async (path: string) =>
        path === drop ? new TextEncoder().encode(`[agent]\nruntime_dir = "${dir}"\n`) : realFiles.read(path),
    },
  } as unknown as Context;
  const run: Bench['run'] = (command, duration = '1h') =>
    inhibit.run(context, inputOf([command], { owner: 'backup', reason: 'a test', for: duration }));
  try {
    await story({ dir: join(dir, 'inhibit.d'), run });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('the lock is there while the command runs, and gone when it has ended; its exit status is ours', () =>
  withBench(async ({ dir, run }) => {
    assert.equal(await run(['sh', '-c', `cat ${dir}/backup.*.json >${dir}/seen; exit 7`]), 7);
    assert.deepEqual(await readdir(dir), ['seen']);
    assert.equal((JSON.parse(await readFile(join(dir, 'seen'), 'utf8')) as { owner: string }).owner, 'backup');
  }));

test('a command that cannot be run, or that a signal ends, leaves no lock', () =>
  withBench(async ({ dir, run }) => {
    await assert.rejects(run(['/nowhere/no-such-program']), { code: 'usage' });
    assert.equal(await run(['sh', '-c', 'kill -KILL $$']), 137);
    assert.deepEqual(await readdir(dir), []);
  }));

test('without a command the lock stays until its time is over', () =>
  withBench(async ({ dir, run }) => {
    await run([], '30m');
    const [name = ''] = await readdir(dir);
    const { since, until } = JSON.parse(await readFile(join(dir, name), 'utf8')) as Record<'since' | 'until', string>;
    assert.equal(Date.parse(until) - Date.parse(since), 1_800_000);
  }));

test('a time that is none is refused before anything runs', () =>
  withBench(async ({ dir, run }) => {
    await assert.rejects(run(['true'], 'for ever'), { code: 'usage' });
    assert.deepEqual(await realFiles.list(dir), []);
  }));
