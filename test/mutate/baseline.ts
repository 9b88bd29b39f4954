/** The tests that execute a place of the source and pass without a change, and how long each takes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Coverage, readCoverage } from './coverage.ts';
import { nearestTests } from './nearest-tests.ts';
import { runTest } from './run-tests.ts';

export type TimedTest = Readonly<{ test: string; ms: number }>;

export type Baseline = Readonly<{
  /** At most `most`, and not more than take a quarter of a minute: the nearest ones, the fastest of them first. */
  quick(path: string, offset: number): Promise<readonly TimedTest[]>;
  /** The others, asked where those have noticed nothing; of those that are too slow for their coverage to be counted, the two nearest. */
  rest(path: string, offset: number): Promise<readonly TimedTest[]>;
}>;

/** Tests further from a file than this many others are about something else. */
const LOOKED_AT = 12;
const MOST_MS = 15_000;
const MOST_SLOW = 2;
const TIMEOUT_MS = 40_000;
const LONG_MS = 300_000;

export function createBaseline(root: string, paths: readonly string[], most: number): Baseline {
  const nearest = new Map(paths.map((path) => [path, nearestTests(root, path, LOOKED_AT)]));
  const ranOf = once((test) => runCounted(root, test, paths));
  const longOf = once((test) => runLong(root, test));
  const covers = async (test: string, path: string, offset: number): Promise<TimedTest | undefined> => {
    const ran = await ranOf(test);
    // Nobody counts what a shell executes.
    const isIt = ran?.covers && (!path.endsWith('.ts') || ran.covers(path, offset));
    return isIt ? { test, ms: ran.ms } : undefined;
  };
  const quick = async (path: string, offset: number): Promise<readonly TimedTest[]> => {
    const found: TimedTest[] = [];
    for (const test of nearest.get(path) ?? []) {
      if (found.length === most || found.reduce((sum, { ms }) => sum + ms, 0) > MOST_MS) break;
      found.push(...[await covers(test, path, offset)].filter((one) => one !== undefined));
    }
    return found.toSorted((one, other) => one.ms - other.ms);
  };
  const slow = async (test: string): Promise<TimedTest | undefined> => {
    const ran = await ranOf(test);
    const ms = ran && !ran.covers ? await longOf(test) : undefined;
    return ms === undefined ? undefined : { test, ms };
  };
  return {
    quick,
    rest: async (path, offset) => {
      const asked = new Set((await quick(path, offset)).map(({ test }) => test));
      const others = (nearest.get(path) ?? []).filter((test) => !asked.has(test));
      const found: TimedTest[] = [];
      for (const test of others) found.push(...[await covers(test, path, offset)].filter((one) => one !== undefined));
      const late: TimedTest[] = [];
      for (const test of others)
        if (late.length < MOST_SLOW) late.push(...[await slow(test)].filter((one) => one !== undefined));
      return [...found, ...late];
    },
  };
}

function once<T>(deed: (test: string) => Promise<T>): (test: string) => Promise<T> {
  const known = new Map<string, Promise<T>>();
  return (test) => {
    const done = known.get(test) ?? deed(test);
    known.set(test, done);
    return done;
  };
}

/** Without `covers` it was too slow. */
type Ran = Readonly<{ ms: number; covers?: Coverage }>;

async function runCounted(root: string, test: string, paths: readonly string[]): Promise<Ran | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-coverage-'));
  try {
    const { end, ms } = await runTest(root, test, TIMEOUT_MS, { NODE_V8_COVERAGE: folder });
    if (end === 'timeout') return { ms };
    if (end === 'passed') return { ms, covers: readCoverage(folder, root, paths) };
    console.log(`left out  ${test}, which fails without any change`);
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runLong(root: string, test: string): Promise<number | undefined> {
  const { end, ms } = await runTest(root, test, LONG_MS);
  return end === 'passed' ? ms : undefined;
}
