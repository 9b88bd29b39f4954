/** One start of a box: the processes from its kernel on, until it restarts, is switched off or is cut. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROJECT } from '../vm/programs.ts';
import { type Chassis, MORTAL } from './chassis.ts';
import type { BoxDisk } from './disk.ts';

export type End = 'restarts' | 'is off';

export class Power {
  /** How it ended. */
  readonly ended: Promise<End>;
  private readonly child: ChildProcess;
  private init: number | undefined;

  private constructor(child: ChildProcess) {
    this.child = child;
    this.ended = once(child, 'exit').then(([, signal]) => (signal === 'SIGHUP' ? 'restarts' : 'is off'));
  }

  /** Starts the slot in a partition. `work` holds what the kernel and the firmware tell it. */
  static async on(chassis: Chassis, disk: BoxDisk, partition: number, work: string): Promise<Power> {
    const enter = ['nsenter', '--target', String(chassis.pid), '--mount', '--net', '--wd=/'];
    const script = [join(import.meta.dirname, 'machine'), disk.path, disk.part(partition), work, chassis.group];
    const [program, ...args] = [...MORTAL, ...enter, ...script, process.execPath, PROJECT];
    const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const power = new Power(child);
    let said = '';
    child.stderr?.on('data', (bytes) => {
      said = `${said}${bytes}`.slice(-2000);
    });
    power.init = await power.firstProcess();
    if (power.init === undefined) throw new Error(`the box does not start: ${said}`);
    return power;
  }

  /** A path in the running system, as this process opens it. */
  path(inside: string): string {
    return `/proc/${this.init}/root${inside}`;
  }

  /** What comes before a command line to have it run in the running system. */
  get inside(): readonly string[] {
    const spaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd'];
    return ['nsenter', '--target', String(this.init), ...spaces, 'env', '-i', 'PATH=/usr/sbin:/usr/bin'];
  }

  async cut(): Promise<void> {
    if (!this.isThere) return;
    if (this.init === undefined) this.child.kill('SIGKILL');
    else process.kill(this.init, 'SIGKILL');
    await this.ended;
  }

  private get isThere(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** systemd, once it is there. */
  private async firstProcess(): Promise<number | undefined> {
    const children = `/proc/${this.child.pid}/task/${this.child.pid}/children`;
    while (this.isThere) {
      const [child] = (await readFile(children, 'utf8').catch(() => '')).split(' ');
      const name = child ? await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '') : '';
      if (name.trim() === 'systemd') return Number(child);
      await sleep(5);
    }
    return undefined;
  }
}
