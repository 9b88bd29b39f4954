/** The configuration: which drop-in wins, where a value came from, and what is refused. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  allKeys,
  CONFIG_DIRS,
  explainConfig,
  HOST_CONFIG_DIR,
  loadConfig,
  requireSetting,
  resolveConfig,
  resolveSound,
} from '../../src/config/config.ts';
import { type Fragment, readFragments, toleratedIn } from '../../src/config/fragments.ts';
import { KEYS } from '../../src/config/keys.ts';
import { UpdateError } from '../../src/errors.ts';
import { realFiles } from '../../src/system/files.ts';

const file = (text: string, path = '/etc/tandem/config.d/50-test.toml'): Fragment => ({ path, text });

/** The sentence with which a drop-in is refused. */
const refusal = (text: string): string => {
  try {
    resolveConfig([file(text)]);
  } catch (error) {
    assert.ok(error instanceof UpdateError, String(error));
    assert.equal(error.code, 'config-invalid');
    return error.message;
  }
  return 'accepted';
};

test('without a drop-in every key has its default, and what has none is not set', () => {
  const config = resolveConfig([]);
  assert.equal(config.agent.stateDir, '/var/lib/tandem');
  assert.equal(config.boot.tries, 3);
  assert.equal(config.host.product, undefined);
  for (const [path, key] of allKeys()) {
    if (key.fallback !== undefined) assert.ok(key.type.safeParse(key.fallback).success, `${path}: its own default`);
    assert.match(key.sentence, /^[A-Z].*\.$/);
  }
});

test('key by key the last drop-in wins, and each value knows the line it came from', () => {
  const settings = explainConfig([
    file('[host]\nproduct = "shop"\n\n[boot]\ntries = 2\n', '/usr/lib/tandem/config.d/10-image.toml'),
    file('boot.tries = 5\n', '/etc/tandem/config.d/10-site.toml'),
    file('# nothing\n', '/run/tandem/config.d/99.toml'),
  ]);
  const found = (path: string) => settings.find((one) => one.path === path);
  assert.deepEqual(
    [found('boot.tries')?.value, found('boot.tries')?.origin],
    [5, '/etc/tandem/config.d/10-site.toml:1'],
  );
  assert.equal(found('host.product')?.origin, '/usr/lib/tandem/config.d/10-image.toml:2');
  assert.equal(found('agent.log_level')?.origin, 'default');
  assert.equal(found('repository.url')?.origin, undefined);
});

test('drop-ins are read folder after folder, by name within, and only those called *.toml', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tandem-config-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const dirs = ['usr', 'etc', 'absent'].map((name) => join(root, name));
  const write = async (path: string, tries: number) => {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), `boot.tries = ${tries}\n`);
  };
  await write('usr/99.toml', 9);
  await write('etc/20.toml', 2);
  await write('etc/10.toml', 1);
  await write('etc/99.toml.bak', 7);
  assert.equal((await loadConfig(realFiles, dirs)).boot.tries, 2);
  const paths = (await readFragments(realFiles, dirs)).map(({ path }) => path.slice(root.length + 1));
  assert.deepEqual(paths, ['usr/99.toml', 'etc/10.toml', 'etc/20.toml']);
});

test('a drop-in that is not text or without end is refused with its name', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tandem-config-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  for (const content of [Buffer.from([0x61, 0xff, 0x3d]), Buffer.alloc(1024 * 1024 + 1, '#')]) {
    await writeFile(join(root, 'odd.toml'), content);
    await assert.rejects(loadConfig(realFiles, [root]), (error: UpdateError) => {
      assert.equal(error.code, 'config-invalid');
      assert.match(error.message, /odd\.toml is (not UTF-8 text|larger than 1 MiB)\./);
      return true;
    });
  }
});

const REFUSED: Readonly<Record<string, RegExp>> = {
  '[host]\nprodukt = "a"': /test\.toml:2: there is no key “host\.produkt”\. Did you mean “product”\?$/,
  '[hots]\nproduct = "a"': /test\.toml:1: there is no section “hots”\. Did you mean “host”\?$/,
  '[boot]\n\nxyzzy = 1': /test\.toml:3: there is no key “boot\.xyzzy”\.$/,
  'host = 1': /“host” must be a section: \[host\]\.$/,
  '[[host]]\nproduct = "a"': /“host” must be a section: \[host\]\.$/,
  '[host\nproduct = "a"': /test\.toml:1: /,
  '[host]\nproduct = "a"\nproduct = "b"': /test\.toml:3: /,
  '[host]\n__proto__ = "a"': /there is no key “host\.__proto__”\.$/,
  '[__proto__]\nproduct = "a"': /there is no section “__proto__”\.$/,
  '[constructor]\nname = "a"': /there is no section “constructor”\.$/,
  '[host]\nproduct = "../etc"': /host\.product must be lower-case letters, digits and dashes, at most 32\.$/,
  '[repository]\nurl = "file:///srv"': /repository\.url must be an http or https URL\.$/,
  '[poll]\nschedule = "hourly"': /poll\.schedule must be a cron expression/,
  '[boot]\ntries = 0': /boot\.tries must be at least 1\.$/,
  '[boot]\ntries = 1.5': /boot\.tries must be a whole number\.$/,
  '[boot]\ntries = nan': /boot\.tries must be a whole number\.$/,
  '[boot]\nesp = "efi"': /boot\.esp must be an absolute path\.$/,
  '[boot]\nesp = "/efi\\u0000"': /boot\.esp must be an absolute path\.$/,
  '[reboot]\nautomatic = "yes"': /reboot\.automatic must be true or false\.$/,
  '[agent]\nlog_level = "loud"': /agent\.log_level must be "debug" or "info" or "warn" or "error"\.$/,
  '[health]\nrequired_units = ["a.service", 5]': /health\.required_units must be text\.$/,
};

