/** The control socket and the commands that talk over it, with a scripted agent behind. */

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { apply } from '../../src/cli/host/apply.ts';
import { check } from '../../src/cli/host/check.ts';
import { history } from '../../src/cli/host/history.ts';
import { install } from '../../src/cli/host/install.ts';
import { status } from '../../src/cli/host/status.ts';
import { waitConfirmed } from '../../src/cli/host/wait-confirmed.ts';
import { UpdateError } from '../../src/errors.ts';
import type { Product, Release, Version } from '../../src/model.ts';
import { PROTOCOL_HEADER, type Status } from '../../src/protocol.ts';
import { call } from '../../src/system/process/control-client.ts';
import { serveControl } from '../../src/system/process/control-socket.ts';
import {
  ACCEPTED,
  IDLE,
  runCommand,
  type Said,
  type ScriptedAgent,
  startScriptedAgent,
} from '../support/scripted-agent.ts';

const RELEASE: Release = { product: 'demo' as Product, version: '2.0' as Version };
const STAGING: Status = {
  ...IDLE,
  state: { kind: 'staging', release: RELEASE, target: 'b', attempt: 1 },
  waitingFor: undefined,
} as unknown as Status;
const STAGED: Status = {
  ...IDLE,
  state: { kind: 'staged', release: RELEASE, target: 'b' },
  waitingFor: '`updatectl apply`',
  lastCheck: { at: '2026-03-01T12:01:00.000Z', result: 'offer' },
};

const code = (wanted: string) => (error: unknown) => error instanceof UpdateError && error.code === wanted;

/** A request as some other program would make it. */
function raw(
  agent: ScriptedAgent,
  method: string,
  path: string,
  body = '',
  protocol = '1',
): Promise<{ status: number; document: { error?: { code: string; message: string } } }> {
  return new Promise((resolve, reject) => {
    const headers = { [PROTOCOL_HEADER]: protocol };
    const outgoing = request({ socketPath: agent.socket, method, path, headers }, (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, document: JSON.parse(Buffer.concat(chunks).toString()) }),
      );
    });
    outgoing.once('error', reject).end(body);
  });
}

test('an install is followed to its end by whoever asked and by whoever looks', async () => {
  await using agent = await startScriptedAgent({
    install: async () => {
      agent.tell({ event: 'status', status: STAGING });
      agent.tell({ event: 'progress', progress: { phase: 'download', done: 50, total: 100 } });
      agent.tell({ event: 'status', status: STAGED });
      return ACCEPTED;
    },
  });
  const watched: Said = { out: '', err: '', status: undefined };
  const stop = new AbortController();
  const watching = runCommand(status, agent.dir, { options: { watch: true }, json: true }, stop.signal, watched);
  const said = await runCommand(install, agent.dir, { args: ['2.0'] });
  assert.equal(said.status, 0);
  assert.match(said.out, /2\.0 is ready in slot b\. Waiting for `updatectl apply`\./);
  await until(() => watched.out.includes('"staged"'));
  stop.abort(new UpdateError('interrupted'));
  await assert.rejects(watching);
  const states = watched.out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as Status).state.kind);
  assert.equal(states[0], 'idle');
  assert.equal(states.at(-1), 'staged');
});

test('the work of a command that was killed goes on', async () => {
  let wasAsked = false;
  await using agent = await startScriptedAgent({
    install: async () => {
      wasAsked = true;
      agent.tell({ event: 'status', status: STAGING });
      return ACCEPTED;
    },
  });
  const stop = new AbortController();
  const killed = runCommand(install, agent.dir, {}, stop.signal);
  await until(() => wasAsked);
  stop.abort(new UpdateError('interrupted'));
  await assert.rejects(killed);
  const other = await runCommand(status, agent.dir, { json: true });
  assert.equal((JSON.parse(other.out) as Status).state.kind, 'staging');
});

test('an agent that dies in the middle of a request is a failure, not success or silence', async () => {
  await using agent = await startScriptedAgent({
    apply: async () => {
      void agent.die();
      return new Promise(() => {});
    },
  });
  await assert.rejects(runCommand(apply, agent.dir), code('agent-lost'));
  await using other = await startScriptedAgent({
    check: async () => {
      setImmediate(() => void other.die());
      return ACCEPTED;
    },
  });
  await assert.rejects(runCommand(check, other.dir), code('agent-lost'));
});

test('a failure of the work is the failure of the command, with the name the agent gave it', async () => {
  const failure = { code: 'esp-full', message: 'No room.', next: 'Make some.', at: '2026-03-01T12:02:00.000Z' };
  await using agent = await startScriptedAgent({
    check: async () => {
      agent.tell({ event: 'failed', failure });
      return ACCEPTED;
    },
    install: async () => {
      throw new UpdateError('agent-busy', 'Writing 2.0.');
    },
  });
  await assert.rejects(runCommand(check, agent.dir), code('esp-full'));
  await assert.rejects(runCommand(install, agent.dir), code('agent-busy'));
});

