/** Who may import whom, which package has which home, and who may touch the outside world. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, importsOf, isOwn, readSourceTree, type SourceFile } from '../support/source-tree.ts';

/** From the bottom up; a file imports its own layer and those below. Files that are not named here know nothing but themselves. */
const LAYERS: Readonly<Record<string, number>> = {
  'errors.ts': 0,
  'model.ts': 1,
  'version.ts': 1,
  'protocol.ts': 2,
  formats: 3,
  system: 4,
  bundle: 5,
  verify: 5,
  partitions: 5,
  reboot: 5,
  rollout: 5,
  config: 6,
  agent: 7,
  server: 7,
  cli: 8,
  'main.ts': 9,
};
const APART = new Set(['bundle', 'verify', 'partitions', 'reboot', 'rollout', 'agent', 'server']);
const OUTSIDE_MODULES = /^node:(fs|net|http|https|http2|child_process|dns|os|tls|dgram|readline|tty|timers)(\/|$)/;
const OUTSIDE_GLOBALS = [
  /(?<![.\w])process\b(?!\s*[:,])/,
  /\bDate\.now\b/,
  /\bnew Date(\(\)|(?!\s*\())/,
  /\bMath\.random\b/,
  /(?<![.\w])performance\.(now|timeOrigin)\b/,
  /(?<![.\w])(setTimeout|setInterval|setImmediate|fetch)\s*\(/,
];

type Rule = (files: readonly SourceFile[]) => readonly string[];

const partOf = (path: string): string => path.split('/')[0] ?? path;
const layerOf = (path: string): number => LAYERS[partOf(path)] ?? 0;
const isOutside = (path: string): boolean => partOf(path) === 'system';

const direction: Rule = (files) =>
  files.flatMap((file) =>
    importsOf(file)
      .filter(isOwn)
      .filter((to) => layerOf(to) > layerOf(file.path) || isForeignPart(file.path, to))
      .map((to) => `${file.path} must not import ${to}`),
  );

const isForeignPart = (from: string, to: string): boolean =>
  layerOf(from) === layerOf(to) && APART.has(partOf(from)) && partOf(from) !== partOf(to);

// The web framework has a folder.
const homeOf = (path: string): string => (path.startsWith('server/http/') ? 'server/http/' : path);

const oneHome: Rule = (files) => {
  const homes = new Map<string, Set<string>>();
  for (const file of files)
    for (const name of importsOf(file).filter((one) => !isOwn(one) && !one.startsWith('node:')))
      homes.set(packageOf(name), (homes.get(packageOf(name)) ?? new Set()).add(homeOf(file.path)));
  return [...homes]
    .filter(([, at]) => at.size > 1)
    .map(([name, at]) => `${name} has many homes: ${[...at].join(', ')}`);
};

const packageOf = (name: string): string => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name;

const homes: Rule = (files) =>
  Object.entries({ commander: 'main.ts', zod: 'config/types.ts', 'smol-toml': 'config/fragments.ts' }).flatMap(
    ([name, home]) =>
      files
        .filter((file) => file.path !== home && importsOf(file).includes(name))
        .map(({ path }) => `${path} imports ${name}`),
  );

const outside: Rule = (files) =>
  files
    .filter(({ path }) => !isOutside(path))
    .flatMap((file) => [
      ...importsOf(file)
        .filter((name) => OUTSIDE_MODULES.test(name))
        .map((name) => `${file.path} imports ${name}`),
      ...(file.path === 'main.ts' ? [] : globalsOf(file)),
    ]);

const globalsOf = ({ path, text }: SourceFile): string[] =>
  codeOf(text)
    .split('\n')
    .flatMap((line, index) =>
      OUTSIDE_GLOBALS.some((one) => one.test(line))
        ? [`${path}:${index + 1} touches the outside world: ${line.trim()}`]
        : [],
    );

const cycles: Rule = (files) => {
  const imports = new Map(files.map((file) => [file.path, importsOf(file).filter(isOwn)]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [[...trail.slice(trail.indexOf(path)), path].join(' → ')];
    if (done.has(path)) return [];
    const found = (imports.get(path) ?? []).flatMap((to) => visit(to, [...trail, path]));
    done.add(path);
    return found;
  };
  return files.flatMap(({ path }) => visit(path, []));
};

const barrels: Rule = (files) =>
  files
    .filter(
      ({ text }) =>
        /^export\b[^;]*\bfrom '/m.test(text) &&
        !/^(export )?(async )?(const|function|type|class|interface|let)\b/m.test(text),
    )
    .map(({ path }) => `${path} only passes on what others export`);

const RULES: Readonly<Record<string, Readonly<{ rule: Rule; broken: readonly SourceFile[] }>>> = {
  'imports point down, and the parts do not know one another': {
    rule: direction,
    broken: [
      { path: 'bundle/a.ts', text: "import { b } from '../verify/b.ts';" },
      { path: 'system/a.ts', text: "import type { B } from '../bundle/b.ts';" },
      { path: 'agent/a.ts', text: "const b = await import('../cli/b.ts');" },
      { path: 'reboot/health/a.ts', text: "import {\n  b,\n} from '../../partitions/b.ts';" },
    ],
  },
  'a package is imported by one file': {
    rule: oneHome,
    broken: [
      { path: 'system/a.ts', text: "import { x } from '@scope/thing/part';" },
      { path: 'system/b.ts', text: "import type { y } from '@scope/thing';" },
    ],
  },
  'commander, zod and the TOML parser stay where they are': {
    rule: homes,
    broken: [{ path: 'cli/a.ts', text: "import { Command } from 'commander';" }],
  },
  'only system/ touches disk, processes, network, clock, environment and randomness': {
    rule: outside,
    broken: [
      "import { readFile } from 'node:fs/promises';",
      'const { PATH } = process.env;',
      'process.exit(1);',
      'const at = Date.now();',
      'const at = new Date();',
      'const dice = Math.random();',
      'const from = performance.now();',
      'setTimeout(() => {}, 5);',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the fixture is code.
      'const text = `at ${Date.now()}`;',
      "const answer = await fetch('http://x');",
    ].map((text) => ({ path: 'verify/a.ts', text })),
  },
  'no file imports itself by way of others, not even types': {
    rule: cycles,
    broken: [
      { path: 'bundle/a.ts', text: "import type { B } from './b.ts';" },
      { path: 'bundle/b.ts', text: "import { a } from './a.ts';" },
    ],
  },
  'no file only passes on what others export': {
    rule: barrels,
    broken: [{ path: 'bundle/index.ts', text: "export * from './a.ts';\nexport { b } from './b.ts';" }],
  },
};

const tree = readSourceTree();

for (const [name, { rule, broken }] of Object.entries(RULES)) {
  test(name, () => assert.deepEqual(rule(tree), []));
  test(`${name}: and the rule sees when it is broken`, () => {
    const isOneFault = rule === oneHome || rule === cycles;
    assert.equal(rule(broken).length, isOneFault ? 1 : broken.length, rule(broken).join('\n'));
  });
}

test('comments, strings and dates with an argument break no rule', () => {
  const text =
    "/** Date.now() */\n// process.env\nconst a = 'setTimeout()'; // fetch()\nconst b = new Date(now);\nclock.now();";
  assert.deepEqual(outside([{ path: 'verify/a.ts', text }]), []);
});
