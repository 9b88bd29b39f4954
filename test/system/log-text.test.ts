/** The log as people and the journal read it. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isJournal } from '../../src/system/journal-stream.ts';
import { logTo } from '../../src/system/log.ts';
import { logText } from '../../src/system/log-text.ts';
import { temporaryFolder } from '../support/bundles.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const SPEAKER = `
  import { createLog } from '${join(import.meta.dirname, '../../src/system/log.ts')}';
  const log = createLog('debug', process.argv[1]);
  log.warn({ mirror: 'https://a.example/', reason: 'it is old', at: 3 }, 'a mirror is passed over');
`;

/** The lines for what `say` logs. */
function linesOf(say: (log: ReturnType<typeof logTo>) => void, style: 'journal' | 'plain' = 'journal'): string[] {
  const lines: string[] = [];
  say(logTo((line) => void lines.push(logText(line, style))));
  return lines;
}

test('each level has the priority by which journalctl filters', () => {
  const lines = linesOf((log) => {
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
  });
  assert.deepEqual(lines, ['<7>a\n', '<6>b\n', '<4>c\n', '<3>d\n']);
});

test('the text comes first, its fields behind, quoted where they would run into one another', () => {
  const [line] = linesOf((log) =>
    log.warn(
      { code: 'server-busy', reason: 'say "no"', codes: ['a', 'b c'], n: 0, is: false, empty: '', kv: 'a=b' },
      'text',
    ),
  );
  assert.equal(
    line,
    '<4>text code=server-busy reason="say \\"no\\"" codes="[\\"a\\",\\"b c\\"]" n=0 is=false empty="" kv="a=b"\n',
  );
});

test('an error that is logged as one is told by its message', () => {
  const [line] = linesOf((log) => log.error({ err: new Error('no\nroom') }, 'failed'));
  assert.equal(line, '<3>failed err="no room"\n');
});

test('outside the journal a line has the time and a word instead', () => {
  const [line] = linesOf((log) => log.warn({ a: 1 }, 'text'), 'plain');
  assert.match(line ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning text a=1\n$/);
});

test('a field that is called like the level or the time is neither', () => {
  for (const style of ['journal', 'plain'] as const)
    assert.match(
      linesOf((log) => log.warn({ level: 'x', time: 'y', msg: 1 }, 'text'), style)[0] ?? '',
      /^(<4>|\S+ warning )text/,
    );
});

test('whatever is logged is one line, which nobody can make look like another entry', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.dictionary(fc.string(), fc.anything()), (text, fields) => {
      for (const line of linesOf((log) => log.info(fields, `x${text}`))) {
        assert.match(line, /^<6>x[^\n]*\n$/);
        assert.doesNotMatch(line.slice(0, -1), /\p{Cc}|\u202e/u);
      }
    }),
  );
});

test('the journal is known by the stream that systemd names, and not by the variable alone', async () => {
  await using folder = await temporaryFolder();
  const fd = openSync(join(folder.path, 'journal'), 'w');
  const { dev, ino } = fstatSync(fd);
  assert.equal(isJournal(`${dev}:${ino}`, fd), true);
  assert.equal(isJournal(`${dev}:${ino + 1}`, fd), false);
  assert.equal(isJournal(undefined, fd), false);
  assert.equal(isJournal('1:2', 999), false);
});

/** What a program says on the stream that systemd has given it. */
async function inJournal(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'journal');
  const fd = openSync(path, 'w');
  const { dev, ino } = fstatSync(fd);
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', fd],
    env: { ...process.env, JOURNAL_STREAM: `${dev}:${ino}`, ...env },
  });
  await once(child, 'exit');
  return readFileSync(path, 'utf8');
}

test('under systemd the log has priorities, unless JSON is asked for', async () => {
  const speak = ['--input-type=module', '-e', SPEAKER];
  assert.equal(
    await inJournal([...speak, 'text']),
    '<4>a mirror is passed over mirror=https://a.example/ reason="it is old" at=3\n',
  );
  assert.equal(JSON.parse(await inJournal([...speak, 'json'])).msg, 'a mirror is passed over');
});

test('what ends a service is an error in the journal, line by line', async () => {
  const said = await inJournal([MAIN, 'server']);
  assert.match(said, /^<3>updatectl: .*\n<3> {2}.*\[usage\]\n$/);
});

for (const [name, value] of [
  ['TANDEM_LOG_LEVEL', 'loud'],
  ['TANDEM_LOG_FORMAT', 'xml'],
] as const)
  test(`a wrong ${name} is called that`, () => {
    const env = { ...process.env, [name]: value };
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'history'], { env, encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`${name} must be .*, not “${value}”`));
  });
