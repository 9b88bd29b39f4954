/** `updatectl status`. */

import { offlineStatus } from '../../agent/offline.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { EXIT } from '../../errors.ts';
import type { Status } from '../../protocol.ts';
import type { Command, Context } from '../command.ts';
import { agentClient, isAbsent } from './agent-client.ts';
import { statusText } from './status-text.ts';

export const status: Command = {
  name: 'status',
  summary: 'show what runs, the current step, and what it waits for',
  description: 'Without a running agent, shows the state files and exits with status 9.',
  examples: ['updatectl status', 'updatectl status --watch', 'updatectl status --json | jq .state.kind'],
  options: [{ flags: '--watch', summary: 'show every change until Ctrl-C' }],
  run: async (context, input) => {
    const config = await loadConfig(context.files);
    if (input.flag('watch')) return watch(context, config);
    const current = await readStatus(context, config);
    show(context, current);
    return current.offline ? EXIT.daemon : EXIT.ok;
  },
};

/** From the agent, or from the state files where there is none. */
export async function readStatus({ files, clock, signal, version }: Context, config: Config): Promise<Status> {
  return agentClient(config, signal)
    .status()
    .catch((error: unknown) => {
      if (!isAbsent(error)) throw error;
      return offlineStatus(files, config.agent.stateDir, version, clock.now());
    });
}

async function watch(context: Context, config: Config): Promise<number> {
  let last: Status | undefined;
  for await (const event of agentClient(config, context.signal).events()) {
    if (event.event === 'status') last = event.status;
    else if (event.event === 'progress' && last) last = { ...last, progress: event.progress };
    else continue;
    context.out.clear();
    show(context, last);
  }
  return 0;
}

function show({ out, clock }: Context, current: Status): void {
  out.document(current);
  for (const line of statusText(current, clock.now(), out.width)) out.line(line);
}
