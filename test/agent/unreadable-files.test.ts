/** The agent starts and reports whatever lies in the place of its own files, names what it cannot read, and can write there again. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { offlineHistory, offlineStatus } from '../../src/agent/offline.ts';
import { realFiles } from '../../src/system/files.ts';
import { keptFiles } from '../../src/system/kept-files.ts';
import { logTo, silentLog } from '../../src/system/log.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { daemonStatus, layDaemonOut, runDaemon } from '../support/daemon.ts';
import { quickFiles, TestRepository } from '../support/tuf-repository.ts';

const STATE = ['state.json', 'refused.json', 'history.jsonl'];
const OURS = [
  ...STATE,
  ...['floors.json', 'trial', 'pre-reboot.json', 'download-rate.json', 'fleet-settings.json'],
  ...['metadata/2.root.json', 'metadata/timestamp.json', 'delta/x', 'state.json.tandem-new'],
];

type Kind = (path: string, t: TestContext) => Promise<void>;

const KINDS: Readonly<Record<string, Kind>> = {
  'an empty folder': async (path) => void (await mkdir(path)),
  'a folder with something in it': async (path) => void (await mkdir(join(path, 'deep'), { recursive: true })),
  'a pipe': async (path) => void execFileSync('mkfifo', [path]),
  'a socket': (path, t) =>
    new Promise((resolve) => {
      const server = createServer().listen(path, resolve);
      t.after(() => server.close());
    }),
  'a link to itself': (path) => symlink(path, path),
  'a file without an end': (path) => symlink('/dev/zero', path),
  'more than any memory': async (path) => {
    await writeFile(path, '');
    await truncate(path, 2 ** 40);
  },
  'bytes that say nothing': (path) => writeFile(path, Buffer.from([0xff, 0, 1, 2, 0xfe])),
};

for (const [what, make] of Object.entries(KINDS))
  test(`the agent starts and writes where ${what} lies in the place of every file of its own`, async (t) => {
    await using folder = await temporaryFolder();
    await layDaemonOut(folder.path);
    const dir = join(folder.path, 'state');
    for (const name of OURS) {
      await mkdir(dirname(join(dir, name)), { recursive: true });
      await make(join(dir, name), t);
    }
    const offline = await offlineStatus(realFiles, dir, '0', new Date());
    assert.deepEqual([offline.state.kind, offline.lastError?.code], ['idle', 'state-unreadable']);
    assert.ok(offline.lastError?.message.includes(join(dir, 'state.json')));
    assert.deepEqual(await offlineHistory(realFiles, dir, 5), []);

    const lines: string[] = [];
    const stop = new AbortController();
    const running = runDaemon(folder.path, stop.signal, { log: logTo((line) => void lines.push(line)) });
    const status = await Promise.race([daemonStatus(folder.path, ({ state }) => state.kind === 'idle'), running]);
    assert.ok(status);
    stop.abort();
    await running;
    assert.ok((await stat(join(dir, 'state.json'))).isFile());
    const log = lines.join('');
    for (const name of ['state.json', 'refused.json']) assert.ok(log.includes(join(dir, name)), `${name}: ${log}`);
    assert.ok(lines.length < 60, log);
  });

for (const [what, make] of Object.entries(KINDS))
  test(`a repository is still believed where ${what} lies in the place of what was kept of it`, async (t) => {
    using repository = await new TestRepository().init();
    await repository.add('1.0');
    const files = keptFiles(
      quickFiles,
      [join(repository.top, 'host'), join(repository.top, 'host/metadata')],
      silentLog,
    );
    const host = repository.host('host', { files });
    await host.poll();
    const kept = [
      host.options.floorsPath,
      ...(await readdir(host.options.metadataDir)).map((name) => join(host.options.metadataDir, name)),
    ];
    assert.ok(kept.length >= 6, String(kept));
    for (const path of kept) {
      await rm(path);
      await make(path, t);
      assert.equal(await host.refused(), 'accepted', path);
      assert.equal(await host.refused(), 'accepted', path);
    }
  });

test('a file where a folder belongs is moved aside', async () => {
  await using folder = await temporaryFolder();
  const lines: string[] = [];
  const files = keptFiles(
    realFiles,
    [folder.path],
    logTo((line) => void lines.push(line)),
  );
  for (const _ of [1, 2]) {
    await rm(join(folder.path, 'metadata'), { recursive: true, force: true });
    await writeFile(join(folder.path, 'metadata'), 'x');
    await files.makeDir(join(folder.path, 'metadata'));
    assert.ok((await stat(join(folder.path, 'metadata'))).isDirectory());
  }
  assert.equal(lines.length, 1);
});

test('what was moved aside before stays, and there is an end to it', async () => {
  await using folder = await temporaryFolder();
  const files = keptFiles(
    realFiles,
    [folder.path],
    logTo(() => {}),
  );
  const put = async (): Promise<void> => {
    await mkdir(join(folder.path, 'state.json', 'deep'), { recursive: true });
    await writeFile(join(folder.path, 'new'), 'x');
    await files.rename(join(folder.path, 'new'), join(folder.path, 'state.json'));
    await rm(join(folder.path, 'state.json'));
  };
  for (let time = 0; time < 9; time++) await put();
  assert.equal((await readdir(folder.path)).filter((name) => name.startsWith('state.json.bad')).length, 9);
  await assert.rejects(put(), { code: 'EISDIR' });
});

test('a file that the disk or a guard keeps from us counts as absent and is named once; what passes is not', async () => {
  const lines: string[] = [];
  const failing = (code: string) => ({
    ...realFiles,
    read: async () => Promise.reject(Object.assign(new Error(code), { code, syscall: 'read', path: '/state/x' })),
  });
  for (const code of ['EIO', 'EACCES', 'EPERM', 'EUCLEAN']) {
    const files = keptFiles(
      failing(code),
      ['/state'],
      logTo((line) => void lines.push(line)),
    );
    assert.equal(await files.read('/state/x'), undefined);
    assert.equal(await files.read('/state/x'), undefined);
    await assert.rejects(files.read('/elsewhere/x'), { code });
    await assert.rejects(files.read('/state-of-others/x'), { code });
  }
  assert.equal(lines.length, 4);
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM'])
    await assert.rejects(
      keptFiles(
        failing(code),
        ['/state'],
        logTo(() => {}),
      ).read('/state/x'),
      { code },
    );
});
