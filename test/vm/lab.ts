/** The set-up of a scenario: one machine, its repository behind a web server, and what to look at when it fails. */

import { rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Method } from '../../src/model.ts';
import { type Fixture, type Loader, prepareFixture, SNAPSHOT } from './fixture.ts';
import { Machine, type MachineOptions } from './machine.ts';
import { run } from './programs.ts';
import { PRODUCT } from './releases.ts';
import { CHANNEL, copyRepository, promote, servedBy } from './repository.ts';
import { serve, type Web } from './web.ts';

export type Lab = Readonly<{
  fixture: Fixture;
  machine: Machine;
  web: Web;
  /** The repository's folder (www and keys). */
  repository: string;
  /** Scratch space. */
  dir: string;
  offer(version: string): Promise<void>;
}>;

export type LabOptions = Readonly<{
  /** Starts from the power switch instead of from a running machine. */
  cold?: boolean;
  /** Records the disk's writes here; implies `cold` and a raw disk. */
  blockLog?: boolean;
  /** What starts the machine, if not systemd-boot; then `cold` is implied. */
  loader?: Loader;
  /** The way into an armed slot. */
  method?: Method;
  /** How often the boot loader may try a release, if not three times: each try is an emulated start. */
  tries?: number;
  /** The agent does not try again by itself soon after a failure. */
  patient?: boolean;
  /** More of the kernel's command line; implies `cold`. */
  kernelOptions?: string;
  /** How many processors the machine has; implies `cold`. */
  processors?: number;
  /** For measurements: a restart by the firmware has no fresh emulator in its favour. */
  keepsEmulator?: boolean;
}>;

/** Runs a story with a machine on version 1 that knows its repository; prints what there is to see when it fails. */
export async function inLab(name: string, options: LabOptions, story: (lab: Lab) => Promise<void>): Promise<void> {
  const fixture = await prepareFixture();
  const dir = await mkdtemp(join(tmpdir(), `tandem-vm-${name}-`));
  const repository = join(dir, 'repository');
  await copyRepository(fixture.repository, repository);
  const web = await serve(servedBy(repository));
  const machine = new Machine({
    name,
    tools: fixture.tools,
    accelerator: fixture.accelerator,
    config: configuration(web.port, options),
    keepsEmulator: options.keepsEmulator ?? false,
    ...(options.kernelOptions === undefined ? {} : { kernelOptions: options.kernelOptions }),
    ...(options.processors === undefined ? {} : { processors: options.processors }),
    ...(await machineDisk(fixture, dir, options)),
  });
  using _interrupted = whenInterrupted(machine, dir);
  try {
    await machine.start();
    if (machine.options.snapshot === undefined) await machine.awaitReady();
    else await adopt(machine);
    const offer = (version: string): Promise<void> => promote(repository, version, PRODUCT);
    await story({ fixture, machine, web, repository, dir, offer });
  } catch (error) {
    process.stderr.write(`--- web\n${web.requests.slice(-30).join('\n')}\n`);
    throw await machine.explain(error);
  } finally {
    await machine.dispose();
    await web.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** A run that is interrupted leaves neither its machine nor its folder behind. */
function whenInterrupted(machine: Machine, dir: string): Disposable {
  const stop = (): never => process.exit(130);
  const end = (): void => {
    machine.kill();
    rmSync(dir, { recursive: true, force: true });
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, stop);
  process.once('exit', end);
  return {
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, stop);
      process.off('exit', end);
    },
  };
}

/** A machine out of the snapshot knows nothing yet of this scenario's repository. */
async function adopt(machine: Machine): Promise<void> {
  await machine.run(
    `cat >/run/tandem/config.d/20-machine.toml <<'END'\n${machine.options.config}END\nsystemctl restart tandem-agent.service`,
  );
}

async function machineDisk(
  fixture: Fixture,
  dir: string,
  { cold, blockLog, loader, kernelOptions, processors }: LabOptions,
): Promise<Pick<MachineOptions, 'dir' | 'disk' | 'variables' | 'blockLog' | 'snapshot'>> {
  const home = join(dir, 'machine');
  const image = join(fixture.tools, 'bin/qemu-img');
  await mkdir(home);
  const variables = join(home, 'vars.qcow2');
  const installed = fixture.disks[loader ?? 'systemd-boot'];
  if (blockLog) {
    const raw = { path: join(home, 'disk.raw'), format: 'raw' } as const;
    await run('cp', ['--sparse=always', installed, raw.path]);
    await cp(join(fixture.tools, 'ovmf/vars.qcow2'), variables);
    await run('touch', [join(home, 'block.log')]);
    return { dir: home, disk: raw, variables, blockLog: join(home, 'block.log') };
  }
  const disk = { path: join(home, 'disk.qcow2'), format: 'qcow2' } as const;
  if (cold || loader || kernelOptions !== undefined || processors !== undefined) {
    await run(image, ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', installed, disk.path]);
    await cp(join(fixture.tools, 'ovmf/vars.qcow2'), variables);
    return { dir: home, disk, variables };
  }
  await cp(join(fixture.running, 'disk.qcow2'), disk.path);
  await run(image, ['rebase', '-q', '-u', '-F', 'raw', '-b', installed, disk.path]);
  await cp(join(fixture.running, 'vars.qcow2'), variables);
  return { dir: home, disk, variables, snapshot: SNAPSHOT };
}

/** Where the repository is, as the guest sees it. The first check comes with the start, later ones only when asked for. */
const configuration = (
  port: number,
  { patient = false, loader = 'systemd-boot', tries = 3, method = 'firmware' }: LabOptions,
): string => `[repository]
url = "http://10.0.2.2:${port}/"
channel = "${CHANNEL}"
[poll]
schedule = "0 0 1 1 *"
jitter_minutes = 0
backoff_minutes = ${patient ? 600 : 1}
backoff_limit_minutes = ${patient ? 600 : 1}
[boot]
backend = "${loader}"
tries = ${tries}
[reboot]
method = "${method}"
`;
