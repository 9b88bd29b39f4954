/** Searches machines page by page. Examines a limited number per request; the client asks again for the rest. */

import type { HostFacts } from '../../formats/check-in.ts';
import type { Page } from '../store/store.ts';
import { failureOf } from './census-tally.ts';
import { type MachineRecord, machineIn } from './machines.ts';

/** `name`: part of the machine's name or address; `id`: a prefix of its id; `after`: `more` of the previous page. */
export type Search = Readonly<{
  name?: string;
  id?: string;
  version?: string;
  group?: string;
  state?: string;
  after?: string;
}> &
  FailureSearch;

/** Machines whose last attempt failed: all, or by code, release and reason. */
export type FailureSearch = Readonly<{ failed?: string; code?: string; attempted?: string; reason?: string }>;

/** `looked`: the number of machines examined. `more` is undefined at the end. */
export type Found = Readonly<{ machines: readonly MachineRecord[]; looked: number; more?: string }>;

export type SearchWorld = Readonly<{
  machines(limit: number, after?: string): Promise<Page>;
  /** Yields to other requests between pages. */
  pause(): Promise<void>;
}>;

export async function searchMachines(
  { machines: list, pause }: SearchWorld,
  search: Search,
  limit = MOST_FOUND,
): Promise<Found> {
  const prefix = search.id ?? '';
  const found: MachineRecord[] = [];
  let after = search.after ?? before(prefix);
  for (let looked = 0; ; await pause()) {
    const { documents, next } = await list(PAGE, after);
    for (const { id, document } of documents) {
      if (prefix !== '' && !id.startsWith(prefix)) return { machines: found, looked };
      looked += 1;
      const machine = machineIn(document);
      if (machine && isLike(machine, search)) found.push(machine);
      if (found.length === limit) return { machines: found, looked, more: id };
    }
    if (next === undefined) return { machines: found, looked };
    if (looked >= MOST_LOOKED) return { machines: found, looked, more: next };
    after = next;
  }
}

/** An empty field is no criterion. */
export function searchOf({ id, ...rest }: Search): Search {
  const fields = Object.entries({ ...rest, id: id?.toLowerCase() });
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined && value !== ''));
}

const PAGE = 200;
const MOST_FOUND = 50;
const MOST_LOOKED = 10_000;

/** The last id before those with `prefix`; ids are 32 hexadecimal digits. */
function before(prefix: string): string | undefined {
  const first = BigInt(`0x${prefix.padEnd(32, '0')}`);
  return first === 0n ? undefined : (first - 1n).toString(16).padStart(32, '0');
}

const isLike = (machine: MachineRecord, search: Search): boolean =>
  isCalled(machine.host, search.name) &&
  (search.version === undefined || machine.running.version === search.version) &&
  (search.group === undefined || machine.group === search.group) &&
  (search.state === undefined || machine.state === search.state) &&
  hasFailedSo(machine, search);

function hasFailedSo(machine: MachineRecord, { failed, code, attempted, reason }: FailureSearch): boolean {
  if ((failed ?? code ?? attempted ?? reason) === undefined) return true;
  const failure = failureOf(machine);
  return (
    failure !== undefined &&
    (code === undefined || failure.code === code) &&
    (attempted === undefined || failure.version === attempted) &&
    (reason === undefined || failure.reason === reason)
  );
}

/** Case-insensitive. */
const isCalled = ({ name = '', address = '' }: HostFacts = {}, part = ''): boolean =>
  [name, address].some((text) => text.toLowerCase().includes(part.toLowerCase()));
