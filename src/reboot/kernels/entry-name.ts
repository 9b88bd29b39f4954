/** Names of boot entries: systemd's boot counting, and temporary names of future entries. Pure. */

import { type Product, VERSION_PATTERN, type Version } from '../../model.ts';
import { TEMPORARY } from '../../system/files.ts';

/** The tries left and done, as counted by the boot loader. */
export type Counter = Readonly<{ left: number; done: number }>;
export type EntryName = Readonly<{ version: Version; counter?: Counter }>;

/** `<product>_<version>.efi`, with `+left` or `+left-done` before the suffix while tries are counted. */
export function formatEntryName(product: Product, { version, counter }: EntryName): string {
  return `${product}_${version}${counter ? formatCounter(counter) : ''}.efi`;
}

/** Parses the names that `formatEntryName` makes; undefined for others. */
export function parseEntryName(product: Product, file: string): EntryName | undefined {
  if (!file.startsWith(`${product}_`) || !file.endsWith('.efi')) return undefined;
  const [version = '', ...counters] = file.slice(product.length + 1, -'.efi'.length).split('+');
  if (!VERSION_PATTERN.test(version) || counters.length > 1) return undefined;
  if (counters[0] === undefined) return { version: version as Version };
  const counter = parseCounter(counters[0]);
  return counter && { version: version as Version, counter };
}

/** The name of a waiting UKI on the ESP. The boot loader ignores names with a leading dot or without `.efi`. */
export const formatWaitingName = (product: Product, version: Version): string => `.${product}_${version}.efi${WAITING}`;

/** The version of a waiting UKI; undefined for other names. */
export function parseWaitingName(product: Product, file: string): Version | undefined {
  if (!file.startsWith('.') || !file.endsWith(WAITING)) return undefined;
  const entry = parseEntryName(product, file.slice(1, -WAITING.length));
  return entry?.counter ? undefined : entry?.version;
}

/** The name of a UKI under assembly: neither an entry nor waiting, so it survives `disable`. */
export const formatPartName = (product: Product, version: Version): string => `.${product}_${version}.efi${PART}`;

/** The version in any of these names; a file keeps it through all its renames. */
export function versionNamed(product: Product, file: string): Version | undefined {
  if (isPart(product, file)) return parseWaitingName(product, `${file.slice(0, -PART.length)}${WAITING}`);
  return parseWaitingName(product, file) ?? parseEntryName(product, file)?.version;
}

/** Whether a file is a UKI that is or was under assembly. */
export const isPart = (product: Product, file: string): boolean =>
  file.startsWith(`.${product}_`) && file.endsWith(PART);

/** Whether a file is ours to remove: it matches the boot loader's default pattern or our own temporary names. */
export function isOurs(product: Product, file: string): boolean {
  const name = file.toLowerCase();
  return (
    (name.startsWith(`${product}_`) && name.endsWith('.efi')) ||
    (name.startsWith(`.${product}_`) && name.endsWith(WAITING))
  );
}

/** The boot loader's change of a counter when it starts the entry. */
export const counted = ({ left, done }: Counter): Counter => ({ left: Math.max(0, left - 1), done: done + 1 });

const WAITING = TEMPORARY;
const PART = '.tandem-part';
// The boot loader reads counters up to INT_MAX, and treats anything larger as part of the name.
const COUNTER_MAX = 2 ** 31 - 1;

const formatCounter = ({ left, done }: Counter): string => (done === 0 ? `+${left}` : `+${left}-${done}`);

function parseCounter(text: string): Counter | undefined {
  const [, left, done = '0'] = /^([0-9]{1,10})(?:-([0-9]{1,10}))?$/.exec(text) ?? [];
  const counter = { left: Number(left), done: Number(done) };
  return left !== undefined && counter.left <= COUNTER_MAX && counter.done <= COUNTER_MAX ? counter : undefined;
}
