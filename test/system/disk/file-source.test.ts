import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileSource } from '../../../src/system/disk/file-source.ts';

const dir = mkdtempSync(join(tmpdir(), 'tandem-source-'));
after(() => rmSync(dir, { recursive: true }));
const at = (name: string): string => join(dir, name);
const signal = new AbortController().signal;

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += Buffer.from(piece).toString();
  return text;
}

test('any range of a file can be read', async () => {
  writeFileSync(at('file'), 'abcdefgh');
  await using source = await fileSource(at('file'));
  assert.equal(source.size, 8);
  assert.equal(await whole(source.open(0, signal)), 'abcdefgh');
  assert.equal(await whole(source.open(3, signal, 5)), 'de');
  assert.equal(await whole(source.open(8, signal)), '');
});

test('what is not a regular file is refused with the reason, without waiting', async () => {
  writeFileSync(at('target'), 'x');
  symlinkSync(at('target'), at('link'));
  mkdirSync(at('folder'));
  execFileSync('mkfifo', [at('pipe')]);
  const reasons = { link: /symbolic link/, folder: /folder/, pipe: /pipe/, nothing: /no such file/ };
  for (const [name, reason] of Object.entries(reasons))
    await assert.rejects(fileSource(at(name)), { code: 'source-unreadable', message: reason });
  await assert.rejects(fileSource('/dev/null'), { code: 'source-unreadable', message: /not a regular file/ });
});

test('a file that is replaced while it is read stays the one that was opened; one that shrinks is refused', async () => {
  writeFileSync(at('changing'), 'old!');
  await using source = await fileSource(at('changing'));
  rmSync(at('changing'));
  writeFileSync(at('changing'), 'new!');
  assert.equal(await whole(source.open(0, signal)), 'old!');
  writeFileSync(at('shrinking'), 'abcdefgh');
  await using shrinking = await fileSource(at('shrinking'));
  truncateSync(at('shrinking'), 3);
  await assert.rejects(whole(shrinking.open(0, signal)), { code: 'source-unreadable', message: /shorter/ });
});
