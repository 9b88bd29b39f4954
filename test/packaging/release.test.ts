/** The folder of a release: complete, signed, checked with stock tools, and made only from a commit with a changelog. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/bundles.ts';

const PACKAGING = join(import.meta.dirname, '../../packaging');

/** A small project with everything that a release takes, and a key outside of it. */
async function project() {
  const folder = await temporaryFolder();
  const dir = join(folder.path, 'project');
  const sh = (script: string, env: Record<string, string> = {}) => {
    const { status, stdout, stderr } = spawnSync('bash', ['-euc', script], {
      cwd: dir,
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', ...env },
      encoding: 'utf8',
    });
    return { status, said: stdout + stderr };
  };
  mkdirSync(join(dir, 'packaging'), { recursive: true });
  for (const name of ['release', 'version']) cpSync(join(PACKAGING, name), join(dir, 'packaging', name));
  writeFileSync(join(dir, 'package.json'), '{\n  "name": "tandem",\n  "version": "2.0.0-rc.3",\n}\n');
  writeFileSync(join(dir, '.gitignore'), 'dist\n');
  writeFileSync(
    join(dir, 'CHANGELOG.md'),
    '# x\n\n## Unreleased\n\n- later\n\n## 2.0.0-rc.3 - 2031-02-03\n\n- now\n\n## 1.0.0 - 2030-01-01\n\n- once\n',
  );
  mkdirSync(join(dir, 'dist/packages'), { recursive: true });
  for (const name of ['packages/tandem.deb', 'updatectl-linux-x64', 'updatectl-linux-arm64'])
    writeFileSync(join(dir, 'dist', name), name);
  const commit = 'git add --all; git -c user.name=x -c user.email=x@example.com commit --quiet --message x';
  assert.deepEqual(sh(`git init --quiet; ${commit}; ssh-keygen -q -t ed25519 -N "" -f ../key`), {
    status: 0,
    said: '',
  });
  const release = (key = '../key') => sh('packaging/release', { KEY: key });
  return { dir, sh, commit, release, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const VERIFY =
  'ssh-keygen -Y verify -f allowed_signers -I tandem -n tandem-release -s SHA256SUMS.sig <SHA256SUMS && sha256sum --check --quiet SHA256SUMS';

test('a release is a folder that OpenSSH and coreutils can check, and one changed byte is found', async () => {
  await using at = await project();
  const { status, said } = at.release();
  assert.equal(status, 0, said);
  const out = join(at.dir, 'dist/release/tandem-2.0.0-rc.3');
  assert.deepEqual(readdirSync(out).sort(), [
    'CHANGES.md',
    'SHA256SUMS',
    'SHA256SUMS.sig',
    'allowed_signers',
    'tandem-2.0.0-rc.3.tar.gz',
    'tandem.deb',
    'updatectl-linux-arm64',
    'updatectl-linux-x64',
  ]);
  assert.equal(readFileSync(join(out, 'CHANGES.md'), 'utf8').trim(), '- now');
  const verify = () => at.sh(`cd ${out}; ${VERIFY}`).status;
  assert.equal(verify(), 0);
  appendFileSync(join(out, 'tandem.deb'), 'x');
  assert.notEqual(verify(), 0);
  at.sh('cp ../key.pub ../alone.pub');
  assert.notEqual(
    at.sh('SSH_AUTH_SOCK= packaging/release', { KEY: '../alone.pub' }).status,
    0,
    'no agent has the private half',
  );
});

test('the same commit gives the same source and the same sums', async () => {
  await using at = await project();
  const sums = () => readFileSync(join(at.dir, 'dist/release/tandem-2.0.0-rc.3/SHA256SUMS'), 'utf8');
  at.release();
  const first = sums();
  assert.equal(at.sh('umask 077; TZ=Pacific/Auckland packaging/release', { KEY: '../key' }).status, 0);
  assert.equal(sums(), first);
  assert.equal(at.sh('packaging/version debian; packaging/version epoch').said, '2.0.0~rc.3-1\n1927843200\n');
});

test('without a key, a clean commit or a section of the changelog there is no release', async () => {
  await using at = await project();
  assert.match(at.release('').said, /Pass the key/);
  assert.match(at.release('../none').said, /cannot be read/);
  assert.match(at.sh('cp ../key* dist/; packaging/release', { KEY: 'dist/key' }).said, /keep it elsewhere/);
  writeFileSync(join(at.dir, 'new'), 'x');
  assert.match(at.release().said, /not committed/);
  assert.equal(at.sh(`sed -i s/rc.3/rc.4/ package.json; ${at.commit}`).status, 0);
  assert.match(at.release().said, /no section '## 2.0.0-rc.4/);
  assert.equal(at.sh('ls dist/release').status, 2);
});
