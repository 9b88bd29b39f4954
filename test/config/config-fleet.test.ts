/** Settings for the fleet out of etcd: what is heeded, what is not and why, and what a cache on disk may hold. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { allKeys, explainConfig, loadConfig, resolveConfig } from '../../src/config/config.ts';
import { type FleetDocument, readFleet } from '../../src/config/fleet.ts';
import { readFleetCache, writeFleetCache } from '../../src/config/fleet-cache.ts';
import { realFiles } from '../../src/system/files.ts';

const PREFIX = 'tandem/settings/v1/';

const document = (text: string, audience: FleetDocument['audience'] = 'all', name = '10.toml'): FleetDocument => ({
  key: `${PREFIX}${audience}/${name}`,
  audience,
  bytes: Buffer.from(text),
});
const codesOf = (text: string, audience?: FleetDocument['audience']): string[] =>
  readFleet([document(text, audience)], []).faults.map(({ code }) => code);

test('what etcd says counts where no file says anything, and its origin is the key and the line', () => {
  const { settings, faults } = readFleet([document('[reboot]\nautomatic = false\ndeadline_days = 7\n')], []);
  assert.deepEqual(faults, []);
  const local = [{ path: '/etc/tandem/config.d/50.toml', text: '[reboot]\ndeadline_days = 3\n' }];
  const shown = explainConfig(local, settings).filter(({ path }) => /^reboot\.(automatic|deadline_days)$/.test(path));
  assert.deepEqual(
    shown.map(({ path, value, origin }) => [path, value, origin]),
    [
      ['reboot.automatic', false, `etcd:${PREFIX}all/10.toml:2`],
      ['reboot.deadline_days', 3, '/etc/tandem/config.d/50.toml:2'],
    ],
  );
});

test('a later document counts more than an earlier one: all, then the group, then the host', () => {
  const { settings } = readFleet(
    [
      document('reboot.deadline_days = 1\nreboot.session_grace_minutes = 1'),
      document('reboot.deadline_days = 2', 'group'),
      document('reboot.deadline_days = 3', 'host'),
    ],
    [],
  );
  const { reboot } = resolveConfig([], settings);
  assert.deepEqual([reboot.deadlineDays, reboot.sessionGraceMinutes], [3, 1]);
});

test('no key that names servers, trust, programs, files or what is installed is heeded', () => {
  const forbidden = [
    ...['repository.url = "http://evil"', 'repository.channel = "evil"', 'host.product = "evil"'],
    ...['trust.root_file = "/evil"', 'reboot.hook_directories = ["/evil"]', 'boot.program = "/evil"'],
    ...['lock.endpoints = ["http://evil"]', 'lock.kind = "none"', 'health.required_units = []', 'lock.max = 100'],
    ...['agent.state_dir = "/evil"', 'fleet.url = "http://evil"', 'fleet.settings_prefix = "evil/"'],
  ];
  for (const text of forbidden) {
    const { settings, faults } = readFleet([document(text)], []);
    assert.deepEqual(settings, [], text);
    assert.deepEqual(
      faults.map(({ code }) => code),
      ['setting-local-only'],
      text,
    );
    assert.match(
      faults[0]?.message ?? '',
      /^etcd:tandem\/settings\/v1\/all\/10\.toml:1: .* can be set in files only, because it /,
    );
  }
});

test('a setting that only files may make is refused for that, even when its value is wrong too', () => {
  assert.deepEqual(codesOf('repository.url = 5'), ['setting-local-only']);
});

test('a wrong key is named and left out; the others of its document are heeded', () => {
  const { settings, faults } = readFleet(
    [document('[reboot]\ndeadline_days = -1\nautomatic = false\nxyzzy = 1\n')],
    [],
  );
  assert.deepEqual(
    settings.map(({ path }) => path),
    ['reboot.automatic'],
  );
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['setting-invalid', 'setting-invalid'],
  );
  assert.match(faults[0]?.message ?? '', /10\.toml:2: reboot\.deadline_days must be at least 0\.$/);
  assert.match(faults[1]?.message ?? '', /10\.toml:4: there is no key “reboot\.xyzzy”\.$/);
});

test('of a wrong value the last good one stays, key by key, through any number of wrong ones', () => {
  const versions = [
    'reboot.deadline_days = 1\npoll.jitter_minutes = 1',
    'reboot.deadline_days = 2\npoll.jitter_minutes = "x"',
  ];
  const last = 'reboot.deadline_days = "y"\npoll.jitter_minutes = "z"';
  let settings = readFleet([], []).settings;
  for (const text of [...versions, last]) settings = readFleet([document(text)], settings).settings;
  const config = resolveConfig([], settings);
  assert.deepEqual([config.reboot.deadlineDays, config.poll.jitterMinutes], [2, 1]);
  assert.match(
    readFleet([document(last)], settings).faults[0]?.message ?? '',
    /The last valid value stays in force\.$/,
  );
});

test('of a document that is no TOML, no text or too large all that was good stays', () => {
  const { settings } = readFleet([document('reboot.deadline_days = 1')], []);
  for (const bytes of [Buffer.from('[reboot'), Buffer.from([0xff, 0xfe]), Buffer.alloc(16 * 1024 + 1, '#')]) {
    const again = readFleet([{ ...document(''), bytes }], settings);
    assert.deepEqual(again.settings, settings);
    assert.deepEqual(
      again.faults.map(({ code }) => code),
      ['setting-invalid'],
    );
  }
});

test('a value that is taken out of its document, or whose document is deleted, is gone', () => {
  const { settings } = readFleet([document('reboot.deadline_days = 1\nreboot.automatic = false')], []);
  const fewer = readFleet([document('reboot.automatic = false')], settings);
  assert.deepEqual(
    fewer.settings.map(({ path }) => path),
    ['reboot.automatic'],
  );
  assert.deepEqual(readFleet([], settings).settings, []);
});

test('a group cannot be told to be another group', () => {
  assert.deepEqual(codesOf('host.group = "web"', 'group'), ['setting-invalid']);
  assert.deepEqual(codesOf('host.group = "web"', 'host'), []);
});

test('what is shown of etcd has no control characters', () => {
  const { faults } = readFleet([document('"\\u001b[31m" = 1\n[host]\n"\\u0007" = 1\n')], []);
  assert.equal(faults.length, 2);
  for (const { message } of faults) assert.match(message, /^[\x20-\x7e“”]+$/);
  const odd = readFleet([{ ...document('reboot.automatic = false'), key: `${PREFIX}all/\x1b[31m` }], []);
  assert.deepEqual([odd.settings.length, odd.faults.length], [0, 1]);
});

test('no document keeps an agent busy: neither long lines, nor many wrong keys, nor what is nested deep', () => {
  const lines = ['[', 'a', '"', 'a .', 'a = '].map((start) => start + ' '.repeat(15_000));
  const documents = [
    ...lines.map((line) => `[reboot]\ny = """\n${line}\n"""\nxyzzy = 1`),
    Array.from({ length: 1_500 }, (_, index) => `key${index} = 1`).join('\n'),
    `reboot.window = ${'['.repeat(8_000)}${']'.repeat(8_000)}`,
    'poll.schedule = "0-9999999999 * * * *"',
  ];
  for (const text of documents) {
    const { settings, faults } = readFleet([document(text)], []);
    assert.deepEqual(settings, []);
    assert.ok(faults.length > 0);
  }
  assert.match(readFleet([document(documents[0] ?? '')], []).faults[1]?.message ?? '', /10\.toml:5: there is no key/);
});

test('any bytes in any key give settings that are accepted again, and named faults', () => {
  const word = fc.constantFrom(
    ...allKeys().map(([path]) => path),
    '=',
    '\n',
    '"',
    '[',
    ']',
    '1',
    'true',
    '{',
    '}',
    'x',
  );
  const text = fc.oneof(
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(word).map((all) => Buffer.from(all.join(' '))),
  );
  fc.assert(
    fc.property(text, text, (first, second) => {
      const before = readFleet([{ ...document(''), bytes: first }], []).settings;
      const { settings, faults } = readFleet([{ ...document(''), bytes: second }], before);
      resolveConfig([], settings);
      for (const { code } of faults) assert.match(code, /^setting-(invalid|local-only)$/);
    }),
    { numRuns: 1_000 },
  );
});

async function host(t: TestContext): Promise<Readonly<{ dir: string; load: () => ReturnType<typeof loadConfig> }>> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-fleet-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'config.d'));
  const text = `agent.state_dir = "${dir}"\nfleet.settings_prefix = "${PREFIX}"\nreboot.deadline_days = 3\n`;
  await writeFile(join(dir, 'config.d', '50.toml'), text);
  return { dir, load: () => loadConfig(realFiles, [join(dir, 'config.d')]) };
}

test('the cache is laid below the files at each start', async (t) => {
  const { dir, load } = await host(t);
  const { settings } = readFleet([document('reboot.deadline_days = 1\nhost.group = "web"')], []);
  await writeFleetCache(realFiles, dir, {
    prefix: PREFIX,
    savedAt: '2026-11-23T07:00:00.000Z',
    latest: [],
    started: settings,
  });
  const { host: me, reboot } = await load();
  assert.deepEqual([me.group, reboot.deadlineDays], ['web', 3]);
});

test('a cache with anything in it never stops the agent, and says what is wrong with it', async (t) => {
  const { dir, load } = await host(t);
  const path = join(dir, 'fleet-settings.json');
  const entry = (written: unknown, key = 'reboot.deadline_days') => ({
    path: key,
    key: 'k',
    origin: 'etcd:k:1',
    written,
  });
  const cache = (settings: unknown) =>
    JSON.stringify({
      schema: 1,
      prefix: PREFIX,
      savedAt: '2026-11-23T07:00:00.000Z',
      latest: settings,
      started: settings,
    });
  const contents: Readonly<Record<string, string>> = {
    '': 'settings-cache-invalid',
    '{}': 'settings-cache-invalid',
    [cache('x')]: 'settings-cache-invalid',
    [cache([entry(-1)])]: 'setting-invalid',
    [cache([entry('/evil', 'trust.root_file')])]: 'setting-invalid',
    [cache([entry('http://evil', 'repository.url')])]: 'setting-invalid',
    [cache([entry(1, '__proto__.toString')])]: 'setting-invalid',
  };
  for (const [content, code] of Object.entries(contents)) {
    await writeFile(path, content);
    const { repository, trust, reboot } = await load();
    assert.deepEqual([repository.url, reboot.deadlineDays], [undefined, 3], content);
    assert.equal(trust.rootFile, '/usr/share/tandem/root.json');
    const { faults } = await readFleetCache(realFiles, dir, PREFIX);
    assert.deepEqual(
      faults.map((one) => one.code),
      [code],
      content,
    );
  }
});

test('the cache of another prefix says nothing', async (t) => {
  const { dir, load } = await host(t);
  const { settings } = readFleet([document('host.group = "web"')], []);
  await writeFleetCache(realFiles, dir, {
    prefix: 'other/',
    savedAt: '2026-11-23T07:00:00.000Z',
    latest: [],
    started: settings,
  });
  assert.equal((await load()).host.group, 'default');
});
