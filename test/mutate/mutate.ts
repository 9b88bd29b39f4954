/** Changes one line of a critical file at a time, in a copy of the tree, and tells which changes no test has noticed. */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Baseline, createBaseline, type TimedTest } from './baseline.ts';
import { CRITICAL, EQUIVALENT } from './critical.ts';
import { type Mutant, mutantsOf, mutated, shellMutantsOf } from './mutants.ts';
import { runTest } from './run-tests.ts';
import { type Candidate, sampleOf } from './sample.ts';

const USAGE = `node test/mutate/mutate.ts [--minutes 10] [--seed 1] [--each N] [--tests 8] [path ...]

  --each   at most so many changes of each folder
  --tests  at most so many tests for each change: the nearest ones that execute it`;
const { values, positionals } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    each: { type: 'string' },
    tests: { type: 'string', default: '8' },
    help: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

type Outcome = Readonly<{ noticed: 'failed' | 'timeout' | undefined; asked: number }>;
type Tried = Candidate & Outcome;

/** A test may take three times as long as without the change, and this. */
const PATIENCE_MS = 8_000;

if (values.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const root = copyOfTree();
  const end = performance.now() + Number(values.minutes) * 60_000;
  const paths = positionals.length > 0 ? positionals : CRITICAL;
  const all = candidates(root, paths);
  const baseline = createBaseline(root, paths, Number(values.tests));
  const tried: Tried[] = [];
  process.once('exit', () => {
    report(tried, all.length);
    rmSync(root, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  for (const candidate of sampleOf(all, Number(values.seed), values.each ? Number(values.each) : undefined)) {
    if (performance.now() >= end) break;
    const one = { ...candidate, ...(await outcomeOf(root, candidate, baseline)) };
    tried.push(one);
    if (one.noticed === undefined) console.log(survivor(one, root));
  }
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

function candidates(root: string, paths: readonly string[]): readonly Candidate[] {
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

async function outcomeOf(root: string, { path, mutant }: Candidate, baseline: Baseline): Promise<Outcome> {
  const tests = await baseline.quick(path, mutant.start);
  const source = readFileSync(join(root, path), 'utf8');
  const change = mutated(source, mutant);
  const noticed = await whileChanged(root, path, change, () => noticedByAny(root, tests));
  if (noticed) return { noticed, asked: tests.length };
  // Known before the change, since each has to pass without it.
  const rest = await baseline.rest(path, mutant.start);
  const late = await whileChanged(root, path, change, () => noticedByAny(root, rest));
  return { noticed: late, asked: tests.length + rest.length };
}

async function whileChanged<T>(root: string, path: string, change: string, deed: () => Promise<T>): Promise<T> {
  const source = readFileSync(join(root, path), 'utf8');
  writeFileSync(join(root, path), change);
  try {
    return await deed();
  } finally {
    writeFileSync(join(root, path), source);
  }
}

async function noticedByAny(root: string, tests: readonly TimedTest[]): Promise<Outcome['noticed']> {
  for (const { test, ms } of tests) {
    const noticed = await noticedBy(root, test, 3 * ms + PATIENCE_MS);
    if (noticed) return noticed;
  }
  return undefined;
}

/** A test that fails once may do so by itself; twice is no chance. */
async function noticedBy(root: string, test: string, timeoutMs: number): Promise<Outcome['noticed']> {
  const first = await runTest(root, test, timeoutMs);
  if (first.end !== 'failed') return first.end === 'passed' ? undefined : 'timeout';
  const second = await runTest(root, test, timeoutMs);
  return second.end === 'passed' ? undefined : second.end;
}

function survivor({ path, mutant, asked }: Tried, root: string): string {
  const line = lineOf(readFileSync(join(root, path), 'utf8'), mutant).trim();
  const brief = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 120);
  const tests = asked === 0 ? 'no test executes it' : `${asked} tests`;
  return `survived  ${path}:${mutant.line}  ${brief(mutant.before)}  →  ${brief(mutant.text)}\n          in: ${brief(line)}  (${tests})`;
}

function report(tried: readonly Tried[], count: number): void {
  const folders = Map.groupBy(tried, ({ path }) => dirname(path));
  for (const [folder, some] of [...folders].toSorted(([one], [other]) => (one < other ? -1 : 1)))
    console.log(`${folder.padEnd(28)} ${score(some)}`);
  console.log(`${'all'.padEnd(28)} ${score(tried)} noticed, of ${count} that there are; seed ${values.seed}`);
}

function score(some: readonly Tried[]): string {
  const noticed = some.filter((one) => one.noticed !== undefined).length;
  const slow = some.filter((one) => one.noticed === 'timeout').length;
  const share = Math.round((100 * noticed) / Math.max(1, some.length));
  return `${noticed} of ${some.length} (${share} %)${slow > 0 ? `, ${slow} by a test that did not end` : ''}`;
}
