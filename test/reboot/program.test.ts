/** A program of the user's as boot loader: the one in the documentation, and those that break the contract. */

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openBootLoader } from '../../src/agent/boot-loader.ts';
import { resolveConfig } from '../../src/config/config.ts';
import type { SlotName, Version } from '../../src/model.ts';
import { flagsBackend } from '../../src/reboot/bootloaders/flags-backend.ts';
import { programStore } from '../../src/reboot/bootloaders/program.ts';
import { type Exec, realExec } from '../../src/system/process/exec.ts';
import { kernelFolder } from '../support/kernel-folder.ts';
import { sh } from '../support/loop-disk.ts';
import { noFiles } from '../support/no-files.ts';
import { type Bench, conformance } from './backend-conformance.ts';

const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'boot-program.md'), 'utf8');
const EXAMPLE = /```sh\n(#![\s\S]*?)```/.exec(PAGE)?.[1] ?? assert.fail('the page has no example');

/** A program in a folder of its own, and an exec that tells it where to keep its flags. */
function program(text: string): Disposable & { path: string; flags: string; exec: Exec } {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-program-'));
  const [path, flags] = [join(dir, 'boot-program'), join(dir, 'slot-flags')];
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  const exec: Exec = (name, args, options) =>
    realExec(name, args, { ...options, env: { ...options?.env, SLOT_FLAGS: flags } });
  return { path, flags, exec, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

conformance('program', async (): Promise<Bench> => {
  const own = program(EXAMPLE);
  writeFileSync(own.flags, 'a proven 0 disabled 0\n');
  const { versionOf, ...kernels } = await kernelFolder();
  return {
    backend: flagsBackend(programStore({ ...own, mostTries: 9 }), versionOf),
    ...kernels,
    start: async () => start(own.flags),
    bless: async (slot) => {
      const [first, ...words] = wordsOf(own.flags);
      words.splice(slot === 'a' ? 0 : 2, 2, 'proven', '0');
      writeFileSync(own.flags, `${[first, ...words].join(' ')}\n`);
    },
    [Symbol.asyncDispose]: async () => {
      await kernels[Symbol.asyncDispose]();
      own[Symbol.dispose]();
    },
  };
});

const wordsOf = (flags: string): string[] => readFileSync(flags, 'utf8').trim().split(' ');

/** What the boot loader behind the example does. */
function start(flags: string): SlotName | undefined {
  const [first, ...words] = wordsOf(flags);
  const order: readonly SlotName[] = first === 'a' ? ['a', 'b'] : ['b', 'a'];
  for (const slot of order) {
    const at = slot === 'a' ? 0 : 2;
    if (words[at] === 'proven') return slot;
    if (words[at] !== 'trying' || Number(words[at + 1]) === 0) continue;
    words[at + 1] = String(Number(words[at + 1]) - 1);
    writeFileSync(flags, `${[first, ...words].join(' ')}\n`);
    return slot;
  }
  return undefined;
}

test('shellcheck finds nothing in the example', () => {
  using own = program(EXAMPLE);
  assert.equal(sh('shellcheck', own.path), '');
});

test('each verb is told as the page says', async () => {
  using own = program('#!/bin/sh\necho "$@" >>"$SLOT_FLAGS"; cat >>"$SLOT_FLAGS"\n');
  const store = programStore({ ...own, mostTries: 3 });
  const told = async (...deed: Parameters<typeof store.save>): Promise<void> => store.save(...deed);
  const flags = {} as Parameters<typeof store.save>[0];
  await told(flags, { verb: 'disable', slot: 'b' });
  await told(flags, { verb: 'arm', slot: 'b', tries: 3 });
  await told(flags, { verb: 'confirm', slot: 'b' });
  await told(flags, { verb: 'count-try', slot: 'b' });
  await assert.rejects(store.load(), { code: 'boot-program-failed' });
  const lines = readFileSync(own.flags, 'utf8').trim().split('\n');
  const verbs = lines.filter((_, index) => index % 2 === 0);
  assert.deepEqual(verbs, ['disable', 'arm', 'confirm', 'count-try', 'read']);
  for (const line of lines.filter((_, index) => index % 2 === 1)) assert.ok(PAGE.includes(`\`${line}\``), line);
});

const GOOD = '{"schema":1,"first":"a","slots":{"a":{"state":"proven"},"b":{"state":"trying","tries":2}}}';
const answering = (text: string): string => `#!/bin/sh\ncat >/dev/null\ncat <<'END'\n${text}\nEND\n`;
const BROKEN: readonly (readonly [name: string, text: string, message: RegExp])[] = [
  ['ends with a failure', '#!/bin/sh\necho no flash >&2\nexit 3\n', /read” ended with status 3: "no flash"/],
  ['says nothing', '#!/bin/sh\n', /an invalid answer: ""/],
  ['answers something else', answering('everything is fine'), /an invalid answer/],
  ['answers too much', '#!/bin/sh\nhead -c 5000 /dev/zero\n', /more than 4096 bytes/],
  ['speaks a newer contract', answering(GOOD.replace('1', '2')), /an invalid answer/],
  ['misspells a member', answering(GOOD.replace('"tries"', '"trys"')), /an invalid answer/],
  ['adds a member', answering(GOOD.replace('"proven"', '"proven","tries":1')), /an invalid answer/],
  ['invents a state', answering(GOOD.replace('proven', 'good')), /an invalid answer/],
  ['counts below nothing', answering(GOOD.replace(':2', ':-1')), /an invalid answer/],
  ['counts in halves', answering(GOOD.replace(':2', ':0.5')), /an invalid answer/],
  ['leaves a slot out', answering(GOOD.replace(/,"b":.*\}/, '}')), /an invalid answer/],
];
for (const [name, text, message] of BROKEN)
  test(`a program that ${name} is told by name`, async () => {
    using own = program(text);
    await assert.rejects(programStore({ ...own, mostTries: 1 }).load(), { code: 'boot-program-failed', message });
  });

test('the answer of the page is understood', async () => {
  using own = program(answering(/```json\n([\s\S]*?)\n```/.exec(PAGE)?.[1] ?? ''));
  assert.deepEqual(await programStore({ ...own, mostTries: 3 }).load(), {
    first: 'b',
    slots: {
      a: { bootable: true, successful: true, tries: 0 },
      b: { bootable: true, successful: false, tries: 3 },
    },
  });
});

test('a program that does not end is told by name', async () => {
  const result = { exitCode: 143, stdout: '', stderr: '', timedOut: true };
  const store = programStore({ exec: async () => result, path: '/p', mostTries: 1 });
  await assert.rejects(store.load(), { code: 'boot-program-failed', message: /did not end within 30 seconds/ });
});

test('an answer counts when the program has ended, though a child that it leaves behind keeps its output open', async () => {
  using own = program(answering(GOOD).replace('cat >/dev/null', 'cat >/dev/null; sleep 5 &'));
  const begun = performance.now();
  assert.equal((await programStore({ ...own, mostTries: 3 }).load()).first, 'a');
  assert.ok(performance.now() - begun < 4_000);
});

test('whatever a program answers, it is understood or refused by name', async () => {
  const answers = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((any) => GOOD.replace('"a"', any)),
  );
  await fc.assert(
    fc.asyncProperty(answers, async (stdout) => {
      const result = { exitCode: 0, stdout, stderr: '', timedOut: false };
      const store = programStore({ exec: async () => result, path: '/p', mostTries: 1 });
      const code = await store.load().then(
        ({ slots }) => (slots.a && slots.b ? 'boot-program-failed' : 'half'),
        (error: { code?: string }) => error.code,
      );
      assert.equal(code, 'boot-program-failed');
    }),
  );
});

test('a program that does nothing when told is found out', async () => {
  using own = program(answering(GOOD).replace('cat <<', '[ "$1" = read ] || exit 0\ncat <<'));
  const backend = flagsBackend(programStore({ ...own, mostTries: 3 }), async () => '3' as Version);
  await assert.rejects(backend.disable('b'), { code: 'boot-confirm-failed' });
});

test('a program that chatters when told is refused', async () => {
  using own = program(answering(GOOD));
  const backend = flagsBackend(programStore({ ...own, mostTries: 3 }), async () => '3' as Version);
  await assert.rejects(backend.disable('b'), { code: 'boot-program-failed', message: /wrote to standard output/ });
});

test('a program that is not there is told by its path', async () => {
  const store = programStore({ exec: realExec, path: '/nowhere/boot-program', mostTries: 1 });
  await assert.rejects(store.load(), { code: 'tool-missing', message: /\/nowhere\/boot-program/ });
});

test('without a path the configuration is refused', () => {
  const config = resolveConfig([{ path: 'test', text: '[boot]\nbackend = "program"\n' }]);
  assert.throws(() => openBootLoader(config, { files: noFiles } as never, {} as never), { code: 'config-invalid' });
});
