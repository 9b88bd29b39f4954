/** `make demo-image`: the story of `make demo` on a disk image; firmware and kernel are played, everything else is real. Needs no root. */

import { createCipheriv } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTreeBuilder, saltFor } from '../../src/bundle/verity.ts';
import { otherSlot, type Product, type SlotName } from '../../src/model.ts';
import type { Status } from '../../src/protocol.ts';
import { peFile } from '../support/pe.ts';
import { partitionsOf } from './disk-image.ts';
import { pretendMachine, type Told } from './pretend-machine.ts';
import { run, updatectl } from './programs.ts';
import { addBundle, createRepository, promote, servedBy } from './repository.ts';
import { createStory } from './story.ts';
import { serve } from './web.ts';

const PRODUCT = 'tandem-demo' as Product;
const BROKEN = '3';
const ROOT_MIB = 48;
const CONTENT = 32 * 1024 * 1024;
const story = createStory();

const dir = await mkdtemp(join(tmpdir(), 'tandem-demo-'));
try {
  await tell();
} finally {
  await rm(dir, { recursive: true, force: true });
}
// The agent's schedule would go on.
process.exit();

async function tell(): Promise<void> {
  story.scene('A publisher, a web server, a machine');
  const repository = join(dir, 'repository');
  await copyFile(await createRepository(repository), join(dir, 'root.json'));
  for (const version of ['1', '2', BROKEN]) await addBundle(repository, await makeBundle(version));
  await makeDisk(join(dir, '1.bundle'));
  const web = await serve(servedBy(repository));
  story.happened(`Three releases of ${CONTENT / 1024 / 1024} MiB are built, signed and served.`);
  const url = `http://127.0.0.1:${web.port}/`;
  const machine = pretendMachine({ dir, product: PRODUCT, url, broken: [BROKEN], told });
  await promote(repository, '1', PRODUCT);
  expect(await machine.live(), 'a', '1');

  story.scene('Version 2 is published');
  await promote(repository, '2', PRODUCT);
  expect(await machine.live(), 'b', '2');
  story.happened('Version 2 is confirmed. root-a keeps version 1.');

  story.scene(`Version ${BROKEN} is published, and it is broken`);
  await promote(repository, BROKEN, PRODUCT);
  const status = await machine.live();
  expect(status, 'b', '2');
  const [refusal] = status.refused;
  if (refusal?.version !== BROKEN) throw new Error(`version ${BROKEN} was not refused`);
  story.happened(`Version ${refusal.version} is refused and not tried again: ${refusal.reason}.`);
  console.log(
    '\nFirmware and kernel were played here. `make demo` shows the same in a virtual machine with a real Debian.',
  );
  await web.close();
}

function told(event: Told): void {
  const { what, version } = event;
  if (what === 'started')
    story.happened(`The boot loader starts ${event.entry}: version ${version} from root-${event.slot}.`);
  if (what === 'panicked')
    story.happened(`The boot loader starts ${event.entry}: the kernel panics. One try is used up.`);
  if (what === 'stage')
    story.happened(
      `The signatures are right. Version ${version} is written to the free partition and checked block by block.`,
    );
  if (what === 'arm')
    story.happened('Everything was read back from the disk. Now a boot entry with three tries is made.');
  if (what === 'probe') story.happened(`Version ${version} is on trial: is it healthy?`);
  if (what === 'reboot') story.happened('The machine reboots.');
}

function expect(status: Status, slot: SlotName, version: string): void {
  if (status.booted === slot && status.running?.version === version && status.confirmed) return;
  throw new Error(`expected version ${version} in slot ${slot} (not ${otherSlot(slot)}): ${JSON.stringify(status)}`);
}

/** A root with something in it, and a kernel image that names it; nobody runs it. */
async function makeBundle(version: string): Promise<string> {
  const tree = join(dir, `tree-${version}`);
  await mkdir(tree);
  await writeFile(join(tree, 'content'), someBytes(version));
  const image = join(dir, `${version}.erofs`);
  await run('mkfs.erofs', ['--quiet', '-T0', '-E', 'noinline_data', image, tree]);
  const bytes = await paddedImage(image);
  const builder = createTreeBuilder(saltFor(PRODUCT), bytes.length / 4096);
  builder.addBlocks(bytes);
  const uki = peFile([
    ['.osrel', `ID=${PRODUCT}\nIMAGE_VERSION=${version}\nVERSION_ID=${version}\n`],
    ['.cmdline', `quiet roothash=${builder.finish()}`],
    ['.linux', new Uint8Array(1024 * 1024).fill(7)],
  ]);
  await writeFile(join(dir, `${version}.efi`), uki);
  const bundle = join(dir, `${version}.bundle`);
  const inputs = ['--root', image, '--uki', join(dir, `${version}.efi`), '--output', bundle, '--level', '1'];
  await updatectl(['bundle', 'build', '--product', PRODUCT, '--version', version, '--counter', version, ...inputs]);
  return bundle;
}

async function paddedImage(image: string): Promise<Uint8Array> {
  const size = Math.ceil((await readFile(image)).length / 4096) * 4096;
  await truncate(image, size);
  return readFile(image);
}

/** Different in each version, and not to be compressed away. */
function someBytes(version: string): Uint8Array {
  const cipher = createCipheriv('aes-128-ctr', version.padEnd(16), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(CONTENT));
}

/** The disk of a machine on which version 1 was installed; its ESP is a folder, since nothing is mounted. */
async function makeDisk(bundle: string): Promise<void> {
  const [disk, loader] = [join(dir, 'disk.raw'), join(dir, 'loader.efi')];
  await writeFile(loader, peFile([['.text', 'nobody runs this']]));
  const sizes = ['--root-size', `${ROOT_MIB}M`, '--esp-size', '34M', '--var', 'none'];
  await updatectl(['image', 'build', bundle, '-o', disk, '--loader-file', loader, ...sizes]);
  await mkdir(join(dir, 'esp'));
  const { offset } = (await partitionsOf(disk)).find(({ name }) => name === 'esp') ?? { offset: 0 };
  await run('mcopy', ['-s', '-i', `${disk}@@${offset}`, '::/EFI', '::/loader', join(dir, 'esp')]);
}
