/** Small wrong changes of a source file, each of which some test should notice. Pure. */

import { parseAst } from 'rolldown/parseAst';

/** `text` in place of what stands from `start` to `end`. */
export type Mutant = Readonly<{ line: number; start: number; end: number; before: string; text: string }>;

type Node = Readonly<Record<string, unknown> & { type: string; start: number; end: number }>;
type Change = Readonly<{ at: Pick<Node, 'start' | 'end'>; text: string }>;

/** Every change of a TypeScript file that leaves it a program. */
export function mutantsOf(source: string): readonly Mutant[] {
  const changes: Change[] = [];
  const refused = new Set<Node>();
  walk(parse(source), (node) => {
    if (node.type === 'SwitchCase') for (const one of node['consequent'] as Node[]) refused.add(one);
    // The compiler lets no case of a switch run into the next.
    if (node.type !== 'BreakStatement' || !refused.has(node)) changes.push(...changesOf(node, source));
  });
  return changes.map((change) => mutantOf(change, source)).filter((mutant) => isProgram(mutated(source, mutant)));
}

/** Each line of a shell script left out, and what stands for its opposite. */
export function shellMutantsOf(source: string): readonly Mutant[] {
  const code = [...source.matchAll(/^(?!\s*(#|$))(\t*)(.*)$/gm)];
  const dropped = code
    .filter(([, , , line = '']) => !/^(;;|\*\)|\)|\}|fi|done|esac|case .* in|for .* do|if .*|.*\{)$/.test(line))
    .map((match) => ({ at: { start: match.index, end: match.index + match[0].length }, text: `${match[2]}:` }));
  const swapped = OPPOSITES.flatMap(([one, other]) =>
    [...source.matchAll(new RegExp(one, 'g'))]
      .filter(({ index }) => code.some((line) => line.index <= index && index < line.index + line[0].length))
      .map((match) => ({ at: { start: match.index, end: match.index + match[0].length }, text: other })),
  );
  return [...dropped, ...swapped].map((change) => mutantOf(change, source));
}

/** The source with the change in it. */
export const mutated = (source: string, { start, end, text }: Mutant): string =>
  source.slice(0, start) + text + source.slice(end);

/** In a shell. */
const OPPOSITES: readonly (readonly [pattern: string, opposite: string])[] = [
  [' \\|\\| .*', ''],
  [' \\|\\| ', ' && '],
  [' && ', ' || '],
  ['head -n 1', 'tail -n 1'],
  ['tail -n 1', 'head -n 1'],
  ['set -eu', 'set -u'],
  ['-ge 20', '-ge 21'],
  ['!= ', '= '],
  ['exit 0', 'exit 1'],
  ['exit 1', 'exit 0'],
];

const parse = (source: string): Node => parseAst(source, { lang: 'ts' }, 'source.ts') as unknown as Node;

function isProgram(source: string): boolean {
  try {
    parse(source);
    return true;
  } catch {
    return false;
  }
}

function mutantOf({ at: { start, end }, text }: Change, source: string): Mutant {
  const line = source.slice(0, start).split('\n').length;
  return { line, start, end, before: source.slice(start, end), text };
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

/** Types are no code: nothing of them is there when it runs. */
const isType = ({ type }: Node): boolean =>
  /^TS(?!As|NonNull|Satisfies)/.test(type) || type === 'ImportDeclaration' || type === 'ExportAllDeclaration';

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const value of Object.values(node))
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child) && !isType(child)) walk(child, visit);
}

const CHANGES: Readonly<Record<string, (node: Node, code: (node: unknown) => string) => readonly string[]>> = {
  LogicalExpression: (node, code) => {
    const [left, right] = [code(node['left']), code(node['right'])];
    if (node['operator'] === '??') return [left, right];
    return [`${left} ${node['operator'] === '&&' ? '||' : '&&'} ${right}`, left, right];
  },
  BinaryExpression: (node, code) =>
    (SWAPPED[String(node['operator'])] ?? []).map((one) => `${code(node['left'])} ${one} ${code(node['right'])}`),
  ConditionalExpression: (node, code) => [code(node['consequent']), code(node['alternate'])],
  UnaryExpression: (node, code) => (node['operator'] === '!' ? [code(node['argument'])] : []),
  Literal: (node) =>
    typeof node['value'] === 'boolean'
      ? [String(!node['value'])]
      : typeof node['value'] === 'number'
        ? [`${node['value']} + 1`]
        : [],
  ExpressionStatement: (node, code) => (isCall(node['expression']) ? [';', ...unwaited(node['expression'], code)] : []),
  ThrowStatement: () => [';'],
  // Nothing and false are the same to whoever asks.
  ReturnStatement: (node, code) => (['', 'undefined', 'false'].includes(code(node['argument'])) ? [] : ['return;']),
  BreakStatement: () => [';'],
  ContinueStatement: () => [';'],
  CallExpression: (node, code) => calls(node, code),
  ArrayExpression: (node, code) => without((node['elements'] as Node[]).map(code), '[', ']'),
  IfStatement: (node, code) => (node['alternate'] ? [code(node['alternate'])] : [';']),
};

const SWAPPED: Readonly<Record<string, readonly string[]>> = {
  '===': ['!=='],
  '!==': ['==='],
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '%': ['*'],
  '&': ['|'],
  '|': ['&'],
  '<<': ['>>'],
  '>>': ['<<'],
};

const RENAMED: Readonly<Record<string, string>> = {
  some: 'every',
  every: 'some',
  min: 'max',
  max: 'min',
  startsWith: 'endsWith',
  endsWith: 'startsWith',
  floor: 'ceil',
  ceil: 'floor',
  find: 'findLast',
  findLast: 'find',
  at: 'with',
};

/** Methods without which the object is still of its kind. */
const DROPPED: ReadonlySet<string> = new Set(['catch', 'filter', 'toSorted', 'toReversed', 'trim', 'finally', 'slice']);

function calls({ callee, arguments: given }: Node, code: (node: unknown) => string): readonly string[] {
  if (!isNode(callee) || callee.type !== 'MemberExpression' || !isNode(callee['property'])) return [];
  const [object, name] = [code(callee['object']), code(callee['property'])];
  const other = RENAMED[name];
  const args = (given as Node[]).map(code).join(', ');
  return [...(other ? [`${object}.${other}(${args})`] : []), ...(DROPPED.has(name) ? [object] : [])];
}

const isCall = (node: unknown): boolean =>
  isNode(node) && (node.type === 'CallExpression' || (node.type === 'AwaitExpression' && isCall(node['argument'])));

/** Nobody waits for it. */
const unwaited = (node: unknown, code: (node: unknown) => string): readonly string[] =>
  isNode(node) && node.type === 'AwaitExpression' ? [`void ${code(node['argument'])};`] : [];

const without = (elements: readonly string[], open: string, close: string): readonly string[] =>
  elements.map((_, left) => `${open}${elements.filter((__, index) => index !== left).join(', ')}${close}`);

const IS_STATEMENT = /Statement$/;

function changesOf(node: Node, source: string): readonly Change[] {
  const code = (one: unknown): string => (isNode(one) ? source.slice(one.start, one.end) : '');
  const texts = CHANGES[node.type]?.(node, code) ?? [];
  // In brackets, since an operator around it may bind closer.
  return texts.map((text) => ({ at: node, text: IS_STATEMENT.test(node.type) ? text : `(${text})` }));
}
