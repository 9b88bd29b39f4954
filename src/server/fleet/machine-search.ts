/** A page of the machines that a search is about. It looks at so many and no more: who wants the rest asks again. */

import type { HostFacts } from '../../formats/check-in.ts';
import type { Page } from '../store/store.ts';
import { failureOf } from './census-tally.ts';
import { type MachineRecord, machineIn } from './machines.ts';

/** `name` is a part of what the machine calls itself or of its address; `id` is how its id begins; `after` is the `more` of the page before. */
export type Search = Readonly<{
  name?: string;
  id?: string;
  version?: string;
  group?: string;
  state?: string;
  after?: string;
}> &
  FailureSearch;

/** Machines whose last attempt failed: all of them, or by the name of the failure, the release and the words. */
export type FailureSearch = Readonly<{ failed?: string; code?: string; attempted?: string; reason?: string }>;

/** `looked`: how many machines this took. `more` is undefined at the end. */
export type Found = Readonly<{ machines: readonly MachineRecord[]; looked: number; more?: string }>;

export type SearchWorld = Readonly<{
  machines(limit: number, after?: string): Promise<Page>;
  /** Lets others have their turn between two pages. */
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

/** A field that was left empty asks for nothing. */
export function searchOf({ id, ...rest }: Search): Search {
  const fields = Object.entries({ ...rest, id: id?.toLowerCase() });
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined && value !== ''));
}

const PAGE = 200;
const MOST_FOUND = 50;
const MOST_LOOKED = 10_000;

/** The last id before those that begin with `prefix`; ids are 32 hexadecimal digits. */
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

/** People do not heed capitals. */
const isCalled = ({ name = '', address = '' }: HostFacts = {}, part = ''): boolean =>
  [name, address].some((text) => text.toLowerCase().includes(part.toLowerCase()));
