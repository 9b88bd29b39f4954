/** `updatectl agent`. */

import { architectureOf } from '../../agent/install/host.ts';
import { runAgent } from '../../agent/run.ts';
import { readLayers, resolveConfig } from '../../config/config.ts';
import { readPart, writableSpace, writePart } from '../../system/files.ts';
import { addressTowards } from '../../system/http/local-address.ts';
import { createLog } from '../../system/log.ts';
import { endNow, keepHeapSmall, processor } from '../../system/process/process.ts';
import type { Command } from '../command.ts';

export const agent: Command = {
  name: 'agent',
  summary: 'run the daemon',
  description:
    'Run by tandem-agent.service. Logs one line per entry to standard error: text with priorities for the journal, or JSON (`agent.log_format`).',
  examples: ['systemctl start tandem-agent', 'updatectl agent'],
  run: async (context) => {
    keepHeapSmall();
    const layers = await readLayers(context.files);
    const config = resolveConfig(layers.fragments);
    const log = createLog(config.agent.logLevel, config.agent.logFormat);
    for (const { code, message } of layers.unknown) log.warn({ code }, `Ignored: ${message}`);
    const world = {
      ...context,
      log,
      readPart,
      writePart,
      writableSpace,
      addressTowards,
      architecture: architectureOf(processor()),
    };
    await runAgent(layers, world, context.env);
    return endNow();
  },
};
