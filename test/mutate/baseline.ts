/** The tests that execute a place of the source and pass without a change, and how long each takes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Coverage, readCoverage } from './coverage.ts';
import { nearestTests } from './nearest-tests.ts';
import { runTest } from './run-tests.ts';

export type TimedTest = Readonly<{ test: string; ms: number }>;

/** At most `most` for each place, and not more than take a quarter of a minute: the nearest ones, the fastest of them first. */
export type Baseline = (path: string, offset: number) => Promise<readonly TimedTest[]>;

/** Tests further from a file than this many others are about something else. */
const LOOKED_AT = 12;
const MOST_MS = 15_000;

/** A test that takes longer, slowed by the counting, costs more than it tells. */
const TIMEOUT_MS = 20_000;

export function createBaseline(root: string, paths: readonly string[], most: number): Baseline {
  const nearest = new Map(paths.map((path) => [path, nearestTests(root, path, LOOKED_AT)]));
  const known = new Map<string, Promise<Ran | undefined>>();
  const ranOf = (test: string): Promise<Ran | undefined> => {
    const ran = known.get(test) ?? run(root, test, paths);
    known.set(test, ran);
    return ran;
  };
  return async (path, offset) => {
    const covering: TimedTest[] = [];
    for (const test of nearest.get(path) ?? []) {
      if (covering.length === most || covering.reduce((sum, { ms }) => sum + ms, 0) > MOST_MS) break;
      const ran = await ranOf(test);
      // Nobody counts what a shell executes.
      if (ran && (!path.endsWith('.ts') || ran.covers(path, offset))) covering.push({ test, ms: ran.ms });
    }
    return covering.toSorted((one, other) => one.ms - other.ms);
  };
}

type Ran = Readonly<{ ms: number; covers: Coverage }>;

async function run(root: string, test: string, paths: readonly string[]): Promise<Ran | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-coverage-'));
  try {
    const { end, ms } = await runTest(root, test, TIMEOUT_MS, { NODE_V8_COVERAGE: folder });
    if (end === 'passed') return { ms, covers: readCoverage(folder, root, paths) };
    console.log(`left out  ${test}, which ${end === 'timeout' ? 'takes long' : 'fails without any change'}`);
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