test('a thousand questions for the status are all answered', async () => {
  await using agent = await startScriptedAgent();
  const ask = async (): Promise<void> => {
    for (let each = 0; each < 50; each++) assert.equal((await raw(agent, 'GET', '/v1/status')).status, 200);
  };
  await Promise.all(Array.from({ length: 20 }, ask));
});

test('a body that is too long or no JSON, an unknown field and an unknown path are refused with a sentence', async () => {
  await using agent = await startScriptedAgent();
  const long = await raw(agent, 'POST', '/v1/install', JSON.stringify({ version: 'x'.repeat(70_000) }));
  assert.equal(long.status, 413);
  for (const [path, body] of [
    ['/v1/install', '{"version": "2'],
    ['/v1/install', '{"versoin": "2.0"}'],
    ['/v1/install', '[]'],
    ['/v1/forget', '{"version": 5}'],
    ['/v1/reboot-now', ''],
  ] as const) {
    const { status: http, document } = await raw(agent, 'POST', path, body);
    assert.ok(http === 409 || http === 404, `${body}: ${http}`);
    assert.equal(document.error?.code, 'usage', body);
  }
  assert.equal((await raw(agent, 'GET', '/v1/status')).status, 200);
});

test('half a request holds nobody else up', async () => {
  await using agent = await startScriptedAgent();
  const half = connect(agent.socket);
  half.on('error', () => {});
  half.write('POST /v1/install HTTP/1.1\r\nhost: agent\r\ncontent-length: 100\r\n\r\n{"ver');
  assert.equal((await raw(agent, 'GET', '/v1/status')).status, 200);
  half.destroy();
});

test('agents and programs of other generations are told apart', async () => {
  await using agent = await startScriptedAgent();
  for (const spoken of ['0', '2', 'x']) {
    const { status: http, document } = await raw(agent, 'POST', '/v1/apply', '', spoken);
    assert.equal(http, 400);
    assert.equal(document.error?.code, 'protocol-mismatch');
  }
  await using older = await startScriptedAgent({}, { [PROTOCOL_HEADER]: '0' });
  await assert.rejects(runCommand(apply, older.dir), code('protocol-mismatch'));
});

test('only root and the group may use the socket, and a second agent does not take it over', async () => {
  await using agent = await startScriptedAgent();
  assert.equal((await stat(agent.socket)).mode & 0o777, 0o660);
  const second = serveControl({ path: agent.socket, group: 'x', headers: {} }, async () => ({
    status: 200,
    document: 1,
  }));
  await assert.rejects(second, code('already-running'));
  assert.equal((await raw(agent, 'GET', '/v1/status')).status, 200);
});

test('without an agent, questions are answered from the files and requests say how to start it', async () => {
  await using agent = await startScriptedAgent();
  await agent.die();
  const said = await runCommand(status, agent.dir, { json: true });
  assert.equal((JSON.parse(said.out) as Status).offline, true);
  assert.match(
    (await runCommand(history, agent.dir, { options: { limit: '20' } })).out,
    /No update has been attempted/,
  );
  for (const command of [apply, check, install])
    await assert.rejects(runCommand(command, agent.dir), code('agent-not-running'));
});

test('waiting for the proof ends with it, with the verdict against it, or in time', async () => {
  const wait = (agent: ScriptedAgent, timeout = '1min') =>
    runCommand(waitConfirmed, agent.dir, { options: { timeout } });
  await using agent = await startScriptedAgent();
  await wait(agent);
  agent.tell({ event: 'status', status: { ...IDLE, confirmed: false } });
  await assert.rejects(wait(agent, '0s'), code('not-confirmed'));
  const condemned = { kind: 'condemned', release: RELEASE, target: 'b', code: 'unhealthy', reason: 'no web' } as const;
  agent.tell({ event: 'status', status: { ...IDLE, confirmed: false, state: condemned } });
  await assert.rejects(wait(agent), code('condemned'));
  await assert.rejects(wait(agent, 'soon'), code('usage'));
});

test('a client whose own signal is aborted gets that reason', async () => {
  await using agent = await startScriptedAgent({ apply: () => new Promise(() => {}) });
  const stop = new AbortController();
  const headers = { [PROTOCOL_HEADER]: '1' };
  const asked = call({ socket: agent.socket, method: 'POST', path: '/v1/apply', headers, signal: stop.signal });
  stop.abort(new UpdateError('interrupted'));
  await assert.rejects(asked, code('interrupted'));
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
