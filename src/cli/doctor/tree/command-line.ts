/** Whether the kernel's command line starts the system that is meant. */

import { commandLineValues, commandLineWords } from '../../../formats/pe.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { TreeWorld } from './world.ts';

export async function commandLine({ tree, with: { commandLine: text = '' } }: TreeWorld): Promise<Finding> {
  const length = Buffer.byteLength(text.trim()) + (/(^|\s)roothash=/.test(text) ? 0 : ROOT_HASH);
  if (length >= COMMAND_LINE)
    return fail(
      `It has ${length} bytes with its root hash, but a kernel keeps only the first ${COMMAND_LINE - 1}.`,
      'Shorten it.',
    );
  const fault = rootFault(text) ?? (await initFault(tree, text)) ?? targetFault(text);
  return fault ?? ok(`${length} bytes of at most ${COMMAND_LINE - 1}.`);
}

/** A kernel keeps this much, with the final zero byte: COMMAND_LINE_SIZE of x86-64 and arm64. */
const COMMAND_LINE = 2048;
const ROOT_HASH = ' roothash='.length + 64;

const lastOf = (text: string, key: string): string | undefined => commandLineValues(text, key).at(-1);

/** The root hash names the root; anything else that names one gets in its way. */
function rootFault(text: string): Finding | undefined {
  const root = lastOf(text, 'root');
  if (root !== undefined && !VERIFIED.test(root))
    return fail(
      `root=${root} starts a root that is not verified, or none: the root hash names the slot.`,
      'Remove root= from the command line.',
    );
  const verity = lastOf(text, 'systemd.verity') ?? lastOf(text, 'rd.systemd.verity');
  if (verity !== undefined && /^(0|no|off|false)$/.test(verity))
    return fail(`systemd.verity=${verity} keeps the initrd from opening the root.`, 'Remove it from the command line.');
  return commandLineWords(text).includes('rw')
    ? warn('rw asks for a writable root, which a verified root cannot be.', 'Replace rw by ro in the command line.')
    : undefined;
}

/** What dracut and systemd call the root that they have opened by its root hash. */
const VERIFIED = /^\/dev\/mapper\/(root|usr)$|^(dissect|tmpfs|gpt-auto)$/;

async function initFault(tree: FileTree, text: string): Promise<Finding | undefined> {
  const init = lastOf(text, 'init');
  if (init === undefined || (await tree.find(init))?.kind === 'file') return undefined;
  return fail(`init=${init} names a program that the tree lacks.`, 'Remove init= from the command line.');
}

function targetFault(text: string): Finding | undefined {
  const word = commandLineWords(text).find((one) => RESCUE.includes(one));
  const target = lastOf(text, 'systemd.unit') ?? word;
  if (target === undefined || /^(multi-user|graphical|default)\.target$/.test(target)) return undefined;
  return warn(`${target} starts a system without the agent.`, 'Remove it from the command line.');
}

const RESCUE = ['single', 'rescue', 'emergency', '1', 's', 'S'];
