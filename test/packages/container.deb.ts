/** The container of the server. No builder is needed: the steps of the Dockerfile are carried out in a Debian root, and its command runs there. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { freePort } from '../support/server-process.ts';
import { PROJECT, run } from '../vm/programs.ts';
import { builtPackages } from './made.ts';

const STEPS = readFileSync(join(PROJECT, 'packaging/Dockerfile'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, word = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? assert.fail(line);
    return { word, rest };
  });
const only = (word: string): string => {
  const found = STEPS.filter((step) => step.word === word);
  assert.equal(found.length, 1, word);
  return found[0]?.rest ?? '';
};

/** In a layer above the base, with this machine's network. */
const IN_LAYER = `
mkdir -p "$2"/{upper,work,root}
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
mount -t proc proc "$2/root/proc"
mount --bind /etc/resolv.conf "$2/root/etc/resolv.conf" 2>/dev/null || cp /etc/resolv.conf "$2/root/etc/"
for name in null urandom; do touch "$2/root/dev/$name"; mount --bind "/dev/$name" "$2/root/dev/$name"; done
`;
const ENTER = 'exec chroot "$2/root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

test('the steps of the Dockerfile make a root in which the server serves as its own user', async (t) => {
  await builtPackages();
  assert.equal(only('FROM'), 'debian:trixie-slim');
  assert.equal(only('ARG'), 'TARGETARCH');
  t.diagnostic('no builder of containers: the steps are carried out in a chroot');
  const base = await run(join(PROJECT, 'test/packages/root'), ['trixie']);
  const layer = mkdtempSync(join(tmpdir(), 'tandem-container-'));
  t.after(() => rmSync(layer, { recursive: true, force: true }));
  const [, source = '', target = '', command = ''] =
    /^--mount=type=bind,source=([^,]*),target=(\S*) (.*)$/.exec(only('RUN')) ?? [];
  const build = `${IN_LAYER} mount --bind "$3" "$2/root$4"; ${ENTER} TARGETARCH=amd64 sh -euc "$5"`;
  const said = await run('unshare', [
    '--mount',
    'bash',
    '-euc',
    build,
    '-',
    base,
    layer,
    join(PROJECT, source),
    target,
    command,
  ]);
  assert.match(said, /Setting up tandem-server/);
  t.diagnostic(
    `its layer above the base: ${(await run('du', ['--summarize', '--human-readable', join(layer, 'upper')])).split('\t')[0]}`,
  );

  const entry = JSON.parse(only('ENTRYPOINT')) as string[];
  assert.equal(entry.at(-1), `0.0.0.0:${only('EXPOSE')}`);
  const port = await freePort();
  const id = `--reuid=${only('USER')} --regid=${only('USER')} --clear-groups`;
  const serve = `${IN_LAYER} ${ENTER} setpriv ${id} "\${@:3}"`;
  // Another address than its usual one, which may be in use here.
  const server = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      'unshare',
      '--mount',
      'bash',
      '-euc',
      serve,
      '-',
      base,
      layer,
      ...entry,
      '--listen',
      `127.0.0.1:${port}`,
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => server.kill('SIGKILL'));
  for await (const line of createInterface({ input: server.stdout })) if (line.startsWith('Serving ')) break;
  const { status } = await fetch(`http://127.0.0.1:${port}/healthz`);
  assert.equal(status, 200);
  const about = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  assert.doesNotMatch(about, /^Uid:\t0\t/m);
});
