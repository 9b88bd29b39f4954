/** The programs before a restart that are shipped, against tools that keep what they were told in files. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const EXAMPLES = join(import.meta.dirname, '../../packaging/pre-reboot.d');

/** A node with pods: files `cordoned`, `marked`, and `stuck` while a pod cannot go. */
const KUBECTL = `cd "$FAKE"; echo "$*" >>calls
case "$*" in
  *unschedulable*) [ -e cordoned ] && printf true || true ;;
  *annotations*) [ -e marked ] && printf true || true ;;
  'annotate --overwrite node web-1 tandem.cordoned=true') touch marked ;;
  'annotate node web-1 tandem.cordoned-') rm marked ;;
  'cordon web-1') touch cordoned ;;
  'uncordon web-1') rm cordoned ;;
  'drain web-1'*) [ ! -e stuck ] ;;
  *) exit 64 ;;
esac`;

/** Containers as files below `running` and `present`. */
const ENGINE = `cd "$FAKE"; echo "$*" >>calls
case $1 in
  ps) case "$*" in *label=tandem.keep*) echo keep ;; *) ls running ;; esac ;;
  stop) rm "running/$4" ;;
  inspect) [ -e "present/$2" ] ;;
  start) touch "running/$2" ;;
esac`;

async function host(tools: Readonly<Record<string, string>>, env: Readonly<Record<string, string>>) {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-examples-'));
  for (const [name, text] of Object.entries(tools)) {
    await writeFile(join(dir, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(dir, name), 0o755);
  }
  const settings = { FAKE: dir, PATH: `${dir}:${process.env['PATH']}`, ...env };
  return {
    dir,
    has: (name: string): boolean => existsSync(join(dir, name)),
    put: (name: string): Promise<void> => writeFile(join(dir, name), ''),
    sh: (script: string): void => void spawnSync('sh', ['-c', script], { cwd: dir }),
    run: (example: string, verb: string) => {
      const state = { TANDEM_CONTAINERS_STATE: join(dir, 'state'), TANDEM_CONTAINERS_ENV: '/dev/null' };
      const all = { ...settings, ...state, TANDEM_KUBERNETES_ENV: '/dev/null' };
      return spawnSync(join(EXAMPLES, example), [verb], { env: all, encoding: 'utf8' });
    },
    calls: () => readFile(join(dir, 'calls'), 'utf8'),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

for (const name of readdirSync(EXAMPLES))
  test(`${name}: shellcheck finds nothing in it, and it says how it is used`, async () => {
    const found = spawnSync('shellcheck', [join(EXAMPLES, name)], { encoding: 'utf8' });
    assert.equal(found.status, 0, found.stdout);
    await using machine = await host({ docker: ENGINE, kubectl: KUBECTL }, { ENGINE: 'docker', NODE: 'web-1' });
    assert.equal(machine.run(name, '').status, 2);
  });

test('a Kubernetes node is cordoned, drained, and taken back into service; each may come twice', async () => {
  await using node = await host({ kubectl: KUBECTL }, { NODE: 'web-1' });
  for (let turn = 0; turn < 2; turn += 1) assert.equal(node.run('50-kubernetes', 'do').status, 0);
  assert.ok(node.has('cordoned'));
  assert.match(await node.calls(), /^drain web-1 --ignore-daemonsets --delete-emptydir-data --timeout 10m$/m);
  for (let turn = 0; turn < 2; turn += 1) assert.equal(node.run('50-kubernetes', 'undo').status, 0);
  assert.ok(!node.has('cordoned') && !node.has('marked'));
});

test('a node with a pod that cannot go asks for more time and says so', async () => {
  await using node = await host({ kubectl: KUBECTL }, { NODE: 'web-1' });
  await node.put('stuck');
  const { status, stdout } = node.run('50-kubernetes', 'do');
  assert.equal(status, 21);
  assert.match(stdout, /web-1 is not drained yet: a pod cannot go\n$/);
});

test('a node that somebody else has cordoned stays so', async () => {
  await using node = await host({ kubectl: KUBECTL }, { NODE: 'web-1' });
  await node.put('cordoned');
  assert.equal(node.run('50-kubernetes', 'do').status, 0);
  assert.equal(node.run('50-kubernetes', 'undo').status, 0);
  assert.ok(node.has('cordoned'));
});

test('a cluster that is away fails the program instead of letting the host go undrained', async () => {
  await using node = await host({ kubectl: 'echo "connection refused" >&2; exit 1' }, { NODE: 'web-1' });
  assert.equal(node.run('50-kubernetes', 'do').status, 1);
  assert.equal(node.run('50-kubernetes', 'undo').status, 1);
});

for (const engine of ['docker', 'podman'])
  test(`${engine}: the containers that ran run again afterwards, those with the label were never stopped`, async () => {
    await using machine = await host({ [engine]: ENGINE }, { ENGINE: engine });
    machine.sh(
      'mkdir running present; touch running/web running/keep running/gone present/web present/keep present/gone',
    );
    for (let turn = 0; turn < 2; turn += 1) assert.equal(machine.run('60-containers', 'do').status, 0);
    assert.deepEqual(readdirSync(join(machine.dir, 'running')), ['keep']);
    machine.sh('rm present/gone');
    for (let turn = 0; turn < 2; turn += 1) assert.equal(machine.run('60-containers', 'undo').status, 0);
    assert.deepEqual(readdirSync(join(machine.dir, 'running')), ['keep', 'web']);
    assert.ok(!machine.has('state/stopped'));
  });

test('containers that were stopped before the power failed are started again', async () => {
  const broken = ENGINE.replace('stop) rm', 'stop) [ "$4" = web ] || exit 1; rm');
  await using machine = await host({ docker: broken }, { ENGINE: 'docker' });
  machine.sh('mkdir running present; touch running/web running/zone present/web present/zone');
  assert.notEqual(machine.run('60-containers', 'do').status, 0);
  assert.ok(!machine.has('running/web'));
  assert.equal(machine.run('60-containers', 'undo').status, 0);
  assert.deepEqual(readdirSync(join(machine.dir, 'running')), ['web', 'zone']);
});
