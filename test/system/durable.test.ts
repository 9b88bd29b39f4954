/** What is said to be durable has been given to the medium by the system itself, and nothing is written through a planted link. */

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { openBlockTarget } from '../../src/system/disk/block-device.ts';
import { moveFile, realFiles, removeFile, replaceFile, TEMPORARY, writePart } from '../../src/system/files.ts';

const text = (bytes: string): Uint8Array => new TextEncoder().encode(bytes);

async function inFolder(deed: (dir: string) => Promise<void>): Promise<void> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tandem-durable-')));
  try {
    await deed(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** What was synced while `deed` ran, in order, each as `look` saw the folder when the sync had ended. */
async function syncsOf<Seen>(dir: string, deed: () => Promise<void>, look: (path: string) => Seen): Promise<Seen[]> {
  const handle = await open(dir);
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  const seen: Seen[] = [];
  const spies = (['sync', 'datasync'] as const).map((name) => {
    const real = prototype[name];
    return mock.method(prototype, name, async function (this: FileHandle) {
      const path = readlinkSync(`/proc/self/fd/${this.fd}`);
      // A medium takes its time, in which whoever does not wait has gone on.
      await setTimeout(10);
      await real.call(this);
      seen.push(look(path));
    });
  });
  try {
    await deed();
    return seen;
  } finally {
    for (const spy of spies) spy.mock.restore();
  }
}

test('a file that is replaced is on the medium before it gets its name, and its name before the replacing ends', () =>
  inFolder(async (dir) => {
    const path = join(dir, 'file');
    writeFileSync(path, 'old');
    const look = (synced: string) => ({
      synced,
      now: readFileSync(path, 'utf8'),
      next: existsSync(path + TEMPORARY) ? readFileSync(path + TEMPORARY, 'utf8') : undefined,
    });
    assert.deepEqual(await syncsOf(dir, () => replaceFile(realFiles, path, text('new')), look), [
      { synced: path + TEMPORARY, now: 'old', next: 'new' },
      { synced: dir, now: 'new', next: undefined },
    ]);
  }));

test('a name that is given or taken away is so on the medium', () =>
  inFolder(async (dir) => {
    const [from, to] = [join(dir, 'from'), join(dir, 'to')];
    writeFileSync(from, '');
    const look = (synced: string) => [synced, existsSync(from), existsSync(to)];
    assert.deepEqual(await syncsOf(dir, () => moveFile(realFiles, from, to), look), [[dir, false, true]]);
    assert.deepEqual(await syncsOf(dir, () => removeFile(realFiles, to), look), [[dir, false, false]]);
  }));

test('a flush of a partition gives to the medium what was written before', () =>
  inFolder(async (dir) => {
    const path = join(dir, 'disk');
    writeFileSync(path, new Uint8Array(8192));
    await using target = await openBlockTarget(path, { writable: true, exclusive: true, range: { offset: 0 } });
    const flush = async (): Promise<void> => {
      await target.write(4096, text('block'));
      await target.flush();
    };
    const look = (synced: string) => [synced, readFileSync(path).toString('utf8', 4096, 4101)];
    assert.deepEqual(await syncsOf(dir, flush, look), [[path, 'block']]);
  }));

const WRITERS: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'a whole file': (path) => realFiles.write(path, [text('evil')]),
  'a part of a file': (path) => writePart(path, 0, text('evil')),
  'the file that will replace another': (path) =>
    replaceFile(realFiles, path.slice(0, -TEMPORARY.length), text('evil')),
};

for (const [what, write] of Object.entries(WRITERS))
  test(`${what} is not written through a link that somebody has put there`, () =>
    inFolder(async (dir) => {
      const [victim, planted] = [join(dir, 'victim'), join(dir, `file${TEMPORARY}`)];
      writeFileSync(victim, 'kept');
      symlinkSync(victim, planted);
      await assert.rejects(write(planted), { code: 'ELOOP' });
      assert.equal(readFileSync(victim, 'utf8'), 'kept');
    }));
