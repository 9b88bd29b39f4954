/**
 * A host in a box: the real agent under the real systemd, from its own images on a real disk, without a virtual machine.
 *
 * Real: the disk (a loop device with a partition table), the slots' images, ext4 on /var, systemd and its units with their sandbox, D-Bus,
 * `updatectl agent` as the unit starts it, the network card, the repository and its signatures, the web.
 *
 * Imitated: firmware and boot loader (`firmware.ts`), the kernel that a UKI carries (all boxes run on this machine's; a restart is new
 * namespaces and a new boot_id), dm-verity (the firmware checks the whole slot before it starts it instead), FAT on the ESP (ext2), udev, the
 * journal (a file), most of /usr (this machine's, with the slot's own files over it). A power cut ends all processes; nothing written is lost.
 */

import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AgentClient, agentClient } from '../../src/cli/host/agent-client.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { UpdateError } from '../../src/errors.ts';
import type { SlotName, StateKind } from '../../src/model.ts';
import type { Status } from '../../src/protocol.ts';
import { noSignal } from '../support/bundles.ts';
import { unpackImages } from '../vm/bundle-images.ts';
import { run } from '../vm/programs.ts';
import { type Chassis, openChassis } from './chassis.ts';
import { type BoxDisk, createDisk, type DiskOptions, PARTS } from './disk.ts';
import { bootEntries, countTry, slotOf } from './firmware.ts';
import { Power } from './power.ts';
import { PRODUCT, type Release } from './release.ts';

export type Boot = { version: string; slot: SlotName; entry: string; end?: string };

const PATIENCE_MS = 60_000;
const POLL_MS = 50;
const MAX_BOOTS = 15;

export class Box implements AsyncDisposable {
  readonly disk: BoxDisk;
  readonly work: string;
  /** Every start, panics included. */
  readonly boots: Boot[] = [];
  /** What the scenario is at; told when it fails. */
  step = 'the beginning';
  private readonly chassis: Chassis;
  private power: Power | undefined;
  private life: Promise<unknown> = Promise.resolve();
  private failure: unknown;
  /** When the agent was last told to look. */
  private asked = '';

  private constructor(disk: BoxDisk, chassis: Chassis, work: string) {
    this.disk = disk;
    this.chassis = chassis;
    this.work = work;
  }

  /** A box with a release in slot a, switched off. */
  static async install(work: string, options: DiskOptions, release: Release): Promise<Box> {
    await using made = new AsyncDisposableStack();
    await mkdir(work, { recursive: true });
    for (const file of ['console', 'agent.log', 'boot_id', 'cmdline', 'machine-id'])
      await writeFile(join(work, file), '');
    const disk = made.use(await createDisk(join(work, 'disk.img'), options, uuidsOf(release.rootHash)));
    const chassis = made.use(await openChassis(disk, work));
    const box = new Box(disk, chassis, work);
    const images = await unpackImages(release.bundle, join(work, 'images'));
    await fill(disk.part(PARTS.a), images.root);
    await fill(disk.part(PARTS.a + 1), images.verity);
    await mkdir(box.esp('EFI/Linux'), { recursive: true });
    await copyFile(images.uki, box.esp(`EFI/Linux/${PRODUCT}_${release.version}.efi`));
    made.move();
    return box;
  }

  /** Which versions were started, in order. */
  get versions(): string[] {
    return this.boots.map(({ version }) => version);
  }

  /** The address of this machine, as the box reaches it. */
  get address(): string {
    return this.chassis.address;
  }

  /** A file on its ESP, whether it runs or not. */
  esp(path: string): string {
    return this.chassis.path(join(this.work, 'esp', path));
  }

  /** A file below /var, whether it runs or not. */
  var(path: string): string {
    return this.chassis.path(join(this.work, 'var', path));
  }

  /** Settings of this host; they count from its next start on, or from the next start of its agent. */
  async configure(name: string, toml: string): Promise<void> {
    await writeFile(join(this.work, `${name}.toml`), toml);
    if (this.power) await writeFile(this.power.path(`/run/tandem/config.d/${name}.toml`), toml);
  }

  /** From here on it starts whenever it restarts. */
  async powerOn(): Promise<void> {
    if (this.power) throw new Error('the power is on already');
    await this.start();
  }

  /** All its processes end at once. */
  async powerCut(): Promise<void> {
    const { power } = this;
    this.power = undefined;
    await power?.cut();
    await this.life.catch(() => {});
  }

  /** As the kernel does after an error of the file system, or an operator. */
  async remount(which: 'esp' | 'var', how: 'ro' | 'rw'): Promise<void> {
    const mount = ['mount', '-o', `remount,${how}`, join(this.work, which)];
    await run('nsenter', ['--target', String(this.chassis.pid), '--mount', ...mount]);
  }

  /** Whether something is mounted on /efi from its next start on. */
  async plugEsp(isThere: boolean): Promise<void> {
    const marker = join(this.work, 'no-esp');
    if (isThere) await rm(marker);
    else await writeFile(marker, '');
  }

