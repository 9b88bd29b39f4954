/** Every command on a machine that misbehaves: whatever an operator can cause has a name. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join, relative } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { COMMANDS } from '../../src/cli/commands.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { COMMAND_LINES, makeMaterial } from '../support/rude-material.ts';

type Row = Readonly<{ line: string; status: number; code?: string; said: string; ms: number }>;

const PROJECT = join(import.meta.dirname, '../..');
const LONGEST_MS = 10_000;

/** The machine sees the project where everybody may go: some commands are run by a user who may not look into root's folders. */
const seen = (path: string): string => (path.startsWith(`${PROJECT}/`) ? join('/mnt', relative(PROJECT, path)) : path);
const MACHINE = ['sh', '-c', 'mount --bind "$0" /mnt && exec "$@"', PROJECT, seen(process.execPath)];
const PROGRAM = seen(join(PROJECT, 'test/support/rude-machine.ts'));

const onMachine = async (...args: readonly string[]): Promise<string> =>
  (
    await promisify(execFile)('unshare', ['--mount', '--propagation', 'private', ...MACHINE, PROGRAM, ...args], {
      maxBuffer: 1 << 26,
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    })
  ).stdout;

const faultsOf = async (): Promise<string[]> => JSON.parse(await onMachine('', 'which are there?')) as string[];

const sweep = async (fault: string): Promise<Row[]> =>
  (await onMachine(folder.path, fault))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

// Before any test: while a file awaits something, the runner may finish the tests it has so far, and run the hooks.
const faults = await faultsOf();
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

test('every command is tried', () => {
  const tried = COMMAND_LINES.map((line) => line.join(' '));
  for (const { name } of COMMANDS)
    assert.ok(
      tried.some((line) => line.startsWith(name)),
      name,
    );
});

// Most of the time is spent on servers that run until they are told to stop.
suite('every command succeeds or fails by a name, and ends', { concurrency: 3 }, () => {
  before(async () => {
    folder = await temporaryFolder();
    await makeMaterial(folder.path);
  });
  after(() => folder[Symbol.asyncDispose]());
  for (const fault of faults)
    test(fault, async (context) => {
      const rows = await sweep(fault);
      assert.equal(rows.length, COMMAND_LINES.length);
      context.diagnostic(`${rows.length} command lines, ${rows.filter(({ status }) => status === 0).length} succeeded`);
      const nameless = rows.filter(
        ({ status, code, said }) =>
          (status === 1 && (code === undefined || code === 'unexpected')) || said.includes('"message":"A file: '),
      );
      assert.deepEqual(
        nameless.map(({ line, code, said }) => [line, code, said]),
        [],
      );
      assert.deepEqual(
        rows.filter(({ ms }) => ms > LONGEST_MS).map(({ line, ms }) => [line, ms]),
        [],
      );
    });
});
