/** The same commit gives the same packages, whoever builds them, where and when. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT, run } from '../vm/programs.ts';

/** Names and digests of the packages in a folder. */
const digestsIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.deb'))
    .sort()
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(folder, name)))
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
  symlinkSync(join(PROJECT, 'node_modules'), join(checkout, 'node_modules'));
  for (const folder of [top, join(top, 'a much longer name')]) chmodSync(folder, 0o755);
  const others =
    'export TZ=Pacific/Auckland LC_ALL=C.UTF-8 LANG=tr_TR.UTF-8 HOME=/nowhere; umask 077; cd "$1"; node packaging/build.ts; packaging/packages amd64';
  await run('bash', [
    '-euc',
    `chown -R nobody: "$1"; setpriv --reuid nobody --regid nogroup --clear-groups faketime '2031-05-05 05:05:05' bash -euc '${others}' - "$1"`,
    '-',
    checkout,
  ]);
  const [here, there] = [digestsIn(join(PROJECT, 'dist/packages')), digestsIn(join(checkout, 'dist/packages'))];
  for (const line of there) t.diagnostic(line);
  assert.equal(there.length, 3);
  assert.deepEqual(
    here.filter((line) => !line.endsWith('_arm64.deb')),
    there,
  );
});
