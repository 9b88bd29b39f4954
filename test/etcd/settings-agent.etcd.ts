/** The daemon whole, with settings in a real etcd: it tells of them, and starts anew for those that need it. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { daemonStatus, layDaemonOut, runDaemon } from '../support/daemon.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';

const PREFIX = 'tandem/settings/v1/';

test('a daemon tells of the settings, ends for a new group when nothing is under way, and begins with it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-daemon-'));
  const ending = new AbortController();
  t.after(() => {
    ending.abort();
    return rm(dir, { recursive: true, force: true });
  });
  await using etcd = await EtcdCluster.start({ members: 1 });
  await layDaemonOut(dir, `fleet.settings_prefix = "${PREFIX}"\nlock.endpoints = ${JSON.stringify(etcd.endpoints)}\n`);

  const first = runDaemon(dir, ending.signal);
  await daemonStatus(dir, ({ settings, state }) => settings?.readAt !== undefined && state.kind === 'idle');
  await etcd.ctl(['put', `${PREFIX}all/10.toml`, 'host.group = "web"\nrepository.url = "http://evil/"']);
  await first;

  const second = runDaemon(dir, ending.signal);
  const { group, settings } = await daemonStatus(dir, (status) => status.group === 'web');
  assert.equal(group, 'web');
  assert.deepEqual([settings?.pending, settings?.faults.map(({ code }) => code)], [[], ['setting-local-only']]);
  ending.abort();
  await second;
});
