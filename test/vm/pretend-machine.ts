/** A machine that is only played: a disk image, a folder as its ESP, and a boot loader of a few lines; its agent is the real one. */

import { createHash } from 'node:crypto';
import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { assembleAgent } from '../../src/agent/assemble.ts';
import type { DiskDoors } from '../../src/agent/install/host.ts';
import { step } from '../../src/agent/loop/loop.ts';
import { DECODER } from '../../src/bundle/decode/decoder.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { otherSlot, type SlotName } from '../../src/model.ts';
import { placeOfMounted, readDiskFacts } from '../../src/partitions/disk-facts.ts';
import { openDiskForTable, openFreePartition, openPartitionForReading } from '../../src/partitions/open-partition.ts';
import type { Status } from '../../src/protocol.ts';
import { realClock } from '../../src/system/clock.ts';
import { readPart, realFiles, writableSpace, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import type { Exec } from '../../src/system/process/exec.ts';
import { realRandom } from '../../src/system/random.ts';
import { isWhole } from './disk-image.ts';

export type PretendOptions = Readonly<{
  /** Holds disk.raw, esp/, state/, root.json. */
  dir: string;
  product: string;
  url: string;
  /** Versions whose kernel panics. */
  broken: readonly string[];
  /** What happens, as it happens. */
  told(event: Told): void;
}>;

export type Told = Readonly<
  | { what: 'stage' | 'arm' | 'reboot' | 'probe'; version: string }
  | { what: 'started' | 'panicked'; version: string; slot: SlotName; entry: string }
>;

export type PretendMachine = Readonly<{
  /** Starts the machine as often as its agent asks for; returns when the agent rests. */
  live(): Promise<Status>;
}>;

class Rebooted extends Error {}

const MAX_STARTS = 12;
const entriesDir = (dir: string): string => join(dir, 'esp/EFI/Linux');

export function pretendMachine(options: PretendOptions): PretendMachine {
  return {
    async live() {
      for (let starts = 1; starts <= MAX_STARTS; starts += 1) {
        const running = await firmware(options);
        const power = new AbortController();
        try {
          return await agentUntilRest(options, running, power.signal);
        } catch (error) {
          if (!(error instanceof Rebooted)) throw error;
        } finally {
          power.abort(new Rebooted());
        }
      }
      throw new Error(`the machine does not come to rest in ${MAX_STARTS} starts`);
    },
  };
}

type Running = Readonly<{ slot: SlotName; version: string }>;

/** What systemd-boot and the kernel do: take the first entry, count its try, start the root that its hash finds. */
async function firmware({ dir, product, broken, told }: PretendOptions): Promise<Running> {
  for (let tries = 1; tries <= MAX_STARTS; tries += 1) {
    const [entry] = (await readEntries(dir, product)).sort(inBootOrder);
    if (entry === undefined) throw new Error('no boot entry is left');
    if (entry.left !== undefined) await takeTry(dir, product, entry);
    const slot = await slotOf(dir, entry.rootHash);
    if (slot === undefined || !(await isWhole(join(dir, 'disk.raw'), entry.rootHash))) continue;
    const event = { version: entry.version, slot, entry: entry.name };
    if (broken.includes(entry.version)) told({ what: 'panicked', ...event });
    else {
      told({ what: 'started', ...event });
      return event;
    }
  }
  throw new Error('nothing starts');
}

type Entry = Readonly<{ name: string; version: string; left?: number; done: number; rootHash: string }>;

async function readEntries(dir: string, product: string): Promise<Entry[]> {
  const names = (await readdir(entriesDir(dir))).filter(
    (name) => name.startsWith(`${product}_`) && name.endsWith('.efi'),
  );
  return Promise.all(
    names.map(async (name) => {
      const [, version = '', left, done] = /_([^+]+?)(?:\+(\d+)(?:-(\d+))?)?\.efi$/.exec(name) ?? [];
      const text = (await readFile(join(entriesDir(dir), name))).toString('latin1');
      const rootHash = /roothash=([0-9a-f]{64})/.exec(text)?.[1] ?? '';
      return {
        name,
        version,
        rootHash,
        done: Number(done ?? 0),
        ...(left === undefined ? {} : { left: Number(left) }),
      };
    }),
  );
}

const inBootOrder = (one: Entry, two: Entry): number =>
  Number(one.left === 0) - Number(two.left === 0) || Number(two.version) - Number(one.version);

async function takeTry(dir: string, product: string, { name, version, left = 0, done }: Entry): Promise<void> {
  const counted = `${product}_${version}+${Math.max(0, left - 1)}-${done + 1}.efi`;
  await rename(join(entriesDir(dir), name), join(entriesDir(dir), counted));
}

async function slotOf(dir: string, rootHash: string): Promise<SlotName | undefined> {
  const { partitions } = await readDiskFacts(join(dir, 'disk.raw'));
  const found = partitions.find(({ uuid }) => uuid.replaceAll('-', '') === rootHash.slice(0, 32));
  return found?.label === 'root-a' ? 'a' : found?.label === 'root-b' ? 'b' : undefined;
}

async function agentUntilRest(options: PretendOptions, running: Running, signal: AbortSignal): Promise<Status> {
  const { dir, told } = options;
  const agent = await assembleAgent(resolveConfig([{ path: 'demo.toml', text: configuration(options) }]), {
    files: { ...realFiles, read: (path) => (path === '/etc/os-release' ? osRelease(running) : realFiles.read(path)) },
    readPart,
    writePart,
    writableSpace,
    clock: realClock,
    random: realRandom,
    exec: contentSystemd,
    log: silentLog,
    version: '0.1.0',
    architecture: 'x86-64',
    entry: DECODER,
    signal,
    doors: doorsTo(dir, running.slot),
    reboot: async () => {
      told({ what: 'reboot', version: running.version });
      throw new Rebooted();
    },
    bootId: createHash('sha256').update(`${performance.now()}`).digest('hex').slice(0, 32),
  });
  let failure: Error | undefined;
  const loop: typeof agent.loop = {
    ...agent.loop,
    began: (action) => {
      if (action.do === 'stage' || action.do === 'arm') told({ what: action.do, version: action.release.version });
      if (action.do === 'probe') told({ what: 'probe', version: running.version });
      agent.loop.began(action);
    },
    failed: (_, error) => {
      failure = error;
    },
  };
  for (;;) {
    const reason = await step(loop);
    if (failure?.cause instanceof Rebooted) throw failure.cause;
    if (failure) throw failure;
    if (reason !== undefined) return agent.view.status();
  }
}

const osRelease = async ({ version }: Running): Promise<Uint8Array> =>
  new TextEncoder().encode(`IMAGE_VERSION=${version}\n`);

/** The service manager of a machine on which all is well. */
const contentSystemd: Exec = async (_, args) => ({
  exitCode: 0,
  stdout: args.includes('--output=json') ? '[]' : '',
  stderr: '',
  timedOut: false,
});

/** The disk image in the place of the disk; the running slot is never opened for writing. */
const doorsTo = (dir: string, running: SlotName): DiskDoors => ({
  facts: () => readDiskFacts(join(dir, 'disk.raw')),
  placeOf: (at) => placeOfMounted(at),
  booted: () => running,
  openFree: (slot, role) => {
    if (slot.name !== otherSlot(running)) throw new Error('the running slot was to be written');
    return openFreePartition(slot, role);
  },
  openForReading: (partition) => openPartitionForReading(partition),
  openTable: openDiskForTable,
});

const configuration = ({ dir, product, url }: PretendOptions): string => `
[host]
product = "${product}"
architecture = "x86-64"
[repository]
url = "${url}"
[poll]
jitter_minutes = 0
[boot]
esp = "${join(dir, 'esp')}"
[health]
retry_seconds = 0
directories = ["${join(dir, 'health.d')}"]
[agent]
state_dir = "${join(dir, 'state')}"
runtime_dir = "${join(dir, 'run')}"
[trust]
root_file = "${join(dir, 'root.json')}"
`;
