/** A repository whose channel rolls 2.0 out now, within limits. */

import type { Version } from '../../src/model.ts';
import { rollOut } from '../../src/verify/publish/channels.ts';
import { TestRepository } from './tuf-repository.ts';

export async function rollingOut(limits: Readonly<{ inFlight: number; failures: number }>): Promise<TestRepository> {
  const repository = await new TestRepository().init();
  for (const version of ['1.0', '2.0']) await repository.add(version);
  const rollout = { schema: 1, start: '2020-01-01T00:00:00Z', limits: { ...limits, patienceMinutes: 600 } };
  await rollOut(repository.publisher(), { channel: 'stable', version: '2.0' as Version }, () => rollout);
  return repository;
}
