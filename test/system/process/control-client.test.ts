/** Why the agent's socket does not answer is told by name. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { call } from '../../../src/system/process/control-client.ts';

const request = (socket: string) =>
  call({ socket, method: 'GET', path: '/', headers: {}, signal: new AbortController().signal });

test('a socket that is not there means that no agent runs', async () => {
  await assert.rejects(request('/nonexistent/control.sock'), { code: 'agent-not-running' });
});

test('a socket that this user may not open is told apart from an agent that does not run', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-test-'));
  const socket = join(dir, 'control.sock');
  const server = createServer().listen(socket);
  try {
    await new Promise((resolve) => server.once('listening', resolve));
    await chmod(dir, 0o755);
    await chmod(socket, 0);
    assert.match(await askAsNobody(socket), /"code":"agent-denied"/);
  } finally {
    server.close();
    await rm(dir, { recursive: true });
  }
});

/** Root may open everything, so another user has to ask. */
async function askAsNobody(socket: string): Promise<string> {
  const module = new URL('../../../src/system/process/control-client.ts', import.meta.url);
  const program = `
    const { call } = await import(${JSON.stringify(module.href)});
    if (process.getuid() === 0) process.setuid(65534);
    const signal = new AbortController().signal;
    await call({ socket: ${JSON.stringify(socket)}, method: 'GET', path: '/', headers: {}, signal })
      .catch((error) => console.log(JSON.stringify({ code: error.code })));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return stdout;
}
