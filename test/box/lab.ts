/** The set-up of a scenario: a box that runs version 1, a publisher, a web server, and one screen that says why it failed. */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT } from '../vm/programs.ts';
import { serve, type Web } from '../vm/web.ts';
import { Box } from './box.ts';
import type { DiskOptions } from './disk.ts';
import { forward } from './forward.ts';
import { CHANNEL, Publisher } from './publisher.ts';
import { PRODUCT, type Release, type ReleaseOptions } from './release.ts';
import { explain } from './report.ts';

export type Lab = Readonly<{
  box: Box;
  publisher: Publisher;
  installed: Release;
  web: Web;
  /** Builds and publishes a release; nobody is offered it yet. */
  release(options: ReleaseOptions): Promise<Release>;
  /** Offers a version to the box, and has it look. */
  offer(version: string): Promise<void>;
}>;

export type LabOptions = Partial<DiskOptions> &
  Readonly<{
    /** The release that is installed; version 1 unless it says another. */
    installed?: Partial<ReleaseOptions>;
    /** More configuration, as TOML tables. */
    config?: string | ((address: string) => string);
    /** The power is left off. */
    off?: boolean;
    /** Its machine ID, 32 hex digits; `own` leaves it to the host, which has none in its image. */
    machineId?: string;
    /** What a hypervisor or a cloud hands to its service manager, by name. */
    credentials?: Readonly<Record<string, string>>;
    /** Whom it follows, if not a publisher of its own. */
    publisher?: Publisher;
    /** It follows the same publisher as the host of this lab, and begins with the same release. */
    companionOf?: Lab;
    /** Ports of this machine's loopback device that it reaches at its `address`. */
    ports?: readonly number[];
  }>;

/** The drop-in that says where the repository is; one in the image counts less. */
export const ADDRESS = '10-address';
export const addressOf = ({ port }: Web, { address }: Box): string =>
  `[repository]\nurl = "http://${address}:${port}/"\n`;

/** Where images have their health programs. */
export const HEALTH = 'usr/lib/tandem/health.d';

const DISK: DiskOptions = { sectorSize: 512, espMib: 16, rootMib: 16, verityMib: 1, varMib: 32, extra: [] };

const MACHINE_ID = '0123456789abcdef0123456789abcdef';

export async function inLab(options: LabOptions, story: (lab: Lab) => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('boxes need root: for loop devices, mounts and namespaces');
  await removeLeftOvers();
  await mkdir(CACHE, { recursive: true });
  await using ground = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), `${FOLDER}${process.pid}-`));
  ground.defer(() => rm(dir, { recursive: true, force: true }));
  const publisher =
    options.companionOf?.publisher ?? options.publisher ?? (await Publisher.create(join(dir, 'publisher')));
  const release = (wanted: ReleaseOptions): Promise<Release> => publisher.release(wanted);
  const installed = options.companionOf?.installed ?? (await release({ version: '1', ...options.installed }));
  const box = await Box.install(join(dir, 'box'), { ...DISK, ...options }, installed);
  ground.use(box);
  for (const port of options.ports ?? []) ground.use(await forward(box.address, port));
  const web = await serve(publisher.served, box.address);
  ground.defer(() => web.close());
  const lab = { box, publisher, installed, web, release, offer: offerTo(box, publisher) };
  try {
    await publisher.promote(installed.version);
    await box.configure(ADDRESS, addressOf(web, box));
    await box.configure('20-lab', CONFIGURATION);
    const { config = '', machineId = MACHINE_ID } = options;
    await box.configure('30-scenario', typeof config === 'string' ? config : config(box.address));
    if (options.credentials) await hand(box, options.credentials);
    if (machineId !== 'own') await writeFile(join(box.work, 'machine-id'), `${machineId}\n`);
    if (!options.off) {
      await box.powerOn();
      await box.settled('a', installed.version);
    }
    await story(lab);
  } catch (error) {
    throw await explain(error, box, web);
  }
}

async function hand(box: Box, credentials: Readonly<Record<string, string>>): Promise<void> {
  const folder = join(box.work, 'credentials');
  await mkdir(folder);
  for (const [name, text] of Object.entries(credentials)) await writeFile(join(folder, name), text);
}

const offerTo = (box: Box, publisher: Publisher) => async (version: string) => {
  await publisher.promote(version);
  await box.check();
};

/** The first look comes with the start, later ones when asked for. */
const CONFIGURATION = `[host]
product = "${PRODUCT}"
[repository]
channel = "${CHANNEL}"
[poll]
schedule = "0 0 1 1 *"
jitter_minutes = 0
[health]
retry_seconds = 1
[reboot]
session_grace_minutes = 0
`;

/** Bound into every box with the project. */
const CACHE = join(PROJECT, 'node_modules/.cache/box');
const FOLDER = 'tandem-box-';

/** Folders of runs that were killed; all else of theirs has ended with them. */
async function removeLeftOvers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, pid] = new RegExp(`^${FOLDER}(\\d+)-`).exec(name) ?? [];
    if (pid === undefined) continue;
    const isThere = await readFile(`/proc/${pid}/stat`).catch(() => undefined);
    if (!isThere) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}
