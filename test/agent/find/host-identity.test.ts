/** The secret of a host: made once, on the medium before it is told, and told to nobody but the fleet server. */

import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createIdentity } from '../../../src/agent/find/host-identity.ts';
import { MACHINE_HEADER, SECRET_HEADER, SECRET_PATTERN } from '../../../src/protocol.ts';
import { type Files, realFiles } from '../../../src/system/files.ts';
import { silentLog } from '../../../src/system/log.ts';
import { realRandom } from '../../../src/system/random.ts';
import { temporaryFolder } from '../../support/bundles.ts';
import { dice as diceFrom } from '../../support/dice.ts';
import { type FileOp, RecordedFiles } from '../../support/recorded-files.ts';

const FLEET = 'https://updates.example/fleet';
const DIR = '/var/lib/tandem';
const MACHINE_ID = Buffer.from(`${'1'.repeat(31)}2\n`);

const identityIn = (files: Files, dir: string, warn: (about: object, sentence: string) => void = () => {}) =>
  createIdentity(FLEET, dir, { files: onHost(files), random: realRandom, log: { ...silentLog, warn } as never });

/** With an id of its own. */
const onHost = (files: Files): Files => ({
  ...files,
  read: async (path, most) => (path === '/etc/machine-id' ? MACHINE_ID : files.read(path, most)),
});

test('a secret is made once, readable by its owner alone, and shown ever after', async () => {
  await using folder = await temporaryFolder();
  const first = await identityIn(realFiles, folder.path)(FLEET);
  assert.match(first[SECRET_HEADER] ?? '', SECRET_PATTERN);
  assert.match(first[MACHINE_HEADER] ?? '', /^[0-9a-f]{32}$/);
  assert.equal(statSync(join(folder.path, 'host-secret')).mode & 0o777, 0o600);
  const again = identityIn(realFiles, folder.path);
  for (const url of [FLEET, `${FLEET}/`, 'https://hosts:token@UPDATES.example:443/fleet'])
    assert.deepEqual(await again(url), first, url);
});

test('a file left behind that others may read does not make the secret readable', async () => {
  await using folder = await temporaryFolder();
  writeFileSync(join(folder.path, 'host-secret.tandem-new'), 'x', { mode: 0o644 });
  await identityIn(realFiles, folder.path)(FLEET);
  assert.equal(statSync(join(folder.path, 'host-secret')).mode & 0o777, 0o600);
});

test('nobody but the fleet server is told', async () => {
  await using folder = await temporaryFolder();
  const identity = identityIn(realFiles, folder.path);
  for (const url of ['https://updates.example/', 'https://updates.example/airlock', 'http://updates.example/fleet'])
    assert.deepEqual(await identity(url), {}, url);
  const alone = createIdentity(undefined, folder.path, { files: realFiles, random: realRandom, log: silentLog });
  assert.deepEqual(await alone(FLEET), {});
});

test('what lies there and is no secret is replaced', async () => {
  await using folder = await temporaryFolder();
  for (const text of ['', 'short\n', '\0'.repeat(44)]) {
    writeFileSync(join(folder.path, 'host-secret'), text);
    assert.match((await identityIn(realFiles, folder.path)(FLEET))[SECRET_HEADER] ?? '', SECRET_PATTERN);
  }
});

test('a host that cannot keep a secret shows none, says so once, and has one as soon as it can', async () => {
  await using folder = await temporaryFolder();
  const told: string[] = [];
  let isFull = true;
  const full: Files = {
    ...realFiles,
    write: async (...given) => {
      if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      return realFiles.write(...given);
    },
  };
  const identity = identityIn(full, folder.path, (_about, sentence) => void told.push(sentence));
  for (let times = 0; times < 3; times++) assert.deepEqual(Object.keys(await identity(FLEET)), [MACHINE_HEADER]);
  assert.equal(told.length, 1);
  isFull = false;
  assert.match((await identity(FLEET))[SECRET_HEADER] ?? '', SECRET_PATTERN);
});

/** Files whose power fails after `steps` operations. */
function failing(disk: RecordedFiles, steps: number): Files {
  let left = steps;
  const act = async (op: FileOp): Promise<void> => {
    if (left-- <= 0) throw new Error('the power has failed');
    disk.apply(op);
  };
  return {
    read: async (path) => disk.read(path),
    list: async (dir) => disk.list(dir),
    makeDir: (dir) => act({ op: 'makeDir', dir }),
    write: async (path, chunks) => {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      await act({ op: 'write', path, bytes: Buffer.concat(parts) });
    },
    syncFile: (path) => act({ op: 'syncFile', path, ignored: false }),
    rename: (from, to) => act({ op: 'rename', from, to }),
    remove: (path) => act({ op: 'remove', path }),
    syncDir: (dir) => act({ op: 'syncDir', dir, ignored: false }),
  };
}

test('a secret that was told is there after any power cut, also one at the moment before', async () => {
  for (let seed = 0; seed < 300; seed++) {
    const dice = diceFrom(seed);
    let disk = new RecordedFiles(new Map(), [DIR]);
    let told: string | undefined;
    for (let start = 0; start < 4; start++) {
      // The process ends at times without the machine: what it had written is seen, and not yet on the medium.
      for (let run = 0; run < 2; run++) {
        const shown = (await identityIn(failing(disk, dice.roll(7)), DIR)(FLEET))[SECRET_HEADER];
        if (told !== undefined && shown !== undefined) assert.equal(shown, told, `seed ${seed}`);
        told ??= shown;
      }
      const { files, dirs } = disk.afterCut(dice);
      disk = new RecordedFiles(files, dirs);
    }
  }
});
