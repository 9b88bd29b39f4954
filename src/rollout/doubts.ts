/** Warnings about a rollout that is valid but probably not intended. Pure. */

import type { Version } from '../model.ts';
import type { RolloutDocument } from './document.ts';
import type { Draft } from './operate.ts';
import type { Step } from './rollout.ts';

/** Each warning is a clause of a longer sentence. */
export function doubtsOf(draft: Draft, release: Step): string[] {
  const { canaries, groups, barriers = [], deadEnds = [] } = draft;
  const ways = new Map<Version, string>([
    ...[...(groups ?? [])].flatMap(([name, { pin }]) =>
      pin ? [[pin.version, `the group ${name} is pinned to it`] as const] : [],
    ),
    ...barriers.map(({ version }) => [version, 'it is a barrier'] as const),
    [release.version, 'it is the release'],
  ]);
  const dead = deadEnds.flatMap(({ version }) => {
    const way = ways.get(version);
    return way === undefined ? [] : [`${version} is a dead end, but hosts are sent to it: ${way}`];
  });
  const late = barriers
    .filter(({ counter }) => counter >= release.counter)
    .map(({ version }) => `the barrier ${version} is not older than the release, so no host passes through it`);
  const held = (canaries?.groups ?? [])
    .filter((name) => groups?.get(name)?.hold !== undefined)
    .map((name) => `the canary group ${name} is held`);
  return [...dead, ...late, ...held];
}

/** Why a rollout needs a release other than the one on offer; undefined if it does not. */
export function needOf({ barriers = [], groups, before }: RolloutDocument, version: Version): string | undefined {
  if (barriers.some((one) => one.version === version)) return 'as a barrier';
  for (const [name, { pin }] of groups ?? [])
    if (pin?.version === version) return `for the group ${name}, which is pinned to it`;
  return before?.version === version ? 'to return to after an abort' : undefined;
}
