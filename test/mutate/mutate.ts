/** Changes one line of a critical file at a time, in a copy of the tree, and tells which changes no test has noticed. */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { dice } from '../support/dice.ts';
import { CRITICAL, EQUIVALENT } from './critical.ts';
import { type Mutant, mutantsOf, mutated, shellMutantsOf } from './mutants.ts';
import { nearestTests } from './nearest-tests.ts';
import { runTest } from './run-tests.ts';

const USAGE = 'node test/mutate/mutate.ts [--minutes 10] [--seed 1] [--tests 8] [path ...]';
const { values, positionals } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    tests: { type: 'string', default: '8' },
    help: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

type Candidate = Readonly<{ path: string; mutant: Mutant }>;
type Tried = Candidate & Readonly<{ killedBy: string | undefined }>;

/** A test may take three times as long as without the change, and this. */
const PATIENCE_MS = 15_000;

if (values.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const root = copyOfTree();
  const release = (): void => rmSync(root, { recursive: true, force: true });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  process.once('exit', release);
  const end = performance.now() + Number(values.minutes) * 60_000;
  const all = shuffled(candidates(root), Number(values.seed));
  const tried: Tried[] = [];
  const baseline = createBaseline(root);
  for (const candidate of all) {
    if (performance.now() >= end) break;
    const one = { ...candidate, killedBy: await killerOf(root, candidate, baseline) };
    tried.push(one);
    if (one.killedBy === undefined) console.log(`survived  ${shown(one, root)}`);
  }
  report(tried, all.length);
}

/** What git knows of and what is new, with the packages of this tree. */
function copyOfTree(): string {
  const top = join(import.meta.dirname, '../..');
  const root = mkdtempSync(join(tmpdir(), 'tandem-mutate-'));
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: top });
  const paths = listed.toString().split('\0');
  for (const path of paths.filter((one) => one !== '' && one !== 'node_modules')) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(join(top, path), join(root, path), { verbatimSymlinks: true, force: true });
  }
  symlinkSync(join(top, 'node_modules'), join(root, 'node_modules'));
  return root;
}

function candidates(root: string): readonly Candidate[] {
  const paths = positionals.length > 0 ? positionals : CRITICAL;
  return paths.flatMap((path) => {
    const source = readFileSync(join(root, path), 'utf8');
    const mutants = path.endsWith('.ts') ? mutantsOf(source) : shellMutantsOf(source);
    return mutants.filter((mutant) => !isEquivalent(path, mutant, source)).map((mutant) => ({ path, mutant }));
  });
}

function isEquivalent(path: string, mutant: Mutant, source: string): boolean {
  const line = lineOf(source, mutant);
  return EQUIVALENT.some((one) => one.path === path && mutant.text.startsWith(one.text) && line.includes(one.line));
}

function lineOf(source: string, { line }: Mutant): string {
  return source.split('\n')[line - 1] ?? '';
}

function shuffled<T>(all: readonly T[], seed: number): readonly T[] {
  const { roll } = dice(seed);
  const mixed = [...all];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = roll(last + 1);
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  return mixed;
}

type Baseline = (path: string) => Promise<readonly Readonly<{ test: string; ms: number }>[]>;

/** The tests that see a file and pass without a change, and how long each takes. */
function createBaseline(root: string): Baseline {
  const known = new Map<string, Promise<number | undefined>>();
  const timeOf = async (test: string): Promise<number | undefined> => {
    const { passed, ms } = await runTest(root, test, 300_000);
    if (!passed) console.log(`left out  ${test}, which fails without any change`);
    return passed ? ms : undefined;
  };
  return async (path) => {
    const passing: { test: string; ms: number }[] = [];
    for (const test of nearestTests(root, path, Number(values.tests))) {
      const time = known.get(test) ?? timeOf(test);
      known.set(test, time);
      const ms = await time;
      if (ms !== undefined) passing.push({ test, ms });
    }
    return passing;
  };
}

async function killerOf(root: string, { path, mutant }: Candidate, baseline: Baseline): Promise<string | undefined> {
  const tests = await baseline(path);
  const source = readFileSync(join(root, path), 'utf8');
  writeFileSync(join(root, path), mutated(source, mutant));
  try {
    for (const { test, ms } of tests) if (!(await runTest(root, test, 3 * ms + PATIENCE_MS)).passed) return test;
    return undefined;
  } finally {
    writeFileSync(join(root, path), source);
  }
}

function shown({ path, mutant }: Candidate, root: string): string {
  const line = lineOf(readFileSync(join(root, path), 'utf8'), mutant).trim();
  const brief = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 120);
  return `${path}:${mutant.line}  ${brief(mutant.before)}  →  ${brief(mutant.text)}\n          in: ${brief(line)}`;
}

function report(tried: readonly Tried[], count: number): void {
  const folders = Map.groupBy(tried, ({ path }) => dirname(path));
  const score = (some: readonly Tried[]): string => {
    const killed = some.filter(({ killedBy }) => killedBy !== undefined).length;
    return `${killed} of ${some.length} (${Math.round((100 * killed) / Math.max(1, some.length))} %)`;
  };
  for (const [folder, some] of [...folders].toSorted(([one], [other]) => (one < other ? -1 : 1)))
    console.log(`${folder.padEnd(28)} ${score(some)}`);
  console.log(`${'all'.padEnd(28)} ${score(tried)} noticed, of ${count} that there are; seed ${values.seed}`);
}
