/** `updatectl jump`, for tandem-jump@.service. */

import { runJump } from '../../agent/restart/jump.ts';
import { loadConfig } from '../../config/config.ts';
import { readPart, writableSpace, writePart } from '../../system/files.ts';
import type { Command } from '../command.ts';

export const jump: Command = {
  name: 'jump',
  summary: 'prepare a slot to start without the boot loader',
  description:
    'Run by tandem-jump@.service for the agent. `soft-b` mounts slot b as the next root, `kexec-b` loads its kernel, `free-b` undoes both.',
  examples: ['systemctl start tandem-jump@free-b.service'],
  arguments: [{ name: '<what>', summary: 'soft, kexec or free, a dash, and the slot' }],
  run: async (context, input) => {
    const config = await loadConfig(context.files);
    await runJump(config, { ...context, readPart, writePart, writableSpace }, input.argument(0));
    return undefined;
  },
};
