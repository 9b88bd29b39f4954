/** Talks to the agent over its socket. */

import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ERRORS, type ErrorCode, UpdateError } from '../../errors.ts';
import { type AgentEvent, PROTOCOL, PROTOCOL_HEADER, type Reply, type Status } from '../../protocol.ts';
import { call, follow } from '../../system/process/control-client.ts';

export interface AgentClient {
  get(path: string): Promise<unknown>;
  post(path: string, body?: unknown): Promise<Reply>;
  status(): Promise<Status>;
  /** Starts with the current status. */
  events(): AsyncGenerator<AgentEvent>;
}

/** The agent of this host. */
export function agentClient(config: Config, signal: AbortSignal): AgentClient {
  const socket = join(config.agent.runtimeDir, 'control.sock');
  const headers = { [PROTOCOL_HEADER]: String(PROTOCOL) };
  const ask = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> => {
    const reply = await call({ socket, method, path, headers, signal, ...(body === undefined ? {} : { body }) });
    if (reply.header(PROTOCOL_HEADER) !== String(PROTOCOL)) throw new UpdateError('protocol-mismatch');
    if (reply.status !== 200) throw refusal(reply.document);
    return reply.document;
  };
  return {
    get: (path) => ask('GET', path),
    post: async (path, body) => (await ask('POST', path, body)) as Reply,
    status: async () => (await ask('GET', '/v1/status')) as Status,
    events: () => follow({ socket, method: 'GET', path: '/v1/events', headers, signal }) as AsyncGenerator<AgentEvent>,
  };
}

/** Whether the failure only means that no agent is running. */
export const isAbsent = (error: unknown): boolean => error instanceof UpdateError && error.code === 'agent-not-running';

/** A failure that the agent reported; a newer agent may use a code that this program lacks. */
export function failureOf(code: string, message: string): UpdateError {
  return Object.hasOwn(ERRORS, code)
    ? new UpdateError(code as ErrorCode, message)
    : new UpdateError('unexpected', `${message} (${code})`);
}

function refusal(document: unknown): UpdateError {
  const { error } = document as { error?: { code?: string; message?: string } };
  return failureOf(error?.code ?? 'unexpected', error?.message ?? 'The agent refused without giving a reason.');
}
