/** The program as people call it: help, wrong usage, errors, completion. Each time a real process. */

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command as Commander } from 'commander';
import { COMMANDS } from '../../src/cli/commands.ts';
import { specify } from '../../src/main.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

type Answer = Readonly<{ status: number; stdout: string; stderr: string }>;

const updatectl = (...args: readonly string[]): Promise<Answer> =>
  new Promise((resolve) =>
    execFile(process.execPath, [MAIN, ...args], { cwd: tmpdir() }, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  );

test('the help lists every command or its group', async () => {
  const { status, stdout, stderr } = await updatectl('--help');
  assert.deepEqual([status, stderr], [0, '']);
  for (const { name } of COMMANDS) assert.match(stdout, new RegExp(`^  ${name.split(' ')[0]} `, 'm'));
});

test('a group says in the help what it is for', async () => {
  const { stdout } = await updatectl('--help');
  for (const word of new Set(COMMANDS.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0])))
    assert.match(stdout, new RegExp(`^  ${word} +(?!${word}$)\\S`, 'm'));
});

test('the list says of each command what the command says of itself', async () => {
  for (const { name, summary, load } of COMMANDS) assert.equal((await load()).summary, summary, name);
});

for (const { name, load } of COMMANDS)
  test(`the help of ${name} shows what it does, its options and its examples`, async () => {
    const command = await load();
    assert.equal(command.name, name);
    assert.ok(command.examples.length > 0);
    const help: string[] = [];
    const parser = specify(new Commander(`updatectl ${name}`), command);
    parser.configureOutput({ writeOut: (text) => void help.push(text) }).outputHelp();
    for (const text of [`Usage: updatectl ${name}`, '--json', ...command.examples])
      assert.ok(help.join('').includes(text), text);
    for (const { flags } of command.options ?? []) assert.ok(help.join('').includes(flags), flags);
  });

test('a group below a command has help of its own, and the command keeps its options', async () => {
  const [group, command, wrong] = await Promise.all([
    updatectl('server', 'token', '--help'),
    updatectl('server', '--help'),
    updatectl('server', 'token', 'bogus'),
  ]);
  assert.match(group.stdout, /^ {2}revoke /m);
  assert.match(command.stdout, /--listen/);
  assert.match(wrong.stderr, /unknown command 'bogus'/);
});

test('help for a group names its commands; help before a command is help after it', async () => {
  const [group, before, after] = await Promise.all([
    updatectl('bundle', '--help'),
    updatectl('help', 'install'),
    updatectl('install', '--help'),
  ]);
  assert.match(after.stdout, /Usage: updatectl install.*Examples:\n {2}updatectl install\n/s);
  for (const word of ['build', 'inspect', 'patch', 'verify'])
    assert.match(group.stdout, new RegExp(`^  ${word} `, 'm'));
  assert.deepEqual(before, after);
});

const MISUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [['instal'], /unknown command 'instal'.*Did you mean install\?/],
  [['bundle', 'buidl'], /unknown command 'buidl'.*Did you mean build\?/],
  [['install', '--fromm', 'x'], /unknown option '--fromm'.*Did you mean --from\?/],
  [['install', '1', '2'], /too many arguments/],
  [['key', 'show'], /missing required argument 'file'/],
  [['bundle', 'build', '--product', 'demo'], /required option .* not specified/],
  [['completion', 'bassh'], /no completion for “bassh”\. Did you mean “bash”\?/],
];

for (const [args, sentence] of MISUSED)
  test(`wrong usage ends with status 2 and one sentence: ${args.join(' ')}`, async () => {
    const plain = await updatectl(...args);
    assert.deepEqual([plain.status, plain.stdout], [2, '']);
    assert.match(plain.stderr, sentence);
    assert.equal(plain.stderr.trimEnd().split('\n').length, 2);
  });