  /** Runs a command in the running system; what it prints. */
  async run(command: string): Promise<string> {
    if (!this.power) throw new Error('the power is off');
    const [program, ...args] = this.power.inside;
    return run(program as string, [...args, 'sh', '-c', command]);
  }

  /** The same, whether it succeeds or not. */
  attempt(command: string): Promise<string> {
    return this.run(`{ ${command}; } 2>&1 || true`);
  }

  get agent(): AgentClient {
    const runtime = this.power?.path('/run/tandem') ?? join(this.work, 'off');
    return agentClient(resolveConfig([{ path: 'box', text: `agent.runtime_dir = "${runtime}"` }]), noSignal);
  }

  async status(): Promise<Status> {
    return this.agent.status();
  }

  /** Asks the agent to look at the repository, as soon as it can be asked. */
  async check(): Promise<void> {
    for (;;) {
      await this.until(
        'the agent can be asked to look',
        ({ state }) => state.kind === 'idle' || state.kind === 'staged',
      );
      this.asked = new Date().toISOString();
      try {
        return void (await this.agent.post('/v1/check'));
      } catch (error) {
        // It has begun something else meanwhile.
        if (!(error instanceof UpdateError && error.code === 'agent-busy')) throw error;
      }
    }
  }

  /** Waits for what the agent says of itself. */
  async until(what: string, isSo: (status: Status) => boolean, patienceMs = PATIENCE_MS): Promise<Status> {
    this.step = `waiting until ${what}`;
    for (const end = performance.now() + patienceMs; performance.now() < end; await sleep(POLL_MS)) {
      if (this.failure) throw this.failure;
      const status = await this.status().catch(() => undefined);
      if (status && isSo(status)) return status;
    }
    throw new Error(`in ${patienceMs / 1000} s it did not come about that ${what}`);
  }

  awaitState(kind: StateKind): Promise<Status> {
    return this.until(`the agent is ${kind}`, ({ state }) => state.kind === kind);
  }

  /** Waits until it rests in a version, proven, and has looked since it was last told to. */
  settled(slot: SlotName, version: string): Promise<Status> {
    return this.until(
      `it rests in ${version} in slot ${slot}`,
      ({ state, booted, running, confirmed, lastCheck }) =>
        state.kind === 'idle' &&
        (lastCheck?.at ?? '') >= this.asked &&
        booted === slot &&
        running?.version === version &&
        confirmed === true,
    );
  }

  /** The same, after it has been somewhere else. */
  async settledAgain(slot: SlotName, version: string): Promise<Status> {
    const before = this.boots.length;
    await this.until('it has restarted', () => this.boots.length > before);
    return this.settled(slot, version);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerCut();
    await this.chassis[Symbol.asyncDispose]();
    await this.disk[Symbol.asyncDispose]();
    await rm(this.work, { recursive: true, force: true });
  }

  private async start(): Promise<void> {
    const boot = await this.firmware();
    const power = await Power.on(this.chassis, this.disk, PARTS[boot.slot], this.work);
    this.power = power;
    this.life = power.ended.then(async (end) => {
      const isCut = this.power !== power;
      boot.end = isCut ? 'power cut' : end;
      if (isCut) return;
      this.power = undefined;
      if (end !== 'restarts') throw new Error('it has switched itself off');
      await this.start();
    });
    this.life.catch((error: unknown) => {
      this.failure = error;
    });
  }

  /** Chooses until something starts; a kernel that panics restarts the machine. */
  private async firmware(): Promise<Boot> {
    const folder = this.esp('EFI/Linux');
    while (this.boots.length < MAX_BOOTS) {
      const [entry] = await bootEntries(folder);
      if (!entry) throw new Error('no boot entry is left');
      const counted = await countTry(folder, entry);
      const slot = await slotOf(this.disk.path, entry.rootHash);
      const boot: Boot = { version: entry.version, slot: slot ?? 'a', entry: counted };
      this.boots.push(boot);
      boot.end = entry.panics
        ? 'panics'
        : slot === undefined
          ? 'finds no root'
          : await this.damage(slot, entry.rootHash);
      if (boot.end !== '') continue;
      await writeFile(join(this.work, 'boot_id'), `${randomUUID()}\n`);
      await writeFile(join(this.work, 'cmdline'), `${entry.commandLine}\n`);
      delete boot.end;
      return boot;
    }
    throw new Error(`it does not come to rest in ${MAX_BOOTS} starts`);
  }

  /** What dm-verity would find in the course of time. */
  private async damage(slot: SlotName, rootHash: string): Promise<string> {
    const [root, verity] = [PARTS[slot], PARTS[slot] + 1].map((part) => this.disk.part(part));
    return run('veritysetup', ['verify', root as string, verity as string, rootHash]).then(
      () => '',
      () => 'is damaged',
    );
  }
}

const uuidsOf = (rootHash: string): string[] =>
  [rootHash.slice(0, 32), rootHash.slice(32)].map((half) => half.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'));

const fill = async (device: string, image: string): Promise<void> =>
  writeFile(device, await readFile(image), { flag: 'r+', flush: true });
