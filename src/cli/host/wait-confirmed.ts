/** `updatectl wait-confirmed`, for units that must not start before the running system is confirmed. */

import { type Config, loadConfig } from '../../config/config.ts';
import { UpdateError } from '../../errors.ts';
import type { Status } from '../../protocol.ts';
import type { Command, Context } from '../command.ts';
import { agentClient } from './agent-client.ts';

export const waitConfirmed: Command = {
  name: 'wait-confirmed',
  summary: 'wait until the running system is confirmed',
  description: 'Exit status 0: confirmed. 8: condemned, or not confirmed in time.',
  examples: ['updatectl wait-confirmed --timeout 8min'],
  options: [{ flags: '--timeout <time>', summary: 'how long to wait, such as 90s or 8min', default: '8min' }],
  run: async (context, input) => {
    const config = await loadConfig(context.files);
    const ms = milliseconds(input.given('timeout'));
    const late = new AbortController();
    const signal = AbortSignal.any([context.signal, late.signal]);
    const timer = context.clock.sleep(ms, signal).then(
      () => late.abort(new UpdateError('not-confirmed')),
      () => {},
    );
    try {
      await verdict({ ...context, signal }, config);
    } finally {
      late.abort();
      await timer;
    }
    return undefined;
  },
};

/** Tries again while the agent starts or restarts. */
async function verdict(context: Context, config: Config): Promise<void> {
  for (;;) {
    try {
      for await (const event of agentClient(config, context.signal).events())
        if (event.event === 'status' && isProven(event.status)) return;
    } catch (error) {
      const code = error instanceof UpdateError ? error.code : '';
      if (code !== 'agent-not-running' && code !== 'agent-lost') throw error;
    }
    context.signal.throwIfAborted();
    await context.clock.sleep(1000, context.signal).catch(() => context.signal.throwIfAborted());
  }
}

function isProven({ state, confirmed }: Status): boolean {
  if (state.kind === 'condemned')
    throw new UpdateError('condemned', `The running system failed its trial: ${state.reason}.`);
  return confirmed === true && state.kind !== 'trial';
}

function milliseconds(text: string): number {
  const [, number, unit] = /^(\d+)(s|min|h)$/.exec(text) ?? [];
  const factor = { s: 1000, min: 60_000, h: 3_600_000 }[unit ?? ''];
  if (factor === undefined) throw new UpdateError('usage', `“${text}” is not a time like 90s or 8min.`);
  return Number(number) * factor;
}
