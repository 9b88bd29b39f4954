/** Everything the scenarios start from, made once and kept by content: tools, disk, releases, a repository, a running machine. */

import { createHash } from 'node:crypto';
import { cp, glob, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type Accelerator, findAccelerator } from './accelerator.ts';
import { unpackImage } from './bundle-images.ts';
import { Machine } from './machine.ts';
import { PROJECT, run, updatectl } from './programs.ts';
import { type Built, buildRelease, type Ingredients, RELEASES } from './releases.ts';
import { addBundle, createRepository } from './repository.ts';

export type Fixture = Readonly<{
  tools: string;
  accelerator: Accelerator;
  /** Raw images of a machine installed with version 1, by the boot loader that starts it. */
  disks: Readonly<Record<Loader, string>>;
  /** A repository that holds every release and offers none. */
  repository: string;
  /** Folder with disk.qcow2 and vars.qcow2 of that machine, running, in the snapshot `booted`. */
  running: string;
  /** What is in the bundles, by version. */
  built: ReadonlyMap<string, Built>;
  ukiSha256: ReadonlyMap<string, string>;
}>;

/** The boot loaders of the reference machine. */
export type Loader = 'systemd-boot' | 'grub';

export const SNAPSHOT = 'booted';
const SCRIPTS = join(PROJECT, 'packaging/image');
/** Fixtures of other commits that are kept. */
const KEPT = 3;
const A_DAY_MS = 86_400_000;

