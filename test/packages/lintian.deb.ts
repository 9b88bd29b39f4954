/** Debian's own checker of packages, of the newest release, finds no error. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT, run } from '../vm/programs.ts';
import { BUILT } from './made.ts';

/** What it warns of, and why that stays. */
const KNOWN: Readonly<Record<string, string>> = {
  'initial-upload-closes-no-bugs': 'a first upload to Debian itself would close a bug there',
};

test('lintian finds no error in any package, and warns only of what is known', async (t) => {
  const root = await run(join(PROJECT, 'test/packages/root'), ['trixie', 'lintian']);
  const enter =
    'mount --bind "$2" "$1/mnt"; mount -t proc proc "$1/proc"; mount -t tmpfs tmpfs "$1/tmp"; exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 sh -c "$3"';
  const check = 'lintian --version; lintian --allow-root --fail-on none --tag-display-limit 0 /mnt/*.deb';
  const said = await run('unshare', ['--mount', 'bash', '-euc', enter, '-', root, BUILT, check]);
  for (const line of said.split('\n')) t.diagnostic(line);
  assert.match(said, /^Lintian v2\./);
  const tags = said.split('\n').filter((line) => /^[EW]: /.test(line));
  assert.deepEqual(
    tags.filter((line) => line.startsWith('E:')),
    [],
  );
  assert.deepEqual(
    tags.filter((line) => !Object.hasOwn(KNOWN, line.split(' ')[2] ?? '')),
    [],
  );
});
