/** The same commit gives the same packages and executables, whoever builds them, where and when. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT, run } from '../vm/programs.ts';

/** Digests and names of everything that is published. */
const digestsIn = (dist: string): readonly string[] =>
  globSync(['packages/*.deb', 'updatectl-linux-*'], { cwd: dist })
    .sort()
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(dist, name)))
          .digest('hex')}  ${name}`,
    );

test('a second checkout in another folder, with another umask, time zone, language, user and time gives the same bytes', async (t) => {
  const top = mkdtempSync(join(tmpdir(), 'tandem-checkout-'));
  t.after(() => rmSync(top, { recursive: true, force: true }));
  const checkout = join(top, 'a much longer name', 'of the folder');
  // Of this tree as it is, committed or not.
  const copy =
    'mkdir -p "$2"; cd "$1"; git ls-files --cached --others --exclude-standard -z | (umask 077; xargs -0 cp --parents --target-directory="$2")';
  await run('bash', ['-euc', copy, '-', PROJECT, checkout]);
  for (const folder of [top, join(top, 'a much longer name')]) chmodSync(folder, 0o755);
  const build =
    'export TZ=Pacific/Auckland LC_ALL=C.UTF-8 LANG=tr_TR.UTF-8 HOME=/nowhere; umask 077; node packaging/build.ts; packaging/packages amd64; node packaging/binary.ts amd64';
  // As installed there: a link would lead back to this folder.
  const enter = `chown -R nobody: "$1"; mkdir "$1/node_modules"; mount --bind "$2/node_modules" "$1/node_modules"; cd "$1"
    exec setpriv --reuid nobody --regid nogroup --clear-groups faketime '2031-05-05 05:05:05' bash -euc '${build}'`;
  await run('unshare', ['--mount', 'bash', '-euc', enter, '-', checkout, PROJECT]);
  const there = digestsIn(join(checkout, 'dist'));
  for (const line of there) t.diagnostic(line);
  assert.equal(there.length, 4);
  assert.deepEqual(
    digestsIn(join(PROJECT, 'dist')).filter((line) => !line.includes('arm64')),
    there,
  );
});
