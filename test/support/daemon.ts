/** The daemon as it is wired for a host, over a folder in the place of its disk: slot a runs and is proven, its repository is nowhere. */

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiskDoors } from '../../src/agent/install/host.ts';
import { runAgent } from '../../src/agent/run.ts';
import type { Surroundings } from '../../src/agent/surroundings.ts';
import { DECODER } from '../../src/bundle/decode/decoder.ts';
import { agentClient } from '../../src/cli/host/agent-client.ts';
import { readLayers, resolveConfig } from '../../src/config/config.ts';
import { uuidsOfRootHash } from '../../src/partitions/uuids.ts';
import type { Status } from '../../src/protocol.ts';
import { realClock } from '../../src/system/clock.ts';
import { readPart, realFiles, writableSpace, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { realRandom } from '../../src/system/random.ts';
import { noSignal } from './bundles.ts';
import { rootHashOfVersion, uki } from './esp.ts';

/** Lays the folder out; `more` are further lines of its configuration. */
export async function layDaemonOut(dir: string, more = ''): Promise<void> {
  const text = `
host.product = "shop"
repository.url = "http://127.0.0.1:1/"
boot.esp = "${dir}/esp"
agent = { state_dir = "${dir}/state", runtime_dir = "${dir}/run" }
trust.root_file = "${dir}/root.json"
${more}`;
  await mkdir(join(dir, 'config.d'), { recursive: true });
  await mkdir(join(dir, 'esp/EFI/Linux'), { recursive: true });
  await writeFile(join(dir, 'config.d/50.toml'), text);
  await writeFile(join(dir, 'root.json'), '{}');
  await writeFile(join(dir, 'esp/EFI/Linux/shop_1.efi'), uki('1'));
}

/** Runs the daemon until the signal. */
export async function runDaemon(dir: string, signal: AbortSignal, change: Partial<Surroundings> = {}): Promise<void> {
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
    ...change,
  };
  await runAgent(await readLayers(realFiles, [join(dir, 'config.d')]), world, () => undefined);
}

/** What the daemon answers as soon as that is so. */
export async function daemonStatus(dir: string, isSo: (status: Status) => boolean = () => true): Promise<Status> {
  const client = agentClient(resolveConfig([{ path: 'test', text: `agent.runtime_dir = "${dir}/run"` }]), noSignal);
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
