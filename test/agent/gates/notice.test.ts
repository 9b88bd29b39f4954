/** The file that says a release waits for somebody to reboot. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { noticePath, rebootNotice } from '../../../src/agent/gates/notice.ts';
import type { Product, Version } from '../../../src/model.ts';
import { realFiles } from '../../../src/system/files.ts';

const release = { product: 'demo' as Product, version: '2.0' as Version };

async function inFolder(story: (dir: string, warnings: string[]) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'notice-'));
  try {
    await story(dir, []);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('the file is there while a release waits, names it, and goes when none does', () =>
  inFolder(async (dir, warnings) => {
    const notice = rebootNotice(realFiles, dir, { warn: (_: object, text: string) => void warnings.push(text) });
    await notice(undefined);
    assert.deepEqual(await readdir(dir), []);
    await notice(release);
    assert.match(await readFile(noticePath(dir), 'utf8'), /^demo 2\.0 waits for a reboot/);
    await notice(undefined);
    assert.deepEqual(await readdir(dir), []);
    assert.deepEqual(warnings, []);
  }));

test('a leftover of an agent that was killed is removed by the next one', () =>
  inFolder(async (dir, warnings) => {
    const log = { warn: (_: object, text: string) => void warnings.push(text) };
    await rebootNotice(realFiles, dir, log)(release);
    await rebootNotice(realFiles, dir, log)(undefined);
    assert.deepEqual(await readdir(dir), []);
  }));

test('a folder that cannot be written is told in the log and stops nothing', () =>
  inFolder(async (dir, warnings) => {
    const notice = rebootNotice(realFiles, join(dir, 'absent'), {
      warn: (_: object, text: string) => void warnings.push(text),
    });
    await notice(release);
    assert.equal(warnings.length, 1);
  }));
