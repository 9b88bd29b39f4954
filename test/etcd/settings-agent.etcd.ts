/** The daemon whole, with settings in a real etcd: it tells of them, and starts anew for those that need it. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Surroundings } from '../../src/agent/assemble.ts';
import type { DiskDoors } from '../../src/agent/host.ts';
import { runAgent } from '../../src/agent/run.ts';
import { DECODER } from '../../src/bundle/decoder.ts';
import { agentClient } from '../../src/cli/agent-client.ts';
import { readLayers, resolveConfig } from '../../src/config.ts';
import { uuidsOfRootHash } from '../../src/partitions/uuids.ts';
import type { Status } from '../../src/protocol.ts';
import { realClock } from '../../src/system/clock.ts';
import { readPart, realFiles, writableSpace, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { realRandom } from '../../src/system/random.ts';
import { noSignal } from '../support/bundles.ts';
import { rootHashOfVersion, uki } from '../support/esp.ts';
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
  const begin = await daemon(dir, etcd.endpoints, ending.signal);

  const first = begin();
  await until(dir, ({ settings, state }) => settings?.readAt !== undefined && state.kind === 'idle');
  await etcd.ctl(['put', `${PREFIX}all/10.toml`, 'host.group = "web"\nrepository.url = "http://evil/"']);
  await first;

  const second = begin();
  const { group, settings } = await until(dir, (status) => status.group === 'web');
  assert.equal(group, 'web');
  assert.deepEqual([settings?.pending, settings?.faults.map(({ code }) => code)], [[], ['setting-local-only']]);
  ending.abort();
  await second;
});

/** Runs slot a, proven; its repository is nowhere. */
async function daemon(dir: string, endpoints: readonly string[], signal: AbortSignal): Promise<() => Promise<void>> {
  const text = `
host.product = "shop"
repository.url = "http://127.0.0.1:1/"
fleet.settings_prefix = "${PREFIX}"
lock.endpoints = ${JSON.stringify(endpoints)}
boot.esp = "${dir}/esp"
agent = { state_dir = "${dir}/state", runtime_dir = "${dir}/run" }
trust.root_file = "${dir}/root.json"
`;
  await mkdir(join(dir, 'config.d'));
  await mkdir(join(dir, 'esp/EFI/Linux'), { recursive: true });
  await writeFile(join(dir, 'config.d/50.toml'), text);
  await writeFile(join(dir, 'root.json'), '{}');
  await writeFile(join(dir, 'esp/EFI/Linux/shop_1.efi'), uki('1'));
  // Minutes are moments, so that a test does not take longer than they do.
  const clock = {
    ...realClock,
    sleep: (ms: number, stop?: AbortSignal) => realClock.sleep(ms > 100_000 ? 300 : ms / 20, stop),
  };
  const world: Surroundings = {
    ...{ files: realFiles, readPart, writePart, writableSpace, clock, random: realRandom, log: silentLog, signal },
    exec: async () => ({ exitCode: 0, stdout: '', stderr: '', timedOut: false }),
    version: '0.1.0',
    architecture: 'x86-64',
    entry: DECODER,
    doors: doors(),
    reboot: () => assert.fail('nobody asked for a reboot'),
    bootId: '0123456789abcdef0123456789abcdef',
  };
  return async () => runAgent(await readLayers(realFiles, [join(dir, 'config.d')]), world, () => undefined);
}

/** What the daemon answers as soon as that is so. */
async function until(dir: string, isSo: (status: Status) => boolean): Promise<Status> {
  const text = `agent.runtime_dir = "${dir}/run"`;
  const client = agentClient(resolveConfig([{ path: 'test', text }]), noSignal);
  for (;;) {
    const status = await client.status().catch(() => undefined);
    if (status && isSo(status)) return status;
    await realClock.sleep(10);
  }
}

function doors(): DiskDoors {
  const labels = ['root-a', 'root-a-verity', 'root-b', 'root-b-verity'];
  const { root, verity } = uuidsOfRootHash(rootHashOfVersion('1'));
  const partition = (label: string, index: number) => ({
    path: `/dev/vda${index + 1}`,
    number: index + 1,
    label,
    uuid: [root, verity][index] ?? `00000000-0000-4000-8000-00000000000${index}`,
    type: '',
    start: index,
    size: 4096,
    device: `254:${index + 1}`,
  });
  const facts = { disk: { path: '/dev/vda' }, partitions: labels.map(partition), rootDevices: [], elsewhere: [] };
  return { facts: async () => facts, booted: () => 'a' } as unknown as DiskDoors;
}
