/** One virtual machine with a real A/B disk: starts it, cuts its power, follows its reboots, types into its root shell. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SlotName } from '../../src/model.ts';
import { type Accelerator, acceleratorArguments } from './accelerator.ts';
import { createSerialLog } from './serial-log.ts';
import { type Monitor, openMonitor, openShell, type Shell } from './sockets.ts';

export type MachineOptions = Readonly<{
  name: string;
  /** Its own folder: disk, firmware variables, sockets, logs. */
  dir: string;
  /** The unpacked tools (packaging/image/tools). */
  tools: string;
  accelerator: Accelerator;
  disk: Readonly<{ path: string; format: 'qcow2' | 'raw' }>;
  /** Firmware variables, qcow2. */
  variables: string;
  /** The agent's configuration drop-in, handed to the guest. */
  config: string;
  /** More of the kernel's command line, which systemd's stub takes from the firmware. */
  kernelOptions?: string;
  /** Records every write and flush of the disk (dm-log-writes format). */
  blockLog?: string;
  /** A reset of the guest keeps the emulator that it has run in so far, as it does every other restart; slower. */
  keepsEmulator?: boolean;
  /** How many processors it has; 1 unless told. */
  processors?: number;
  /** Continues from this snapshot in `disk` and `variables` instead of booting. */
  snapshot?: string;
}>;

/** What the guest itself says has come up: found from its devices and os-release, not asked of Tandem. */
export type Ready = Readonly<{ slot: SlotName; version: string; bootId: string; uptimeS: number }>;

const READY = /@@READY slot=([ab]) version=(\S+) boot=(\S+) up=(\S+)$/;
const BOOT_MS = 240_000;
/** A start that shows nothing for so long is one of the rare hangs under emulation; it is begun again, once. */
const SILENT_MS = 60_000;
/** Beside another machine an emulated processor takes its time. */
const COMMAND_MS = 5 * 60_000;
const MAX_BOOTS = 40;

class Explained extends Error {}

export class Machine {
  readonly options: MachineOptions;
  readonly log = createSerialLog();
  /** How often the firmware has been started. */
  boots = 0;

  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #shell: Promise<Shell> | undefined;
  #monitor: Promise<Monitor> | undefined;
  #wanted = false;
  #silences = 0;
  #seen = 0;

  constructor(options: MachineOptions) {
    this.options = options;
  }

