/** Hosts that share a lock in a real etcd: each with a client of its own, as if it were a machine of its own. */

import { etcdLock } from '../../src/reboot/gates/locks/etcd-lock.ts';
import type { LockClient } from '../../src/reboot/gates/locks/lock-client.ts';
import type { Member } from '../../src/reboot/gates/locks/semaphore.ts';
import { type Clock, realClock } from '../../src/system/clock.ts';
import { createEtcd, type Etcd, type EtcdCare } from '../../src/system/etcd/etcd.ts';
import type { EtcdOptions } from '../../src/system/etcd/members.ts';
import type { EtcdV2 } from '../../src/system/etcd/v2.ts';
import type { Http } from '../../src/system/http/http.ts';
import { realRandom } from '../../src/system/random.ts';
import { noSignal } from './bundles.ts';
import { testHttp } from './http-client.ts';
import { memberOf } from './lock-model.ts';

export type HostOptions = Readonly<{
  endpoints: readonly string[];
  group?: string;
  max?: number;
  maxFailures?: number;
  leaseSeconds?: number;
  deadlineSeconds?: number;
  askMs?: number;
  members?: number;
  me?: Member;
  clock?: Clock;
  http?: Pick<Http, 'post'>;
  login?: EtcdOptions['login'];
  timeoutMs?: number;
  start?: number;
  older?: EtcdV2;
}>;

export const etcdOf = (
  options: Pick<HostOptions, 'endpoints' | 'http' | 'login' | 'timeoutMs' | 'start'>,
): Etcd & EtcdCare =>
  createEtcd({
    http: { ...testHttp(), ...options.http },
    endpoints: options.endpoints,
    timeoutMs: options.timeoutMs ?? 1_000,
    start: options.start ?? 0,
    signal: noSignal,
    ...(options.login ? { login: options.login } : {}),
  });

export const lockOf = (index: number, options: HostOptions): LockClient =>
  etcdLock({
    etcd: etcdOf(options),
    ...(options.older ? { older: options.older } : {}),
    group: options.group ?? 'default',
    me: options.me ?? memberOf(index),
    max: options.max ?? 1,
    maxFailures: options.maxFailures ?? 0,
    deadlineSeconds: options.deadlineSeconds ?? 600,
    leaseSeconds: options.leaseSeconds ?? 60,
    askMs: options.askMs ?? 200,
    ...(options.members === undefined ? {} : { members: options.members }),
    clock: options.clock ?? realClock,
    random: realRandom,
    signal: noSignal,
  });
