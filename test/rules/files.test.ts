/** How a source file looks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, readSourceTree, type SourceFile } from '../support/source-tree.ts';

const MOST_LINES = 300;

/** What they leave alone ends by itself. */
const NEVER_FAIL: ReadonlySet<string> = new Set(['server/store/batches.ts', 'system/cron.ts']);

/** Says what is wrong with a file. */
const RULES: Readonly<Record<string, (file: SourceFile) => string | undefined>> = {
  'a file opens with one sentence that says what it is for': ({ text }) =>
    /^(#!.*\n)?\/\*\* \S.*( \*\/\n|\n( \*.*\n)+)/.test(text) ? undefined : 'has no opening sentence',
  'a file can be read in one sitting': ({ path, text }) => {
    const lines = text.trimEnd().split('\n').length;
    // The table of errors is a list, not something to be read through.
    return path === 'errors.ts' || lines <= MOST_LINES ? undefined : `has ${lines} lines`;
  },
  'nothing is left for later': ({ text }) => found(/\b(TODO|FIXME|XXX|HACK)\b/, text),
  'the types are not talked out of': ({ text }) =>
    found(/@ts-(ignore|expect-error|nocheck)/, text) ?? found(/(\bas |[:<,|=] ?)any\b/, codeOf(text)),
  // The linter takes `void` for an answer.
  'a promise is left alone only where somebody hears of its failure': ({ path, text }) =>
    NEVER_FAIL.has(path) ? undefined : found(/(^|[;)}]) *void [\w.]+\((?!.*\.catch\()/m, codeOf(text)),
  'no name that fits everything': ({ path }) =>
    found(/(^|[/-])(utils?|helpers?|manager|service|common|misc)[./-]/, path),
  'a name of a file is a noun in kebab-case': ({ path }) =>
    path.split('/').every((part) => /^[a-z0-9]+(-[a-z0-9]+)*(\.ts)?$/.test(part)) ? undefined : 'is not kebab-case',
};

const BROKEN: Readonly<Record<keyof typeof RULES, SourceFile>> = {
  'a file opens with one sentence that says what it is for': { path: 'a.ts', text: "import 'x';\n/** Late. */\n" },
  'a file can be read in one sitting': { path: 'a.ts', text: '/** a */\n'.repeat(MOST_LINES + 1) },
  'nothing is left for later': { path: 'a.ts', text: `// TO${'DO'} later` },
  'the types are not talked out of': { path: 'a.ts', text: 'const x: any = 1;' },
  'a promise is left alone only where somebody hears of its failure': { path: 'a.ts', text: '  void flush();' },
  'no name that fits everything': { path: 'bundle/string-utils.ts', text: '' },
  'a name of a file is a noun in kebab-case': { path: 'bundle/BigFile.ts', text: '' },
};

const found = (pattern: RegExp, text: string): string | undefined => {
  const match = pattern.exec(text)?.[0];
  return match === undefined ? undefined : `holds “${match.trim()}”`;
};

for (const [name, fault] of Object.entries(RULES)) {
  test(name, () => {
    const faults = readSourceTree().flatMap((file) => (fault(file) ? [`${file.path} ${fault(file)}`] : []));
    assert.deepEqual(faults, []);
  });
  test(`${name}: and the rule sees when it is broken`, () => {
    const broken = BROKEN[name];
    assert.ok(broken && fault(broken) !== undefined);
  });
}
