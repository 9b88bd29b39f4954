/** GRUB's environment block is read and written as GRUB's own tool does it. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_SIZE, readVariables, writeVariables } from '../../src/reboot/bootloaders/grub-environment.ts';

const dir = mkdtempSync(join(tmpdir(), 'tandem-grubenv-'));
after(() => rmSync(dir, { recursive: true }));

/** What the tool says, or undefined when it refuses. */
function tool(block: Uint8Array | undefined, ...command: string[]): { said: string; block: Uint8Array } | undefined {
  const path = join(dir, 'grubenv');
  if (block) writeFileSync(path, block);
  else rmSync(path, { force: true });
  const { status, stdout, error } = spawnSync('grub-editenv', [path, ...command], { encoding: 'latin1' });
  assert.equal(error, undefined, 'grub-editenv (Debian package grub-common) is needed');
  return status === 0 ? { said: stdout, block: readFileSync(path) } : undefined;
}

const ours = (block: Uint8Array): string | undefined =>
  readVariables(block)
    ?.map(([name, value]) => `${name}=${value}\n`)
    .join('');

const name = fc.stringMatching(/^[a-zA-Z_][a-zA-Z_0-9]{0,12}$/);
const value = fc.string({ unit: fc.constantFrom(...' abcdefg0123456789\\\n=#\'"$äÿ'), maxLength: 20 });
const variables = fc.array(fc.tuple(name, value), { maxLength: 8 }).map((pairs) => new Map(pairs));
const created = tool(undefined, 'create')?.block ?? assert.fail('grub-editenv create');

test('what we write is what the tool lists', () => {
  fc.assert(
    fc.property(variables, (wanted) => {
      const block = writeVariables(undefined, wanted);
      assert.equal(block.length, BLOCK_SIZE);
      assert.equal(tool(block, 'list')?.said, [...wanted].map(([key, one]) => `${key}=${one}\n`).join(''));
    }),
    { numRuns: 60 },
  );
});

test('what the tool writes is what we read, and what it removes is gone', () => {
  fc.assert(
    fc.property(variables, (wanted) => {
      let block = created;
      for (const [key, one] of wanted) block = tool(block, 'set', `${key}=${one}`)?.block ?? assert.fail('set');
      const bytes = [...wanted].map(([key, one]) => [key, Buffer.from(one).toString('latin1')] as const);
      assert.deepEqual(new Map(readVariables(block)), new Map(bytes));
      const [first] = wanted.keys();
      if (first === undefined) return;
      block = tool(block, 'unset', first)?.block ?? assert.fail('unset');
      assert.equal(new Map(readVariables(block)).has(first), false);
    }),
    { numRuns: 25 },
  );
});

test('the tool goes on with what we wrote: it sets a variable in place', () => {
  const block = writeVariables(
    undefined,
    new Map([
      ['a_LEFT', '3'],
      ['ORDER', 'a b'],
    ]),
  );
  const next = tool(block, 'set', 'a_LEFT=2')?.block ?? assert.fail('set');
  assert.equal(block.filter((byte, index) => byte !== next[index]).length, 1);
});

test('a damaged block is read as far as the tool reads it', () => {
  const base = writeVariables(
    Buffer.concat([created.subarray(0, 100), Buffer.from('saved_entry=x\\\\y\n'), created.subarray(100)]),
    new Map([
      ['ORDER', 'a b'],
      ['a_OK', '1'],
      ['note', 'two\nlines'],
    ]),
  );
  const change = fc.record({
    at: fc.nat(150),
    byte: fc.constantFrom(...Buffer.from('#=\n\\\0 ab'), 255),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 5 }), fc.option(fc.nat(160)), (changes, cut) => {
      const block = Buffer.from(base);
      for (const { at, byte } of changes) block[at] = byte;
      const left = cut === null ? block : block.subarray(0, cut);
      assert.equal(ours(left), tool(left, 'list')?.said);
    }),
    { numRuns: 200 },
  );
});

test('what others keep there stays, remarks too, and comes only once', () => {
  const before = tool(created, 'set', 'saved_entry=linux\n1', 'ORDER=b', 'a_OK=0')?.block ?? assert.fail('set');
  const once = writeVariables(
    before,
    new Map([
      ['ORDER', 'a b'],
      ['a_OK', '1'],
    ]),
  );
  assert.equal(tool(once, 'list')?.said, 'ORDER=a b\na_OK=1\nsaved_entry=linux\n1\n');
  const remark = /^# WARNING.*$/m.exec(created.toString())?.[0];
  if (remark !== undefined) assert.ok(Buffer.from(once).includes(remark));
  assert.deepEqual(
    Buffer.from(
      writeVariables(
        once,
        new Map([
          ['ORDER', 'a b'],
          ['a_OK', '1'],
        ]),
      ),
    ),
    Buffer.from(once),
  );
});

test('a block of another length keeps it', () => {
  const long = Buffer.concat([created, Buffer.alloc(3072, '#')]);
  const next = writeVariables(long, new Map([['ORDER', 'a']]));
  assert.equal(next.length, 4096);
  assert.equal(tool(next, 'list')?.said, 'ORDER=a\n');
});

test('a block without room is refused', () => {
  const full = tool(created, 'set', `kernelopts=${'x'.repeat(850)}`)?.block;
  assert.throws(() => writeVariables(full, new Map([['a', 'y'.repeat(200)]])), { code: 'boot-environment' });
});
