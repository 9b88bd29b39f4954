/** The etcd of the lock and the settings: the health of its members, and its free space. */

import { openEtcd } from '../../agent/gates/open-lock.ts';
import type { Config } from '../../config/config.ts';
import { ERRORS } from '../../errors.ts';
import { etcdCondition } from '../../server/store/etcd-condition.ts';
import type { Context } from '../command.ts';
import { bytes } from '../units.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

export async function etcdHealth(context: Context, config: Config): Promise<Finding> {
  if (config.lock.endpoints.length === 0) return ok('This host does not use etcd.');
  const etcd = await openEtcd(config, context);
  const ailing = (await etcd.ailments()).findIndex((one) => one !== undefined);
  const condition = await etcdCondition({ etcd, key: 'tandem', isOurs: async () => undefined });
  if (!condition) return fail('No etcd member reports its status.', ERRORS['etcd-unavailable'].next);
  const { quotaBytes, isFilling, isUncompacted } = condition;
  const used = `${bytes(condition.bytes)} of ${bytes(quotaBytes)} used`;
  if (isFilling) return fail(`etcd is filling up: ${used}.`, ERRORS['etcd-filling'].next);
  if (ailing >= 0) return fail(`${config.lock.endpoints[ailing]} is unhealthy.`, ERRORS['etcd-unavailable'].next);
  return isUncompacted
    ? warn(`${ERRORS['etcd-uncompacted'].sentence} So far ${used}.`, ERRORS['etcd-uncompacted'].next)
    : ok(`All members are healthy; ${used}.`);
}
