/** Whatever is said and by whom: nothing that steers a terminal, hides or reorders text passes the doors to terminal, log, page, socket and interface. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { shownJson, shownText } from '../src/clean-text.ts';
import { createOutput } from '../src/cli/output.ts';
import { UpdateError } from '../src/errors.ts';
import type { CheckIn } from '../src/formats/check-in.ts';
import { digestOf } from '../src/server/access/tokens.ts';
import { html } from '../src/server/pages/html.ts';
import { sqliteStore } from '../src/server/store/sqlite.ts';
import { realClock } from '../src/system/clock.ts';
import { logTo } from '../src/system/log.ts';
import { serveControl } from '../src/system/process/control-socket.ts';
import { openDatabase } from '../src/system/sqlite.ts';
import { temporaryFolder } from './support/bundles.ts';
import { startFleetApp } from './support/fleet-app.ts';
import { readSourceTree } from './support/source-tree.ts';

const EVIL = 'a\u001b]0;owned\u0007b\u009b31mc\u202egpj.exe\u2066d\u200be\u0000f\u007fg';
const STEERS = /(?!\n)[\p{Cc}\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]/u;
const anything = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\r', '\u001b', '\u009b', '\u202e', '\u{e0041}', '\ud800', '"') }),
  fc.constant(EVIL),
);

function shownBy(json: boolean) {
  const written: string[] = [];
  const note = (text: string): void => void written.push(text);
  const streams = { out: note, err: note, isTerminal: false, width: () => 80 };
  return { out: createOutput(streams, realClock, json), text: () => written.join('') };
}

test('what is shown as laid out keeps its blanks and lines, and what steers a terminal is seen', () => {
  assert.equal(shownText('one  two\n  three\u001b[0m'), 'one  two\n  three\ufffd[0m');
  fc.assert(fc.property(anything, (text) => assert.doesNotMatch(shownText(text).replaceAll('\t', ''), STEERS)));
});

test('JSON says the same after it was made fit for a terminal', () => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), anything), (value) => {
      const json = JSON.stringify(value);
      assert.doesNotMatch(shownJson(json), STEERS);
      assert.deepEqual(JSON.parse(shownJson(json)), JSON.parse(json));
    }),
  );
});

test('nothing steers the terminal on which a command speaks, as lines, tables, warnings, progress or a document', () => {
  fc.assert(
    fc.property(anything, (said) => {
      const { out, text } = shownBy(false);
      out.line(said);
      out.table([
        ['name', 'reason'],
        [said, said],
      ]);
      out.warn(said);
      out.progress(said).update(1, 2);
      const document = shownBy(true);
      document.out.document({ said });
      assert.doesNotMatch(text().replaceAll('\t', ''), STEERS);
      assert.doesNotMatch(document.text(), STEERS);
      assert.equal(text().split('\n').length >= 4, true);
    }),
  );
});

test('a cell of a table never breaks its row', () => {
  const { out, text } = shownBy(false);
  out.table([
    ['a', 'b'],
    ['one\ntwo', 'three'],
  ]);
  assert.equal(text(), 'a        b\none two  three\n');
});

test('an error has a clean message, whatever it quotes', () => {
  fc.assert(
    fc.property(anything, (said) => {
      assert.doesNotMatch(new UpdateError('metadata-invalid', `timestamp.json.${said} must be absent`).message, STEERS);
    }),
  );
});

test('text is cleaned by the one cleaner: nobody replaces control characters by hand', () => {
  const byHand = readSourceTree().filter(
    ({ path, text }) =>
      path !== 'clean-text.ts' && /replace(All)?\(\/[^\n]*(\\p\{C|\\x20-\\x7e|\\u0000|\\x00)/.test(text),
  );
  assert.deepEqual(
    byHand.map(({ path }) => path),
    [],
  );
});

test('a command that fails says so without what steers a terminal, also with its causes', async () => {
  const main = join(import.meta.dirname, '../src/main.ts');
  const said = await new Promise<string>((resolve) =>
    execFile(process.execPath, [main, `\u001b[31m\u202e\u009b`, '--debug'], (_error, out, err) => resolve(out + err)),
  );
  assert.match(said, /unknown command/);
  assert.doesNotMatch(said, STEERS);
});

test('an entry of the log is one line without what steers a terminal, however deep it was said', () => {
  fc.assert(
    fc.property(anything, (said) => {
      const lines: string[] = [];
      const log = logTo((line) => void lines.push(line));
      log.warn({ err: said, list: [said], deep: { [said]: said } }, said);
      log.error(said);
      log.info({ at: new Date(0), none: undefined, count: 3, truth: true }, 'all is well');
      assert.equal(lines.length, 3);
      for (const line of lines) {
        assert.doesNotMatch(line.trimEnd(), STEERS);
        assert.doesNotMatch(line.trimEnd(), /\n/);
        assert.doesNotMatch(JSON.parse(line).err ?? '', STEERS);
      }
      assert.match(lines[2] ?? '', /"at":"1970-01-01T00:00:00.000Z","count":3,"truth":true,"msg":"all is well"/);
    }),
  );
});

test('a secret is not logged for being cleaned', () => {
  const lines: string[] = [];
  logTo((line) => void lines.push(line)).warn({ token: 's3cret', deep: { password: 's3cret' } }, 'x');
  assert.match(lines[0] ?? '', /"token":"\[Redacted\]"/);
  assert.doesNotMatch(lines[0] ?? '', /s3cret/);
});

test('nothing steers or hides on a page', () => {
  fc.assert(
    fc.property(anything, (said) => {
      assert.doesNotMatch(html`<p title="${said}">${said}</p>`.html.replaceAll('\t', ''), STEERS);
    }),
  );
});

test('what the agent answers on its socket can be shown raw, and says the same', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'control.sock');
  const document = { said: EVIL };
  await using _socket = await serveControl({ path, group: 'nobody-has-this', headers: {} }, async ({ path: asked }) =>
    asked === '/lines'
      ? {
          lines: (async function* () {
            yield document;
          })(),
        }
      : { status: 200, document },
  );
  for (const asked of ['/document', '/lines']) {
    const [answer] = await once(request({ socketPath: path, path: asked }).end(), 'response');
    const text = (await answer.toArray()).join('');
    assert.doesNotMatch(text, STEERS);
    assert.deepEqual(JSON.parse(text), document);
  }
});

test('what a host says of itself comes back clean from the interface, also what an earlier version kept', async () => {
  await using folder = await temporaryFolder();
  await using store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  await using site = await startFleetApp({
    store,
    tokens: { operator: digestOf('o') },
    now: () => new Date('2030-01-01T00:00:00Z'),
  });
  const at = '2030-01-01T00:00:00Z';
  const outcome = { at, result: 'failed', version: '2', code: EVIL, reason: EVIL };
  const machine = (digit: string) => digit.repeat(32);
  const said = {
    schema: 1,
    group: 'default',
    product: 'shop',
    channel: 'stable',
    agent: EVIL,
    running: { version: '1' },
    confirmed: true,
    state: 'idle',
    since: at,
    waitingFor: EVIL,
    outcome,
  };
  const answer = await fetch(`${site.url}/v1/check-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...said, machine: machine('a') }),
  });
  assert.equal(answer.status, 200);
  const old = {
    ...said,
    machine: machine('b'),
    firstSeen: at,
    lastSeen: at,
    events: [{ at, what: 'failed', version: '2', reason: EVIL }],
  };
  await store.update([{ kind: 'machine', id: machine('b') }], () => ({ write: [old], result: undefined }));
  const kept = (await store.read({ kind: 'machine', id: machine('a') })) as unknown as CheckIn;
  for (const text of [kept.agent, kept.waitingFor, kept.outcome?.code, kept.outcome?.reason])
    assert.doesNotMatch(text ?? '\0', STEERS);
  for (const path of ['/v1/machines', `/v1/machines/${machine('a')}`, `/v1/machines/${machine('b')}`]) {
    const page = await (await fetch(`${site.url}${path}`, { headers: { authorization: 'Bearer o' } })).text();
    assert.match(page, /owned/);
    assert.doesNotMatch(page, STEERS);
  }
});
