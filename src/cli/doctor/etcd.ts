/** The etcd of the lock and the settings: whether its members are well, and whether it fills up. */

import { openEtcd } from '../../agent/gates/open-lock.ts';
import type { Config } from '../../config/config.ts';
import { ERRORS } from '../../errors.ts';
import { etcdCondition } from '../../server/store/etcd-condition.ts';
import type { Context } from '../command.ts';
import { bytes } from '../units.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

export async function etcdHealth(context: Context, config: Config): Promise<Finding> {
  if (config.lock.endpoints.length === 0) return ok('Nothing of this host is in etcd.');
  const etcd = await openEtcd(config, context);
  const ailing = (await etcd.ailments()).findIndex((one) => one !== undefined);
  const condition = await etcdCondition({ etcd, key: 'tandem', isOurs: async () => undefined });
  if (!condition) return fail('No member of etcd says how it is.', ERRORS['etcd-unavailable'].next);
  const { quotaBytes, isFilling, isUncompacted } = condition;
  const used = `${bytes(condition.bytes)} of ${bytes(quotaBytes)} are used`;
  if (isFilling) return fail(`etcd fills up: ${used}.`, ERRORS['etcd-filling'].next);
  if (ailing >= 0) return fail(`${config.lock.endpoints[ailing]} is not well.`, ERRORS['etcd-unavailable'].next);
  return isUncompacted
    ? warn(`${ERRORS['etcd-uncompacted'].sentence} By now ${used}.`, ERRORS['etcd-uncompacted'].next)
    : ok(`All members are well; ${used}.`);
}