test('a command without its words shows what there is and ends with status 2', async () => {
  for (const args of [[], ['bundle']]) {
    const { status, stderr, stdout } = await updatectl(...args);
    assert.equal(status, 2);
    assert.match(stderr + stdout, /Commands:/);
  }
});

test('an error as JSON has a code, a sentence and a next step; its causes are for --debug', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'bad.toml'), '[boot]\ntrise = 3\n');
  const args = ['config', 'show', '--dir', dir];
  const [plain, json, debug] = await Promise.all([
    updatectl(...args),
    updatectl(...args, '--json'),
    updatectl(...args, '--debug'),
  ]);
  assert.match(
    plain.stderr,
    /bad\.toml:2: there is no key “boot\.trise”\. Did you mean “tries”\?\n {2}.*\[config-invalid\]\n$/,
  );
  assert.doesNotMatch(plain.stderr, /\n\s+at /);
  assert.match(debug.stderr, /\n\s+at /);
  assert.equal(json.status, 2);
  assert.deepEqual(Object.keys(JSON.parse(json.stderr).error), ['code', 'message', 'next', 'details']);
});

test('config show tells each value and the line it came from, without logins', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, '10.toml'), '[repository]\nurl = "https://me:secret@updates.example/"\n');
  const [plain, json] = await Promise.all([
    updatectl('config', 'show', '--dir', dir),
    updatectl('config', 'show', '--dir', dir, '--json'),
  ]);
  assert.match(plain.stdout, /^repository\.url +"https:\/\/\*\*\*@updates\.example\/" +\/.*10\.toml:2$/m);
  assert.match(plain.stdout, /^host\.product +\(not set\)$/m);
  assert.match(plain.stdout, /^boot\.tries +3 +default$/m);
  assert.doesNotMatch(plain.stdout + json.stdout, /secret/);
  const { schema, settings } = JSON.parse(json.stdout);
  assert.equal(schema, 1);
  assert.ok(
    settings.some((one: { path: string; origin?: string }) => one.path === 'boot.tries' && one.origin === 'default'),
  );
});

for (const shell of ['bash', 'zsh', 'fish'])
  test(`the completion for ${shell} is a script that ${shell} reads`, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'tandem-cli-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const { status, stdout } = await updatectl('completion', shell);
    assert.equal(status, 0);
    await writeFile(join(dir, 'script'), stdout);
    const read = spawnSync(shell, ['-n', join(dir, 'script')], { encoding: 'utf8' });
    assert.deepEqual([read.status, read.stderr], [0, ''], `${shell} said: ${read.error?.message ?? read.stderr}`);
    for (const { name } of COMMANDS) assert.ok(stdout.includes(name), name);
  });

test('completion in bash offers commands, then the words of a group, then options', async () => {
  const { stdout } = await updatectl('completion', 'bash');
  const offered = (...words: readonly string[]): string[] => {
    const given = ['updatectl', ...words].map((word) => `'${word}'`).join(' ');
    const script = `${stdout}\nCOMP_WORDS=(${given}); COMP_CWORD=${words.length}; _updatectl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n');
  };
  assert.deepEqual(offered('inst'), ['install']);
  assert.deepEqual(offered('bundle', ''), ['build', 'inspect', 'patch', 'verify']);
  assert.deepEqual(offered('bundle', 'build', '--ker'), ['--kernel']);
  assert.deepEqual(offered('install', '2.0', '--al'), ['--allow-downgrade']);
});

test('doctor runs on any machine, names what is wrong and says what to do', async () => {
  const { status, stdout } = await updatectl('doctor', '--json');
  const { schema, healthy, checks } = JSON.parse(stdout);
  assert.equal(schema, 1);
  assert.equal(status, healthy ? 0 : 8);
  for (const { name, result, sentence, next } of checks) {
    assert.match(result, /^(ok|warn|fail|unknown)$/, name);
    assert.match(sentence, /[.?]$/, name);
    assert.ok(result === 'ok' || next, `${name} has no next step`);
  }
});
