/** `updatectl doctor`. */

import { resolve } from 'node:path';
import { CONFIG_DIRS, type Config, loadConfig, resolveSound } from '../../config/config.ts';
import { readFragments } from '../../config/fragments.ts';
import { UpdateError } from '../../errors.ts';
import { folderTree } from '../../system/disk/folder-tree.ts';
import type { Command, Context, Input } from '../command.ts';
import { runChecks } from './checks.ts';
import { report } from './report.ts';
import { openCompanions } from './tree/companions.ts';
import { examineTree } from './tree/examine.ts';
import { type OpenedImage, openImage } from './tree/image.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'check the setup of this host, or a file tree before it starts',
  description:
    'Read-only. Exits with status 8 if a check fails; a check that could not be run does not count as a failure. ' +
    'With --tree or --image, checks the root file system of an image before it starts, for any architecture, and runs nothing in it; ' +
    'the other options add what goes with it. docs/doctor.md explains every check.',
  examples: [
    'updatectl doctor',
    'updatectl doctor --json',
    'updatectl doctor --tree tree --kernel vmlinuz --initrd initrd.img --cmdline quiet --repository repository',
    'updatectl doctor --image demo.bundle',
  ],
  options: [
    { flags: '--tree <folder>', summary: 'the root file system of an image' },
    { flags: '--image <file>', summary: 'a root image, a bundle, or a disk image' },
    { flags: '--version <version>', summary: 'the version of the release' },
    { flags: '--kernel <file>', summary: 'its kernel' },
    { flags: '--initrd <file>', summary: 'its initrd; several are joined', repeat: true },
    { flags: '--cmdline <text>', summary: 'its command line' },
    { flags: '--uki <file>', summary: 'a kernel image with all three' },
    { flags: '--repository <dir>', summary: 'the repository that its hosts will use' },
  ],
  run: async (context, input) => {
    const [tree, image] = [input.text('tree'), input.text('image')];
    if (tree !== undefined && image !== undefined) throw new UpdateError('usage', 'Pass either --tree or --image.');
    if (tree !== undefined) {
      const folder = resolve(context.cwd(), tree);
      return await examine(context, input, { tree: await folderTree(folder), companions: {} }, { tree: folder });
    }
    if (image !== undefined) {
      const file = resolve(context.cwd(), image);
      await using opened = await openImage(file, context.signal);
      return await examine(context, input, opened, { image: file });
    }
    const given = COMPANIONS.find((option) => input.text(option) !== undefined || input.list(option).length > 0);
    if (given !== undefined) throw new UpdateError('usage', `--${given} needs --tree or --image.`);
    const { files } = context;
    // The first check reports a wrong configuration; the others use its valid part.
    return report(context, await runChecks(context, await loadConfig(files).catch(() => soundConfig(files))));
  },
};

const COMPANIONS = ['version', 'kernel', 'initrd', 'cmdline', 'uki', 'repository'] as const;

const soundConfig = async (files: Context['files']): Promise<Config> =>
  resolveSound(await readFragments(files, CONFIG_DIRS).catch(() => []));

/** What is given overrides what a bundle says. */
async function examine(context: Context, input: Input, image: OpenedImage, about: object): Promise<number> {
  const path = (option: string): string | undefined => {
    const given = input.text(option);
    return given === undefined ? undefined : resolve(context.cwd(), given);
  };
  const files = {
    version: input.text('version'),
    commandLine: input.text('cmdline'),
    kernel: path('kernel'),
    initrds: input.list('initrd').map((one) => resolve(context.cwd(), one)),
    uki: path('uki'),
    repository: path('repository'),
  };
  await using opened = await openCompanions(files, context.signal);
  const checks = await examineTree(context, image.tree, { ...image.companions, ...opened.companions });
  return report(context, checks, about);
}