/** Finds or makes it; says on standard error what it is doing when that takes long. */
export async function prepareFixture(): Promise<Fixture> {
  const script = (name: string, ...args: string[]): Promise<string> => run(join(SCRIPTS, name), args);
  const [tools, base, dracut] = [await script('tools'), await script('base'), await script('dracut')];
  const accelerator = await findAccelerator(join(tools, 'bin/qemu-system-x86_64'), join(base, 'vmlinuz'));
  const dir = join(cacheDir(), `fixture-${await contentKey([tools, base, dracut, accelerator])}`);
  if (!(await exists(dir))) {
    const work = await mkdtemp(join(cacheDir(), '.fixture-'));
    try {
      const node = await script('node', process.execPath);
      await makeFixture({ scripts: SCRIPTS, tools, base, dracut, node: join(node, 'node'), work }, accelerator);
      await rename(work, dir).catch((error: NodeJS.ErrnoException) => {
        // Somebody else has made the same one meanwhile.
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    await removeOld(dirname(dir));
  }
  const now = new Date();
  await utimes(dir, now, now);
  return readFixture(dir, tools, accelerator);
}

async function readFixture(dir: string, tools: string, accelerator: Accelerator): Promise<Fixture> {
  const facts = JSON.parse(await readFile(join(dir, 'facts.json'), 'utf8')) as {
    built: Built[];
    ukiSha256: [string, string][];
  };
  return {
    tools,
    accelerator,
    disks: disksIn(dir),
    repository: join(dir, 'repository'),
    running: join(dir, 'running'),
    built: new Map(facts.built.map((each) => [each.version, each])),
    ukiSha256: new Map(facts.ukiSha256),
  };
}

type Given = Omit<Ingredients, 'agent' | 'trustRoot'>;

async function makeFixture(given: Given, accelerator: Accelerator): Promise<void> {
  const { work, tools } = given;
  progress('building the agent');
  await run(process.execPath, ['packaging/build.ts']);
  progress('making keys and a repository');
  const trustRoot = await createRepository(join(work, 'repository'));
  const ingredients = { ...given, agent: join(PROJECT, 'dist'), trustRoot };
  const built: Built[] = [];
  const ukiSha256: [string, string][] = [];
  // Building takes one processor, and so does adding: the next ones are built in the meantime.
  const releases = Readable.from(RELEASES).map(
    ({ version, kind }) => {
      progress(`building release ${version} (${kind})`);
      return buildRelease(ingredients, version, kind);
    },
    { concurrency: 2 },
  );
  for await (const release of releases as AsyncIterable<Built>) {
    const { version } = release;
    await addBundle(join(work, 'repository'), release.bundle);
    await unpackImage(release.bundle, 'uki', join(work, 'uki'));
    ukiSha256.push([version, await sha256Of(join(work, 'uki'))]);
    if (version === '1') await makeDisks({ ...given, trustRoot }, release.bundle);
    await rm(release.bundle);
    built.push(release);
  }
  await rm(join(work, 'uki'));
  await writeFile(join(work, 'facts.json'), JSON.stringify({ built, ukiSha256 }));
  progress('starting the machine once');
  await freeze(work, tools, accelerator);
}

/** The disks of new machines. That for GRUB has its trust root on /var, whatever the image has. */
async function makeDisks({ work, tools, trustRoot }: Given & { trustRoot: string }, bundle: string): Promise<void> {
  progress('making the disks');
  const sizes = ['--esp-size', '96M', '--root-size', '320M', '--verity-size', '4M', '--var-size', '128M'];
  const make = (loader: Loader, program: string, ...more: string[]): Promise<string> => {
    const args = ['-o', disksIn(work)[loader], '--layout', loader, '--loader-file', program, ...sizes, ...more];
    return updatectl(['image', 'build', bundle, ...args]);
  };
  await make('systemd-boot', join(tools, 'efi/systemd-bootx64.efi'));
  const grub = join(await run(join(SCRIPTS, 'grub'), []), 'grubx64.efi');
  await make('grub', grub, '--trust-root', trustRoot);
}

const disksIn = (dir: string): Fixture['disks'] => ({
  'systemd-boot': join(dir, 'disk.raw'),
  grub: join(dir, 'disk-grub.raw'),
});

/** Boots version 1 and keeps the running machine, from which each scenario starts within a second. */
async function freeze(work: string, tools: string, accelerator: Accelerator): Promise<void> {
  const dir = join(work, 'running');
  await mkdir(dir);
  const disk = join(dir, 'disk.qcow2');
  await run(join(tools, 'bin/qemu-img'), [
    'create',
    '-q',
    '-f',
    'qcow2',
    '-F',
    'raw',
    '-b',
    disksIn(work)['systemd-boot'],
    disk,
  ]);
  await cp(join(tools, 'ovmf/vars.qcow2'), join(dir, 'vars.qcow2'));
  const machine = new Machine({
    name: 'base',
    dir: join(work, 'machine'),
    tools,
    accelerator,
    disk: { path: disk, format: 'qcow2' },
    variables: join(dir, 'vars.qcow2'),
    config: '',
  });
  try {
    await machine.start();
    await machine.awaitReady();
    await machine.run('systemctl is-active tandem-agent.service; sync');
    await machine.saveSnapshot(SNAPSHOT);
  } catch (error) {
    throw await machine.explain(error);
  } finally {
    await machine.dispose();
  }
}

/** The same place as packaging/image/common.sh. */
function cacheDir(): string {
  const { TANDEM_CACHE: given, XDG_CACHE_HOME: user } = process.env;
  return given ?? (process.getuid?.() === 0 ? '/var/cache/tandem' : join(user ?? join(homedir(), '.cache'), 'tandem'));
}

/** Everything that ends up in the images or decides how they are made. */
async function contentKey(parts: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(parts.join('\n'));
  const program = ['package-lock.json', 'src/**/*', 'systemd/*', 'packaging/*'];
  const makers = ['machine', 'accelerator', 'releases', 'repository', 'fixture'].map((name) => `test/vm/${name}.ts`);
  const files: string[] = [];
  for await (const file of glob([...program, 'packaging/image/**/*', 'packaging/boot/*', ...makers], { cwd: PROJECT }))
    files.push(file);
  for (const file of files.sort()) {
    const path = join(PROJECT, file);
    if (!(await stat(path)).isFile()) continue;
    hash.update(`${file}\n`).update(await readFile(path));
  }
  return hash.digest('hex').slice(0, 16);
}

async function removeOld(cache: string): Promise<void> {
  const names = (await readdir(cache)).filter((name) => /^\.?fixture-/.test(name));
  const dated = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(cache, name))).mtimeMs })));
  const whole = dated.filter(({ name }) => !name.startsWith('.')).sort((one, two) => two.at - one.at);
  // What a run that was killed has left behind.
  const broken = dated.filter(({ name, at }) => name.startsWith('.') && at < Date.now() - A_DAY_MS);
  for (const { name } of [...whole.slice(KEPT), ...broken])
    await rm(join(cache, name), { recursive: true, force: true });
}

const sha256Of = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

function progress(what: string): void {
  process.stderr.write(`  ${what} ...\n`);
}
