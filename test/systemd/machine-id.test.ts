/** The machine ID of a host whose /etc is read-only is made once and kept on /var. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fakeSystemctl } from '../support/fake-systemctl.ts';

const SCRIPT = join(import.meta.dirname, '../../systemd/tandem-machine-id');
const [KEPT, MADE] = ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210'];

type Host = Readonly<{
  /** What the file on /var holds; none before the first start. */
  kept?: string | Uint8Array;
  /** The ID that systemd has made up for this start. */
  made?: string;
  /** Instead of the folder with the state of the host. */
  stateIsFile?: boolean;
}>;

/** One start: what is shown and kept afterwards, what systemctl was called for, what was said. */
async function start({ kept, made = MADE, stateIsFile = false }: Host) {
  await using systemctl = await fakeSystemctl();
  const root = await mkdtemp(join(tmpdir(), 'tandem-machine-id-'));
  try {
    const path = (name: string): string => join(root, name);
    for (const dir of ['run', 'etc', 'var/lib']) await mkdir(path(dir), { recursive: true });
    await (stateIsFile ? writeFile(path('var/lib/tandem'), '') : mkdir(path('var/lib/tandem')));
    await writeFile(path('run/machine-id'), `${made}\n`);
    // As systemd mounts it: one file under two names.
    await link(path('run/machine-id'), path('etc/machine-id'));
    if (kept !== undefined) await writeFile(path('var/lib/tandem/machine-id'), kept);
    const env = { ...process.env, ...systemctl.env, TANDEM_ROOT: root };
    const { status, stderr } = spawnSync('sh', [SCRIPT], { encoding: 'utf8', env });
    return {
      status,
      stderr,
      shown: await readFile(path('etc/machine-id'), 'utf8'),
      kept: await readFile(path('var/lib/tandem/machine-id'), 'utf8').catch(() => undefined),
      calls: await systemctl.calls(),
    };
  } finally {
    await rm(root, { recursive: true });
  }
}

test('the first start keeps the machine ID that systemd has made up', async () => {
  const { kept, shown, calls, status } = await start({});
  assert.deepEqual([kept, shown, calls, status], [`${MADE}\n`, `${MADE}\n`, [], 0]);
});

test('a later start shows the kept machine ID in place of the new one, and restarts the journal', async () => {
  const { kept, shown, calls, status } = await start({ kept: `${KEPT}\n` });
  assert.deepEqual([kept, shown, status], [`${KEPT}\n`, `${KEPT}\n`, 0]);
  assert.deepEqual(calls, ['--no-ask-password try-restart systemd-journald.service']);
});

test('nothing changes where the kept machine ID is in use already', async () => {
  const { kept, shown, calls } = await start({ kept: `${MADE}\n` });
  assert.deepEqual([kept, shown, calls], [`${MADE}\n`, `${MADE}\n`, []]);
});

const DAMAGED: Readonly<Record<string, string | Uint8Array>> = {
  'an empty file': '',
  'half an ID': KEPT.slice(0, 16),
  'a line of zeros': `${'0'.repeat(32)}\n`,
  'an ID in upper-case letters': `${KEPT.toUpperCase()}\n`,
  'an ID with more on its line': `${KEPT} ${KEPT}\n`,
  'bytes of a torn write': new Uint8Array(4096),
  'a program': '#!/bin/sh\nreboot\n',
};
for (const [what, kept] of Object.entries(DAMAGED))
  test(`${what} on /var is replaced by the machine ID of this start`, async () => {
    const found = await start({ kept });
    assert.deepEqual([found.kept, found.shown, found.status], [`${MADE}\n`, `${MADE}\n`, 0]);
  });

test('a host that cannot keep its machine ID says so and starts', async () => {
  const { shown, status, stderr } = await start({ stateIsFile: true });
  assert.deepEqual([shown, status], [`${MADE}\n`, 0]);
  assert.match(stderr, /cannot be kept in .*so the next start makes another one/);
});

test('a host without any machine ID keeps none', async () => {
  const { kept, status } = await start({ made: 'uninitialized' });
  assert.deepEqual([kept, status], [undefined, 0]);
});
