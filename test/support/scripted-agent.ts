/** An agent that does what a test says, behind a real control socket, and a command run against it. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentView, answer } from '../../src/agent/control.ts';
import { createEvents } from '../../src/agent/events.ts';
import { DECODER } from '../../src/bundle/decode/decoder.ts';
import { type Command, type Context, inputOf } from '../../src/cli/command.ts';
import { createOutput } from '../../src/cli/output.ts';
import type { Version } from '../../src/model.ts';
import { type AgentEvent, PROTOCOL, PROTOCOL_HEADER, type Reply, type Status } from '../../src/protocol.ts';
import { realClock } from '../../src/system/clock.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { serveControl } from '../../src/system/process/control-socket.ts';
import { realExec } from '../../src/system/process/exec.ts';
import { realRandom } from '../../src/system/random.ts';

export const IDLE: Status = {
  schema: 1,
  agent: '0.1.0',
  at: '2026-03-01T12:00:00.000Z',
  state: { kind: 'idle' },
  since: '2026-03-01T08:00:00.000Z',
  booted: 'a',
  confirmed: true,
  slots: {
    a: { version: '1.0' as Version, bootable: true, confirmed: true },
    b: { bootable: false, confirmed: false },
  },
  waitingFor: 'the next check',
  refused: [],
};

export const ACCEPTED: Reply = { schema: 1, result: 'accepted', message: 'Begun.' };

export interface ScriptedAgent extends AsyncDisposable {
  readonly dir: string;
  readonly socket: string;
  /** What everybody who follows is told; a status is also the answer to the next question for it. */
  tell(event: AgentEvent): void;
  /** Goes away in the middle of whatever it does. */
  die(): Promise<void>;
}

/** Listens in a folder of its own. `headers` stands for an agent of another generation. */
export async function startScriptedAgent(
  script: Partial<AgentView> = {},
  headers: Readonly<Record<string, string>> = { [PROTOCOL_HEADER]: String(PROTOCOL) },
): Promise<ScriptedAgent> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-control-'));
  const socket = join(dir, 'control.sock');
  const events = createEvents(realClock);
  let status = IDLE;
  const accept = async (): Promise<Reply> => ACCEPTED;
  const view: AgentView = {
    status: async () => status,
    history: async () => [],
    events: (stop) => events.follow(async () => ({ event: 'status', status }), stop),
    check: accept,
    install: accept,
    apply: accept,
    rollback: accept,
    forget: accept,
    ...script,
  };
  const server = await serveControl({ path: socket, group: 'no-such-group', headers }, (request) =>
    answer(view, request),
  );
  return {
    dir,
    socket,
    tell: (event) => {
      if (event.event === 'status') status = event.status;
      events.tell(event);
    },
    die: async () => server[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export type Said = { out: string; err: string; status: number | undefined };

type Call = Readonly<{ args?: readonly string[]; options?: Readonly<Record<string, unknown>>; json?: boolean }>;

/** Runs a command whose configuration names `dir` as its runtime and state folder. Throws what the command throws. */
export async function runCommand(
  command: Command,
  dir: string,
  call: Call = {},
  signal: AbortSignal = new AbortController().signal,
  said: Said = { out: '', err: '', status: undefined },
): Promise<Said> {
  const streams = {
    out: (text: string): void => {
      said.out += text;
    },
    err: (text: string): void => {
      said.err += text;
    },
    isTerminal: false,
    width: () => 80,
  };
  const context: Context = {
    out: createOutput(streams, realClock, call.json ?? false, call.options?.['watch'] === true),
    clock: realClock,
    random: realRandom,
    exec: realExec,
    files: configuredFiles(dir),
    log: silentLog,
    env: () => undefined,
    cwd: () => dir,
    signal,
    version: '0.1.0',
    entry: DECODER,
    commands: async () => [command],
  };
  said.status = await command.run(context, inputOf(call.args ?? [], call.options ?? {}));
  return said;
}

/** The real files, but for the configuration. */
const configuredFiles = (dir: string): typeof realFiles => ({
  ...realFiles,
  list: async (folder) => (folder === '/etc/tandem/config.d' ? ['test.toml'] : []),
  read: async (path) =>
    path === '/etc/tandem/config.d/test.toml'
      ? Buffer.from(`[agent]\nruntime_dir = "${dir}"\nstate_dir = "${dir}"\n`)
      : realFiles.read(path),
});
