/** Reads configuration drop-ins: TOML, checked key by key against the table, each value with its location. */

import { join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { UpdateError } from '../errors.ts';
import { suggestion } from '../nearest-word.ts';
import type { Files } from '../system/files.ts';

/** The check of a key; `error.issues` says briefly why a value is refused. */
export type CheckedKeys = Readonly<{
  type: Readonly<{
    safeParse(
      value: unknown,
    ):
      | Readonly<{ success: true; data: unknown }>
      | Readonly<{ success: false; error: Readonly<{ issues: readonly Readonly<{ message: string }>[] }> }>;
  }>;
}>;

/** Sections of keys, by their TOML names. */
export type Table = Readonly<Record<string, Readonly<Record<string, CheckedKeys>>>>;

/** A value as used and as `written`; `origin` is `file:line`. */
export type Given = Readonly<{ path: string; value: unknown; written: unknown; origin: string }>;

/** A refused key or section; `isUnknown` if this version has none of that name. */
export type Wrong = Readonly<{ path: string; fault: UpdateError; isUnknown?: true }>;

/** `isLasting`: its file outlives the image, and with it the version that it was written for. */
export type Fragment = Readonly<{ path: string; text: string; isLasting?: true }>;

/** Reads the drop-ins: directory by directory, by file name within each. Those in `lasting` outlive the image. */
export async function readFragments(
  files: Pick<Files, 'list' | 'read'>,
  dirs: readonly string[],
  lasting?: string,
): Promise<Fragment[]> {
  const fragments: Fragment[] = [];
  for (const dir of dirs) {
    for (const name of (await files.list(dir)).filter((one) => one.endsWith('.toml'))) {
      const path = join(dir, name);
      const bytes = await files.read(path);
      if (bytes) fragments.push({ path, text: decode(path, bytes), ...(dir === lasting ? { isLasting: true } : {}) });
    }
  }
  return fragments;
}

/** The values of a drop-in; throws for an unknown key, unless the file outlives the image, and for an invalid value. */
export function readFragment(fragment: Fragment, table: Table): Given[] {
  return readEach(fragment, table).flatMap((one) => {
    if (!('fault' in one)) return [one];
    if (isTolerated(fragment, one)) return [];
    throw one.fault;
  });
}

/** The keys that `readFragment` tolerates, as faults. */
export const toleratedIn = (fragment: Fragment, table: Table): readonly UpdateError[] =>
  fragment.isLasting
    ? readEach(fragment, table).flatMap((one) => ('fault' in one && isTolerated(fragment, one) ? [one.fault] : []))
    : [];

/** After a rollback, an older version reads what was written for a newer one: it must not stop updating. */
const isTolerated = ({ isLasting }: Fragment, { isUnknown }: Wrong): boolean =>
  isLasting === true && isUnknown === true;

/** The valid values of a drop-in; none if it is not TOML. */
export function readSound(fragment: Fragment, table: Table): Given[] {
  try {
    return readEach(fragment, table).filter((one): one is Given => !('fault' in one));
  } catch {
    return [];
  }
}

/** Each key of a drop-in as a value or a fault; throws only if it is not TOML. */
export function readEach(fragment: Fragment, table: Table): readonly (Given | Wrong)[] {
  const sections = Object.entries(parseToml(fragment));
  const placeOf = placesIn(fragment);
  return sections.flatMap(([section, content]): (Given | Wrong)[] => {
    const keys = Object.hasOwn(table, section) ? table[section] : undefined;
    if (!keys) return [noSection(placeOf(section), section, table)];
    if (!isTable(content))
      return [{ path: section, fault: fault(placeOf(section), `“${section}” must be a section: [${section}].`) }];
    return Object.entries(content).map(([name, value]) =>
      checkValue(keys, section, name, value, placeOf(section, name)),
    );
  });
}

const noSection = (place: string, section: string, table: Table): Wrong => ({
  path: section,
  fault: fault(place, `there is no section “${section}”.${suggestion(section, Object.keys(table))}`),
  isUnknown: true,
});

/** Checks one value against the keys of its section. */
export function checkValue(
  keys: Readonly<Record<string, CheckedKeys>>,
  section: string,
  name: string,
  written: unknown,
  origin: string,
): Given | Wrong {
  const path = `${section}.${name}`;
  const found = Object.hasOwn(keys, name) ? keys[name] : undefined;
  if (!found) {
    const sentence = `there is no key “${path}”.${suggestion(name, Object.keys(keys))}`;
    return { path, fault: fault(origin, sentence), isUnknown: true };
  }
  const checked = found.type.safeParse(written);
  if (checked.success) return { path, value: checked.data, written, origin };
  return { path, fault: fault(origin, `${path} ${checked.error.issues[0]?.message ?? 'is not allowed'}.`) };
}

function parseToml({ path, text }: Fragment): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [sentence = ''] = error.message.replace('Invalid TOML document: ', '').split('\n');
    const hint = isUnquoted(text.split('\n')[error.line - 1] ?? '') ? '; text must be quoted, as in key = "text"' : '';
    throw new UpdateError('config-invalid', `${path}:${error.line}: ${sentence}${hint}.`, { cause: error });
  }
}

/** Whether a value looks like unquoted text: it starts with a letter, slash or dot, and is no boolean or TOML number. */
const isUnquoted = (line: string): boolean => /^[^=#]*=\s*(?!(true|false|inf|nan)\s*(#|$))[\p{L}/.~*]/u.test(line);

const fault = (place: string, sentence: string): UpdateError =>
  new UpdateError('config-invalid', `${place}: ${sentence}`);

type Places = (section: string, name?: string) => string;

/** `file:line` of each key or section; only the file for unusual spellings. Linear time, because lines may be long and untrusted. */
function placesIn({ path, text }: Fragment): Places {
  const keys = new Map<string, number>();
  const sections = new Map<string, number>();
  let current = '';
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*\[\[?([^\]]*)\]/.exec(line)?.[1]?.trim().replace(/^"|"$/g, '');
    const written = /^\s*"?([\w-]+(?:\s*\.\s*[\w-]+)*)"?\s*=/.exec(line)?.[1]?.replace(/\s/g, '');
    if (header === undefined && written === undefined) continue;
    current = header ?? current;
    const full = [current, written].filter(Boolean).join('.');
    const [section = ''] = full.split('.', 1);
    if (!keys.has(full)) keys.set(full, index + 1);
    if (!sections.has(section)) sections.set(section, index + 1);
  }
  return (section, name) => {
    const line = name === undefined ? sections.get(section) : keys.get(`${section}.${name}`);
    return line === undefined ? path : `${path}:${line}`;
  };
}

function decode(path: string, bytes: Uint8Array): string {
  if (bytes.length > MOST_BYTES) throw new UpdateError('config-invalid', `${path} is larger than 1 MiB.`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UpdateError('config-invalid', `${path} is not UTF-8 text.`, { cause: error });
  }
}

const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const MOST_BYTES = 1024 * 1024;
