/** `updatectl metrics`. */

import { resolve } from 'node:path';
import { HISTORY_LIMIT } from '../../agent/loop/journal-format.ts';
import { agentMetrics } from '../../agent/metrics.ts';
import { offlineHistory, offlineStatus } from '../../agent/offline.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import { metricsText } from '../../formats/metrics-text.ts';
import { replaceFile } from '../../system/files.ts';
import type { Command, Context } from '../command.ts';
import { agentClient, isAbsent } from './agent-client.ts';

export const metrics: Command = {
  name: 'metrics',
  summary: 'print metrics of this host for Prometheus',
  description:
    'Prints the answer to `GET /metrics` on the agent’s socket. Without a running agent, the metrics come from the state files and `tandem_agent_up` is 0.',
  examples: [
    'updatectl metrics',
    'updatectl metrics --textfile /var/lib/prometheus/node-exporter/tandem.prom',
    'curl --unix-socket /run/tandem/control.sock http://agent/metrics',
  ],
  options: [
    {
      flags: '--textfile <file>',
      summary: 'write them to this file atomically, for node_exporter to collect',
    },
  ],
  run: async (context, input) => {
    const text = await readMetrics(context, await loadConfig(context.files));
    const file = input.text('textfile');
    context.out.document({ schema: 1, metrics: text, ...(file === undefined ? {} : { file }) });
    if (file === undefined) context.out.line(text.trimEnd());
    else await put(context, resolve(context.cwd(), file), text);
    return undefined;
  },
};

/** From the agent, or from the state files where there is none. */
async function readMetrics({ files, clock, signal, version }: Context, config: Config): Promise<string> {
  const { stateDir } = config.agent;
  return agentClient(config, signal)
    .get('/metrics')
    .then(String, async (error: unknown) => {
      if (!isAbsent(error)) throw error;
      const status = await offlineStatus(files, stateDir, version, clock.now());
      return metricsText(agentMetrics(status, await offlineHistory(files, stateDir, HISTORY_LIMIT)));
    });
}

async function put({ files }: Context, path: string, text: string): Promise<void> {
  await replaceFile(files, path, Buffer.from(text)).catch((cause: unknown) => {
    throw new UpdateError('file-unwritable', `${path} cannot be written: ${asUpdateError(cause).message}`, { cause });
  });
}
