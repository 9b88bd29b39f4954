/** The requests that the agent accepts on its socket, and its answers. */

import { asUpdateError, type UpdateError } from '../errors.ts';
import { METRICS_TYPE, metricsText } from '../formats/metrics-text.ts';
import { literal, object, optional, parseDocument, text } from '../formats/shape.ts';
import type { HistoryEntry } from '../model.ts';
import {
  type AgentEvent,
  type ForgetRequest,
  type InstallRequest,
  PROTOCOL,
  PROTOCOL_HEADER,
  type Reply,
  type Status,
} from '../protocol.ts';
import type { ControlAnswer, ControlRequest } from '../system/process/control-socket.ts';
import { processMetrics } from '../system/process/process-metrics.ts';
import { HISTORY_LIMIT } from './loop/journal-format.ts';
import { agentMetrics } from './metrics.ts';

/** The agent as its clients see it. */
export interface AgentView {
  status(): Promise<Status>;
  history(limit: number): Promise<readonly HistoryEntry[]>;
  /** Everything that happens from now on; ends when the signal is aborted. */
  events(signal: AbortSignal): AsyncIterable<AgentEvent>;
  check(): Promise<Reply>;
  install(request: InstallRequest): Promise<Reply>;
  apply(): Promise<Reply>;
  rollback(): Promise<Reply>;
  forget(request: ForgetRequest): Promise<Reply>;
}

/** Answers one request; never throws for what the client did. */
export async function answer(view: AgentView, request: ControlRequest): Promise<ControlAnswer> {
  const spoken = request.header(PROTOCOL_HEADER);
  // A client that only wants metrics, such as curl, need not know our protocol.
  if (spoken !== String(PROTOCOL) && request.path !== '/metrics') return otherProtocol(spoken);
  const route = ROUTES[`${request.method} ${request.path}`];
  if (!route) return failure(404, 'usage', `The agent does not know ${request.method} ${request.path}.`);
  try {
    return await route(view, request);
  } catch (error) {
    return refusal(asUpdateError(error));
  }
}

type Route = (view: AgentView, request: ControlRequest) => Promise<ControlAnswer> | ControlAnswer;

const ROUTES: Readonly<Record<string, Route>> = {
  'GET /v1/status': async (view) => document(await view.status()),
  'GET /v1/history': async (view, { query }) => {
    const limit = Number(query.get('limit') ?? 20);
    return document({ schema: 1, entries: await view.history(Number.isInteger(limit) && limit > 0 ? limit : 20) });
  },
  'GET /metrics': async (view) => ({
    status: 200,
    type: METRICS_TYPE,
    text: metricsText([
      ...agentMetrics(await view.status(), await view.history(HISTORY_LIMIT)),
      ...processMetrics('tandem_agent'),
    ]),
  }),
  'GET /v1/events': (view, { signal }) => ({ lines: view.events(signal) }),
  'POST /v1/check': async (view) => document(await view.check()),
  'POST /v1/install': async (view, request) => document(await view.install(body(request, installShape))),
  'POST /v1/apply': async (view) => document(await view.apply()),
  'POST /v1/rollback': async (view) => document(await view.rollback()),
  'POST /v1/forget': async (view, request) => document(await view.forget(body(request, forgetShape))),
};

const words = text(/^[^\0]{1,4096}$/, 'text');
const installShape = object({
  version: optional(words),
  from: optional(words),
  allowDowngrade: optional(literal(true, false)),
});
const forgetShape = object({ version: optional(words), clock: optional(literal(true)) });

function body<T>(request: ControlRequest, shape: (value: unknown, path: string) => T): T {
  const bytes = request.body.length === 0 ? new TextEncoder().encode('{}') : request.body;
  return parseDocument(bytes, 64 * 1024, 'usage', 'request', shape);
}

const document = (value: unknown): ControlAnswer => ({ status: 200, document: value });

const failure = (status: number, code: string, message: string): ControlAnswer => ({
  status,
  document: { error: { code, message } },
});

const refusal = (error: UpdateError): ControlAnswer => failure(409, error.code, error.message);

function otherProtocol(spoken: string | undefined): ControlAnswer {
  return failure(400, 'protocol-mismatch', `The agent speaks protocol ${PROTOCOL}, the client ${spoken ?? 'none'}.`);
}
