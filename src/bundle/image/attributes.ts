/** Extended attributes of a tree: file capabilities, access lists, labels. */

import { UpdateError } from '../../errors.ts';
import type { TreeEntry } from '../../system/disk/tree-walk.ts';
import { type Exec, run } from '../../system/process/exec.ts';

export type Attribute = Readonly<{ name: string; value: Uint8Array }>;

/** Those of every entry that has any. */
export async function attributesOf(
  exec: Exec,
  tree: string,
  entries: readonly TreeEntry[],
  signal: AbortSignal,
): Promise<ReadonlyMap<TreeEntry, readonly Attribute[]>> {
  const all = ['--no-dereference', '--recursive', '--physical', '--dump', '--match=-', '--encoding=hex', '.'];
  const found = parseAttributes(await run(exec, 'getfattr', all, { signal, cwd: tree, package: 'attr' }));
  const seen = new Set<string>();
  const known = new Map<TreeEntry, readonly Attribute[]>();
  for (const entry of entries) {
    // getfattr's output was decoded as UTF-8.
    const name = Buffer.from(entry.path, 'latin1').toString();
    const attributes = found.get(name);
    if (attributes === undefined) continue;
    if (seen.has(name))
      throw new UpdateError(
        'name-unsupported',
        `${name}: another file is called so but for bytes that are not UTF-8, and one has attributes.`,
      );
    seen.add(name);
    known.set(entry, attributes);
  }
  return known;
}

/** Parses `getfattr --dump --encoding=hex`: a heading per file, then `name=0x…`. */
export function parseAttributes(text: string): ReadonlyMap<string, readonly Attribute[]> {
  const found = new Map<string, Attribute[]>();
  let of: Attribute[] = [];
  for (const line of text.split('\n')) {
    const [, path] = /^# file: (.*)$/.exec(line) ?? [];
    const [, name, hex] = /^(.+)=0x([0-9a-f]*)$/.exec(line) ?? [];
    if (path !== undefined) {
      of = [];
      found.set(unescaped(path), of);
    } else if (name !== undefined) of.push({ name: unescaped(name), value: Buffer.from(hex ?? '', 'hex') });
  }
  return found;
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
