/** Sizes and start times of everything that is published, printed for the documentation; too large or too slow a result fails. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT, run } from '../vm/programs.ts';
import { BUILT, builtPackages } from './made.ts';

const RUNS = 11;
/** Of what a host downloads, and what it unpacks to. */
const MOST_MIB = { packed: 40, installed: 130 };

test('a host downloads one small package', async (t) => {
  await builtPackages();
  for (const name of readdirSync(BUILT).filter((one) => one.endsWith('.deb'))) {
    const packed = statSync(join(BUILT, name)).size / 2 ** 20;
    const installed = Number(await run('dpkg-deb', ['--field', join(BUILT, name), 'Installed-Size'])) / 1024;
    t.diagnostic(`${name}: ${packed.toFixed(1)} MiB, installed ${installed.toFixed(1)} MiB`);
    assert.ok(packed < MOST_MIB.packed && installed < MOST_MIB.installed, name);
  }
});

test('updatectl --version answers at once', async (t) => {
  const tree = mkdtempSync(join(tmpdir(), 'tandem-start-'));
  t.after(() => rmSync(tree, { recursive: true, force: true }));
  const [, file = ''] =
    readdirSync(BUILT)
      .map((name) => /^(tandem_.*_amd64\.deb)$/.exec(name) ?? [])
      .find(([found]) => found) ?? [];
  await run('dpkg-deb', ['--extract', join(BUILT, file), tree]);
  const [program, ...args] = [
    join(tree, 'usr/lib/tandem/node'),
    join(tree, 'usr/lib/tandem/updatectl.js'),
    '--version',
  ];
  report(t.diagnostic.bind(t), 'package', program, args);
});

/** The median of several runs, after one that fills the page cache. */
function report(say: (text: string) => void, what: string, program: string, args: readonly string[]): void {
  const times = Array.from({ length: RUNS + 1 }, () => {
    const begun = performance.now();
    execFileSync(program, [...args], { cwd: PROJECT, stdio: 'ignore' });
    return performance.now() - begun;
  }).slice(1);
  const sorted = times.toSorted((one, two) => one - two);
  const [least = 0, median = 0] = [sorted[0], sorted[RUNS >> 1]];
  say(
    `${what}: ${median.toFixed(0)} ms (median of ${RUNS}; least ${least.toFixed(0)} ms), load ${loadavg()[0]?.toFixed(1)}`,
  );
  assert.ok(least < 2_000, `${what} takes ${least} ms`);
}
