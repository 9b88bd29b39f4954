/** The released single file carries the program of its threads inside. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { bundleInto } from '../../../packaging/single-file.ts';
import type { Decoder } from '../../../src/bundle/decode/decoder.ts';
import { decodePool } from '../../../src/bundle/decode/pool.ts';
import { BLOCK, blockDigests } from '../../../src/bundle/verity.ts';

test('a thread of the released program needs no other file, and loads nothing but the decoder', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-released-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  await bundleInto(join(import.meta.dirname, '../../../src/bundle/decode/decoder.ts'), join(dir, 'built.mjs'));
  const alone = mkdtempSync(join(dir, 'alone-'));
  copyFileSync(join(dir, 'built.mjs'), join(alone, 'program.mjs'));
  const { DECODER } = (await import(pathToFileURL(join(alone, 'program.mjs')).href)) as { DECODER: Decoder };
  assert.ok(typeof DECODER === 'string' && DECODER.length < 100_000);
  await using pool = decodePool({ entry: DECODER });
  const salt = Buffer.alloc(32, 7);
  const blocks = new Uint8Array(5 * BLOCK).fill(3);
  assert.deepEqual(
    Buffer.from(await pool.digests(salt.toString('hex'), blocks)),
    Buffer.from(blockDigests(salt, blocks)),
  );
});