for (const [text, sentence] of Object.entries(REFUSED))
  test(`refused in one sentence with file and line: ${JSON.stringify(text)}`, () =>
    assert.match(refusal(text), sentence));

test('a value of the wrong type is refused in our own words, whatever the key', () => {
  for (const [path] of allKeys())
    for (const value of ['-1', '0.5', '{ a = 1 }', '1979-05-27T07:32:00Z', '[[1]]', '"\\u0000"']) {
      const [section, name] = path.split('.');
      const sentence = refusal(`[${section}]\n${name} = ${value}`);
      assert.match(sentence, new RegExp(`^/etc/tandem/config\\.d/50-test\\.toml:2: ${path} must be [^.\\n]+\\.$`));
    }
});

test('nothing at all, a byte order mark, other line ends and dotted keys are understood', () => {
  for (const text of ['', '\n\n', '# only a comment', '\ufeff[boot]\ntries = 3', '[boot]\r\ntries = 3\r\n'])
    assert.equal(refusal(text), 'accepted', JSON.stringify(text));
  assert.equal(resolveConfig([file('agent = { state_dir = "/srv/tandem" }')]).agent.stateDir, '/srv/tandem');
  assert.equal(resolveConfig([file('"boot"."tries" = 4')]).boot.tries, 4);
});

test('any text gives a configuration or one named error', () => {
  const word = fc.constantFrom(
    'host',
    'boot',
    'tries',
    'product',
    '[',
    ']',
    '=',
    '"',
    "'",
    '\n',
    '.',
    '{',
    '}',
    '1',
    '#',
    '\\',
    ' ',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word, { maxLength: 40 }).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(text, (one) => void refusal(one)),
    { numRuns: 2_000 },
  );
});

test('any value in any key gives a configuration or one named error', () => {
  const key = fc.constantFrom(...allKeys().map(([path]) => path));
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(fc.string()),
  );
  fc.assert(
    fc.property(key, value, (path, one) => void refusal(`${path} = ${JSON.stringify(one)}`)),
    { numRuns: 2_000 },
  );
});

test('what must be set and is not names the folder to put it in', () => {
  assert.throws(() => requireSetting(resolveConfig([]), 'host.product'), {
    code: 'config-invalid',
    message: /^host\.product is not set; .*\/etc\/tandem\/config\.d/,
  });
  assert.equal(requireSetting(resolveConfig([file('host.product = "shop"')]), 'host.product'), 'shop');
});

test('text without quotes is told what it lacks, and nothing else is', () => {
  const said = (text: string): string => {
    try {
      resolveConfig([{ path: 'x.toml', text }]);
    } catch (error) {
      return (error as Error).message;
    }
    return assert.fail(`${text} was accepted`);
  };
  for (const value of ['shop', 'shop # ours', 'https://u:sesame@h/', '/etc/x', '*/30 * * * *']) {
    const message = said(`[host]\nproduct = ${value}\n`);
    assert.match(message, /^x\.toml:2: .*text must be quoted, as in key = "text"\.$/, value);
    assert.doesNotMatch(message, /sesame/);
  }
  for (const value of ['"shop', '[1', '1..2'])
    assert.doesNotMatch(said(`[host]\nproduct = ${value}\n`), /quotes/, value);
});

test('one key that is wrong takes none of the others away from who only looks', () => {
  const text = '[host]\nproduct = "shop"\n[boot]\ntrise = 3\ntries = 5\n';
  const { host, boot } = resolveSound([
    { path: 'a.toml', text },
    { path: 'b.toml', text: 'no TOML' },
  ]);
  assert.deepEqual([host.product, boot.tries], ['shop', 5]);
});

test('a key that this version does not know is ignored in a file that outlives the image, and reported', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tandem-config-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  await writeFile(join(root, '10.toml'), '[host]\ngroup = "canary"\nshade = "blue"\n[weather]\nrain = true\n');
  const fragments = await readFragments(realFiles, [root], root);
  assert.equal(resolveConfig(fragments).host.group, 'canary');
  assert.deepEqual(
    fragments.flatMap((one) => toleratedIn(one, KEYS)).map(({ message }) => message.slice(root.length)),
    ['/10.toml:3: there is no key “host.shade”.', '/10.toml:4: there is no section “weather”.'],
  );
});

test('a key that this version does not know is refused in a file of the image', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tandem-config-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  await writeFile(join(root, '10.toml'), '[host]\nshade = "blue"\n');
  const fragments = await readFragments(realFiles, [root], '/var/lib/tandem/config.d');
  assert.throws(() => resolveConfig(fragments), { code: 'config-invalid' });
  assert.deepEqual(
    fragments.flatMap((one) => toleratedIn(one, KEYS)),
    [],
  );
});

test('a wrong value, and what is no TOML, is refused wherever it stands', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tandem-config-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  for (const text of ['[boot]\ntries = 0\n', 'host = 1\n', '[host\n']) {
    await writeFile(join(root, '10.toml'), text);
    const fragments = await readFragments(realFiles, [root], root);
    assert.throws(() => resolveConfig(fragments), { code: 'config-invalid' }, text);
  }
});

test('of all folders the host’s own is read last', () => assert.equal(CONFIG_DIRS.at(-1), HOST_CONFIG_DIR));
