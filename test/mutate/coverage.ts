/** Which parts of the source a test executes, in its own process and in all that it starts. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Whether what stands at this place of a file of the tree was executed. */
export type Coverage = (path: string, offset: number) => boolean;

/** From what V8 has written into `folder` (NODE_V8_COVERAGE). Only the files in `paths` are looked at. */
export function readCoverage(folder: string, root: string, paths: readonly string[]): Coverage {
  const scripts = new Map<string, Ranges[]>(paths.map((path) => [pathToFileURL(join(root, path)).href, []]));
  for (const name of readdirSync(folder))
    for (const { url, functions } of scriptsOf(join(folder, name)))
      scripts.get(url)?.push(functions.flatMap(({ ranges }) => ranges));
  return (path, offset) =>
    (scripts.get(pathToFileURL(join(root, path)).href) ?? []).some((ranges) => countAt(ranges, offset) > 0);
}

type Ranges = readonly Readonly<{ startOffset: number; endOffset: number; count: number }>[];
type Script = Readonly<{ url: string; functions: readonly Readonly<{ ranges: Ranges }>[] }>;

/** A process that was killed while it wrote leaves a part of a file: it counts for nothing. */
function scriptsOf(file: string): readonly Script[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { result: readonly Script[] }).result;
  } catch {
    return [];
  }
}

/** Ranges lie within one another; the innermost one says how often. */
function countAt(ranges: Ranges, offset: number): number {
  const around = ranges.filter((range) => range.startOffset <= offset && offset < range.endOffset);
  const size = (range: Ranges[number]): number => range.endOffset - range.startOffset;
  return around.toSorted((one, other) => size(one) - size(other))[0]?.count ?? 0;
}
