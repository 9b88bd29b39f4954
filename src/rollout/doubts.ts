/** What a rollout says although hardly anybody means it: it is understood, and does harm. Pure. */

import type { Version } from '../model.ts';
import type { RolloutDocument } from './document.ts';
import type { Draft } from './operate.ts';
import type { Step } from './rollout.ts';

/** Each as a part of a longer sentence. */
export function doubtsOf(draft: Draft, release: Step): string[] {
  const { canaries, groups, barriers = [], deadEnds = [] } = draft;
  const ways = new Map<Version, string>([
    ...[...(groups ?? [])].flatMap(([name, { pin }]) =>
      pin ? [[pin.version, `the group ${name} stays at it`] as const] : [],
    ),
    ...barriers.map(({ version }) => [version, 'it is a barrier'] as const),
    [release.version, 'it is the release'],
  ]);
  const dead = deadEnds.flatMap(({ version }) => {
    const way = ways.get(version);
    return way === undefined ? [] : [`${version} is a dead end, and hosts are led there: ${way}`];
  });
  const late = barriers
    .filter(({ counter }) => counter >= release.counter)
    .map(({ version }) => `the barrier ${version} is not older than the release, so nobody passes it`);
  const held = (canaries?.groups ?? [])
    .filter((name) => groups?.get(name)?.hold !== undefined)
    .map((name) => `the group ${name} is a canary, and is held`);
  return [...dead, ...late, ...held];
}

/** For what a rollout needs a release beside the one on offer; undefined where it does without. */
export function needOf({ barriers = [], groups, before }: RolloutDocument, version: Version): string | undefined {
  if (barriers.some((one) => one.version === version)) return 'as a barrier';
  for (const [name, { pin }] of groups ?? [])
    if (pin?.version === version) return `for the group ${name}, which stays at it`;
  return before?.version === version ? 'to go back to, should it be aborted' : undefined;
}
