/** Reads the fleet settings for one host: those for all hosts, for its group and for itself. */

import type { FleetDocument, FleetFault } from '../../config/fleet.ts';
import { UpdateError } from '../../errors.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import { keyAfter } from '../../system/etcd/messages.ts';

/** A snapshot, in the order in which later settings override earlier ones. */
export async function readFleetDocuments(
  etcd: Pick<Etcd, 'txn'>,
  about: Readonly<{ prefix: string; group: string; machine: string | undefined }>,
): Promise<Readonly<{ documents: FleetDocument[]; faults: FleetFault[]; revision: string }>> {
  const places = placesOf(about);
  const ops = places.map(([, from]) => ({ range: from, before: keyAfter(from), limit: MOST_DOCUMENTS }));
  const { ranges, revision } = await etcd.txn({ ops });
  if (ranges.length !== places.length || revision === '0')
    throw new UpdateError('etcd-protocol', 'etcd answered only part of the request.');
  const documents = places.flatMap(([audience], index) =>
    (ranges[index]?.pairs ?? []).map(({ key, value }) => ({ key, audience, bytes: value })),
  );
  const faults = places.flatMap(([, from], index): FleetFault[] => {
    const count = ranges[index]?.count ?? 0;
    if (count <= MOST_DOCUMENTS) return [];
    const message = `etcd:${from} has ${count} keys; only the first ${MOST_DOCUMENTS} are used.`;
    return [{ code: 'setting-invalid', message }];
  });
  return { documents, faults, revision };
}

/** For each audience. */
const MOST_DOCUMENTS = 16;

type Place = readonly [audience: FleetDocument['audience'], from: string];

function placesOf({ prefix, group, machine }: Parameters<typeof readFleetDocuments>[1]): readonly Place[] {
  const shared: readonly Place[] = [
    ['all', `${prefix}all/`],
    ['group', `${prefix}group/${group}/`],
  ];
  return machine === undefined ? shared : [...shared, ['host', `${prefix}host/${machine}/`]];
}
