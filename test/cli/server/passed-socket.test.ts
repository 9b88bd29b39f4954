/** A server at a socket that the service manager keeps open over its restarts. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { takePassedSocket } from '../../../src/system/process/passed-socket.ts';
import { rollingOut } from '../../support/rollout-site.ts';
import { freePort } from '../../support/server-process.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');
const RESTARTS = 3;

test('a socket counts that was passed to this very process, and nobody hears of it afterwards', () => {
  const taken = (env: Record<string, string>) => {
    const left: Record<string, string | undefined> = { ...env };
    const fd = takePassedSocket({ pid: 7, env: left }, () => true);
    assert.deepEqual(left, {});
    return fd;
  };
  assert.equal(taken({}), undefined);
  assert.equal(taken({ LISTEN_PID: '7', LISTEN_FDS: '1', LISTEN_FDNAMES: 'tandem.socket' }), 3);
  assert.equal(taken({ LISTEN_PID: '8', LISTEN_FDS: '1' }), undefined, 'of the parent');
  assert.equal(taken({ LISTEN_PID: '7', LISTEN_FDS: '0' }), undefined);
  assert.throws(() => taken({ LISTEN_PID: '7', LISTEN_FDS: '2' }), { code: 'usage', message: /passes 2 sockets/ });
});

for (const [what, redirection] of Object.entries({ nothing: '3>&-', 'a file': '3</dev/null', 'a pipe': '3<&0' }))
  test(`${what} in place of a passed socket is told of`, () => {
    const server = `"${process.execPath}" "${MAIN}" server --repository / --state /nowhere --machines-without-token`;
    const { status, stderr } = spawnSync('sh', [
      '-c',
      `export LISTEN_PID=$$ LISTEN_FDS=1; exec ${server} ${redirection}`,
    ]);
    assert.match(String(stderr), /takes one TCP socket from the service manager, which passes something else/);
    assert.equal(status, 2);
  });

test('who asks while the server restarts at a passed socket waits a moment, and is not refused', async () => {
  using repository = await rollingOut({ inFlight: 1, failures: 1 });
  using site = await passedOn(repository.dir);
  const ended: number[] = [];
  let answers = 0;
  // Each on a connection of its own; the first starts the server.
  for (; ended.length < RESTARTS || answers % 20 !== 0; answers += 1) {
    assert.equal(await statusOf(site.port), 200);
    if (answers % 20 !== 10) continue;
    ended.push(site.pid());
    process.kill(site.pid(), 'SIGTERM');
  }
  assert.equal(new Set([...ended, site.pid()]).size, RESTARTS + 1, 'each time another process answered');
});

/** As systemd does it: the port is open before the server runs, and while it does not. */
async function passedOn(repository: string) {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-passed-'));
  const port = await freePort();
  const options = `--repository ${repository} --state ${dir}/state --machines-without-token`;
  const start = `export LISTEN_PID=$$; echo $$ >${dir}/pid; exec "${process.execPath}" "${MAIN}" server ${options}`;
  const manager = spawn(
    'systemd-socket-activate',
    ['--listen', `127.0.0.1:${port}`, 'sh', '-c', `while :; do sh -c '${start}'; done`],
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true, env: { ...process.env, NODE_NO_WARNINGS: '1' } },
  );
  await once(manager.stderr, 'data');
  manager.stderr.resume();
  return {
    port,
    pid: () => Number(readFileSync(join(dir, 'pid'), 'utf8')),
    [Symbol.dispose]: () => {
      process.kill(-(manager.pid ?? 0), 'SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function statusOf(port: number): Promise<number | undefined> {
  const asked = request({ host: '127.0.0.1', port, path: '/healthz', agent: false });
  asked.end();
  const [answer] = await once(asked, 'response');
  answer.resume();
  await once(answer, 'end');
  return answer.statusCode;
}