  /** Switches the machine on; from then on a reboot of the guest starts it again by itself. */
  async start(): Promise<void> {
    await mkdir(this.options.dir, { recursive: true });
    await writeFile(this.#path('config.toml'), this.options.config);
    this.#wanted = true;
    this.#launch(this.options.snapshot);
  }

  /** The power fails: nothing in the guest gets another instruction. */
  async powerCut(): Promise<void> {
    this.kill();
    await this.#ended;
    this.log.cut('power cut');
  }

  /** The same, where nobody can wait for it. */
  kill(): void {
    this.#wanted = false;
    this.#process?.kill('SIGKILL');
  }

  /** Power again after a cut. */
  powerOn(): void {
    this.#wanted = true;
    this.#launch(undefined);
  }

  /** The next system that announces itself, in the order they came up. */
  async awaitReady(timeoutMs = BOOT_MS): Promise<Ready> {
    return this.#next((text) => {
      const [, slot, version = '', bootId = '', uptime] = READY.exec(text) ?? [];
      return slot === 'a' || slot === 'b' ? { slot, version, bootId, uptimeS: Number(uptime) } : undefined;
    }, timeoutMs);
  }

  /** The next serial line that matches. */
  async awaitLine(pattern: RegExp, timeoutMs = BOOT_MS): Promise<string> {
    return this.#next((text) => (pattern.test(text) ? text : undefined), timeoutMs);
  }

  /** Lets go of what was written so far: the waiting functions look only at what comes from now on. */
  forgetOutput(): void {
    this.#seen = this.log.lines.length;
  }

  /** Asks the guest for an orderly reboot and waits for what comes up. */
  async reboot(): Promise<Ready> {
    this.forgetOutput();
    await this.type('systemctl reboot');
    return this.awaitReady();
  }

  /** Runs shell commands in the guest as root; throws when they fail. */
  async run(command: string, timeoutMs = COMMAND_MS): Promise<string> {
    const result = await this.attempt(command, timeoutMs);
    if (result.status === 0) return result.output;
    throw new Error(`${this.options.name}: status ${result.status} of: ${command}\n${result.output}`);
  }

  /** The same, whatever the exit status. */
  async attempt(command: string, timeoutMs = COMMAND_MS): Promise<{ status: number; output: string }> {
    return (await this.#openShell()).run(command, timeoutMs);
  }

  /** Types into the root shell and does not wait. */
  async type(command: string): Promise<void> {
    (await this.#openShell()).type(command);
  }

  /** Lets somebody else have the shell's socket. */
  async releaseShell(): Promise<void> {
    (await this.#shell)?.close();
    this.#shell = undefined;
  }

  /** Freezes the running guest into a snapshot in its disk and firmware variables, and ends. */
  async saveSnapshot(name: string): Promise<void> {
    this.#wanted = false;
    this.#monitor ??= openMonitor(this.#path('monitor'));
    const monitor = await this.#monitor;
    await monitor.execute('stop');
    const said = await monitor.execute('human-monitor-command', { 'command-line': `savevm ${name}` });
    if (said !== '') throw new Error(`savevm: ${String(said)}`);
    await monitor.execute('quit').catch(() => undefined);
    await this.#ended;
  }

  /** Ends the machine and removes its folder. */
  async dispose(): Promise<void> {
    await this.powerCut();
    await rm(this.options.dir, { recursive: true, force: true });
  }

  /** The failure with what one wants to read first: how the agent is, and what the guest said last. All there is to see goes to the record. */
  async explain(failure: unknown): Promise<Error> {
    if (failure instanceof Explained) return failure;
    process.stderr.write(`${await this.diagnose()}\n`);
    const agent = await this.#asked(
      'updatectl status 2>&1 | head -n 12; systemctl --failed --no-legend --plain; journalctl --no-pager -b -n 12 -o cat -u tandem-agent.service',
    );
    const message = failure instanceof Error ? failure.message : String(failure);
    const shown = `--- ${this.options.name}: the agent\n${agent}\n--- its last lines\n${this.log.tail(8)}`;
    return new Explained(`${message}\n${shown}`, { cause: failure });
  }

  /** What there is to see of it. */
  async diagnose(): Promise<string> {
    const journal = await this.#asked('updatectl status 2>&1; journalctl --no-pager -b -n 60 -o short-monotonic');
    const qemu = await readFile(this.#path('qemu.log'), 'utf8').catch(() => '');
    return `--- ${this.options.name}: serial\n${this.log.tail(40)}\n--- guest\n${journal}\n--- qemu\n${qemu.slice(-2000)}`;
  }

  async #asked(command: string): Promise<string> {
    const { output } = await this.attempt(command, 20_000).catch(() => ({ output: '(the guest gives no answer)' }));
    return output;
  }

  async #next<T>(match: (text: string) => T | undefined, timeoutMs: number): Promise<T> {
    try {
      const found = await this.log.next(
        (text, index) => {
          const one = match(text);
          if (one !== undefined) this.#seen = index + 1;
          return one;
        },
        this.#seen,
        timeoutMs,
      );
      return found;
    } catch (error) {
      throw new Error(`${this.options.name}: ${String(error)}\n${this.log.tail(25)}`);
    }
  }

  #openShell(): Promise<Shell> {
    this.#shell ??= openShell(this.#path('shell'));
    return this.#shell;
  }

  #launch(snapshot: string | undefined): void {
    const { tools } = this.options;
    this.boots += snapshot === undefined ? 1 : 0;
    if (this.boots > MAX_BOOTS) {
      this.log.end(`${MAX_BOOTS} starts were not enough`);
      return;
    }
    const child = spawn(join(tools, 'bin/qemu-system-x86_64'), this.#arguments(snapshot), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once('close', () => resolve()));
    let said = false;
    child.stdout.on('data', (bytes: Buffer) => {
      said = true;
      this.log.feed(bytes);
    });
    child.stderr.on('data', (bytes: Buffer) => void writeFile(this.#path('qemu.log'), bytes, { flag: 'a' }));
    const silence = setTimeout(() => {
      if (!said && snapshot === undefined && this.#silences++ < 1) child.kill('SIGKILL');
    }, SILENT_MS);
    child.once('close', (code, signal) => {
      clearTimeout(silence);
      this.#closeSockets();
      if (!this.#wanted) return;
      if (code) return this.log.end(`QEMU ended with status ${code}`);
      this.log.cut(`the machine starts again (${signal ?? 'reset'})`);
      this.#launch(undefined);
    });
  }

  #closeSockets(): void {
    void this.#shell?.then(
      (shell) => shell.close(),
      () => undefined,
    );
    void this.#monitor?.then(
      (monitor) => monitor.close(),
      () => undefined,
    );
    this.#shell = undefined;
    this.#monitor = undefined;
  }

  #arguments(snapshot: string | undefined): string[] {
    const { tools, accelerator, variables, name, keepsEmulator, kernelOptions, processors = 1 } = this.options;
    return [
      ...['-name', name, '-M', 'q35', '-smp', String(processors), '-m', '512', ...acceleratorArguments(accelerator)],
      // Under emulation a fresh QEMU boots faster than one that has run before: a guest's reset ends the process.
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio'],
      ...(keepsEmulator ? [] : ['-no-reboot']),
      ...['-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${join(tools, 'ovmf/OVMF_CODE_4M.fd')}`],
      ...['-drive', `if=pflash,format=qcow2,unit=1,file=${variables}`],
      ...this.#disk(),
      ...['-device', 'virtio-blk-pci,drive=disk,bootindex=1', '-device', 'virtio-rng-pci'],
      ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
      ...['-device', 'virtio-serial-pci,max_ports=1', '-device', 'virtconsole,chardev=shell'],
      ...['-chardev', `socket,id=shell,path=${this.#path('shell')},server=on,wait=off`],
      ...['-qmp', `unix:${this.#path('monitor')},server=on,wait=off`],
      ...['-fw_cfg', `name=opt/tandem/config,file=${this.#path('config.toml')}`],
      ...(kernelOptions === undefined
        ? []
        : ['-smbios', `type=11,value=io.systemd.stub.kernel-cmdline-extra=${kernelOptions}`]),
      ...(snapshot === undefined ? [] : ['-loadvm', snapshot]),
    ];
  }

  #disk(): string[] {
    const { disk, blockLog } = this.options;
    if (blockLog === undefined)
      return ['-drive', `file=${disk.path},if=none,id=disk,format=${disk.format},cache=writeback,discard=unmap`];
    // The log's own header is brought up to date with every write: a power cut must not shorten it.
    const log = `log-super-update-interval=1,${this.boots > 1 ? 'log-append=on' : 'log-sector-size=512'}`;
    return [
      ...['-blockdev', `driver=file,node-name=plain,filename=${disk.path}`],
      ...['-blockdev', `driver=file,node-name=log,filename=${blockLog}`],
      ...['-blockdev', `driver=blklogwrites,node-name=disk,file=plain,log=log,${log}`],
    ];
  }

  #path(name: string): string {
    return join(this.options.dir, name);
  }
}
