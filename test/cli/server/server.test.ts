/** What `updatectl server` makes of its options, and the token that it shows once. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Command } from '../../../src/cli/command.ts';
import { server } from '../../../src/cli/server/server.ts';
import { serverTokenAdd, serverTokenList, serverTokenRevoke } from '../../../src/cli/server/token.ts';
import { refusalOf, runCommand } from '../../support/command-line.ts';
import { checkMetrics, seriesOf } from '../../support/promtool.ts';
import { ServerProcess } from '../../support/server-process.ts';
import { TestRepository } from '../../support/tuf-repository.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');

const WRONG: Readonly<Record<string, readonly string[]>> = {
  'neither a folder nor etcd': [],
  'a token of hosts, and none': ['--state', 'state', '--machine-token', 'token', '--machines-without-token'],
  'a token of hosts that is none': ['--state', 'state', '--machine-token', 'repository/metadata/timestamp.json'],
  'a folder and etcd': ['--state', 'state', '--etcd', 'http://127.0.0.1:1'],
  'an etcd that is no address': ['--etcd', 'etcd1:2379'],
  'a certificate for etcd without its key': [
    '--etcd',
    'http://127.0.0.1:1',
    '--etcd-cert',
    'repository/metadata/timestamp.json',
  ],
  'a user of etcd without a password': ['--etcd', 'http://127.0.0.1:1', '--etcd-user', 'x'],
  'a prefix that leaves its place': ['--etcd', 'http://127.0.0.1:1', '--etcd-prefix', 'tandem//x'],
  'an address without a port': ['--state', 'state', '--listen', '127.0.0.1'],
  'more at once than a lock can have': ['--state', 'state', '--lock-max', '1001'],
  'a proxy that is no address': ['--state', 'state', '--trust-proxy', 'proxy.example'],
  'a network of proxies that is none': ['--state', 'state', '--trust-proxy', '192.0.2.0/33'],
  'a deadline in another year': ['--state', 'state', '--lock-deadline', '60w'],
  'a deadline of no time at all': ['--state', 'state', '--lock-deadline', '0m'],
  'a deadline that is no time': ['--state', 'state', '--lock-deadline', 'soon'],
};

for (const [what, args] of Object.entries(WRONG))
  test(`${what} is a wrong command line`, async () => {
    using repository = await new TestRepository().init();
    const given = ['--repository', repository.dir, ...args];
    assert.equal(await refusalOf(runCommand(server, repository.top, given)), 'usage');
  });

test('the operator’s token is shown at the first start only, and is good until another is made', async () => {
  using repository = await new TestRepository().init();
  await using one = await ServerProcess.start([
    ...['--repository', repository.dir, '--state', join(repository.top, 'state')],
  ]);
  const statusWith = async (token = ''): Promise<number> =>
    (await fetch(`${one.url}/v1/machines`, { headers: { authorization: `Bearer ${token}` } })).status;
  const first = one.operatorToken;
  assert.ok(first);
  assert.deepEqual([await statusWith(first), await statusWith('x')], [200, 401]);
  await one.kill();
  await one.start();
  assert.equal(one.operatorToken, undefined);
  assert.equal(await statusWith(first), 200);
  await one.kill();
  await one.start(['--new-operator-token']);
  assert.deepEqual([await statusWith(first), await statusWith(one.operatorToken)], [401, 200]);
});

/** What a server that does not come up says, and its code. */
async function started(
  repository: string,
  state: string,
  listen: string,
): Promise<Readonly<{ said: string; code: string }>> {
  const args = ['server', '--repository', repository, '--state', state, '--listen', listen, '--new-operator-token'];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { said, code: /\[([a-z-]+)\]\n$/.exec(complaint)?.[1] ?? complaint };
}

test('tokens that go to a file are for its owner only and not shown, and a file that cannot be written costs none', async () => {
  using repository = await new TestRepository().init();
  const [state, file] = [join(repository.top, 'state'), join(repository.top, 'first-tokens')];
  const args = ['--repository', repository.dir, '--state', state, '--machine-token', join(repository.top, 'token')];
  writeFileSync(join(repository.top, 'token'), 'x'.repeat(16));
  const nowhere = [...args, '--first-tokens', join(repository.top, 'missing/first-tokens')];
  await assert.rejects(ServerProcess.start(nowhere), /missing\/first-tokens/);
  await using one = await ServerProcess.start([...args, '--first-tokens', file]);
  assert.equal(one.operatorToken, undefined);
  const [, token] = /^The operator's token, shown only once: (\S{32})\n$/.exec(readFileSync(file, 'utf8')) ?? [];
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await fetch(`${one.url}/v1/machines`, { headers })).status, 200);
  await one.kill();
  const written = statSync(file).mtimeMs;
  await one.start();
  assert.equal(statSync(file).mtimeMs, written, 'a later start creates none');
});

test('a server that cannot listen has made no token, shown none, and taken none back', async () => {
  using repository = await new TestRepository().init();
  const state = join(repository.top, 'state');
  const first = await ServerProcess.start(['--repository', repository.dir, '--state', state]);
  const token = first.operatorToken ?? '';
  await first.kill();
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as AddressInfo;
  for (const at of [state, join(repository.top, 'fresh')])
    for (const listen of [`127.0.0.1:${port}`, '192.0.2.1:8080', 'no-such-host.invalid:8080'])
      assert.deepEqual(await started(repository.dir, at, listen), { said: '', code: 'address-unavailable' }, listen);
  taken.close();
  await using again = await ServerProcess.start(['--repository', repository.dir, '--state', state]);
  assert.equal(again.operatorToken, undefined);
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await fetch(`${again.url}/v1/machines`, { headers })).status, 200);
  await using fresh = await ServerProcess.start([
    '--repository',
    repository.dir,
    '--state',
    join(repository.top, 'fresh'),
  ]);
  assert.ok(fresh.operatorToken);
});

test('a second server on the same folder is refused before it makes or shows anything', async () => {
  using repository = await new TestRepository().init();
  const state = join(repository.top, 'state');
  await using first = await ServerProcess.start(['--repository', repository.dir, '--state', state]);
  assert.deepEqual(await started(repository.dir, state, '127.0.0.1:0'), { said: '', code: 'store-in-use' });
  const headers = { authorization: `Bearer ${first.operatorToken}` };
  assert.equal((await fetch(`${first.url}/v1/machines`, { headers })).status, 200);
});

test('a server tells when its repository expires, and how long its store takes', async () => {
  using repository = await new TestRepository().init();
  await using one = await ServerProcess.start([
    '--repository',
    repository.dir,
    '--state',
    join(repository.top, 'state'),
  ]);
  const scrape = async () => {
    const headers = { authorization: `Bearer ${one.operatorToken}` };
    return (await fetch(`${one.url}/metrics`, { headers })).text();
  };
  const page = await scrape();
  checkMetrics(page);
  const told = seriesOf(page);
  const expires = (role: string) => told.get(`tandem_repository_expires_timestamp_seconds{role="${role}"}`) ?? 0;
  assert.equal(expires('timestamp'), Date.parse(String(repository.read('timestamp').signed['expires'])) / 1000);
  assert.ok(expires('root') > expires('timestamp'));
  for (const part of ['repository', 'machines', 'rollouts', 'locks'])
    assert.equal(told.get(`tandem_server_part_up{part="${part}"}`), 1, part);
  assert.ok((told.get('tandem_store_seconds_count{operation="update"}') ?? 0) > 0);
});

test('tokens are made, listed and revoked from the command line, and refusals keep their names', async () => {
  using repository = await new TestRepository().init();
  const cert = ['--tls-own', join(repository.top, 'tls')];
  await using one = await ServerProcess.start([
    ...['--repository', repository.dir, '--state', join(repository.top, 'state'), ...cert],
  ]);
  const where = ['--server', one.url.replace('http:', 'https:'), '--ca', 'tls/ca.pem', '--token-file'];
  const asking = (command: Command, args: readonly string[], token: string) => {
    writeFileSync(join(repository.top, 'token'), `${token}\n`);
    return runCommand(command, repository.top, [...args, ...where, 'token']);
  };
  const operator = one.operatorToken ?? '';
  const said = await asking(serverTokenAdd, ['grafana', '--role', 'viewer'], operator);
  const viewer = /^The token of grafana, shown only once: (\S{32})\n$/.exec(said)?.[1] ?? '';
  assert.match(await asking(serverTokenList, [], viewer), /^grafana +viewer +2\d{3}-/m);
  const refused = async (command: Command, args: readonly string[], token = operator) =>
    refusalOf(asking(command, args, token));
  assert.equal(await refused(serverTokenAdd, ['grafana', '--role', 'viewer']), 'token-exists');
  assert.equal(await refused(serverTokenRevoke, ['grafana'], viewer), 'forbidden');
  assert.equal(await asking(serverTokenRevoke, ['grafana'], operator), 'The token of grafana is revoked.\n');
  assert.equal(await refused(serverTokenList, [], viewer), 'denied');
  assert.equal(await refused(serverTokenRevoke, ['grafana']), 'token-unknown');
  assert.equal(await refused(serverTokenRevoke, ['operator']), 'token-last');
  assert.equal(await refused(serverTokenAdd, ['Grafana', '--role', 'viewer']), 'usage');
  assert.equal(await refused(serverTokenAdd, ['x', '--role', 'root']), 'usage');
  assert.equal(await refused(serverTokenRevoke, ['../x']), 'usage');
});

test('a failure that no request waits for any more is logged and counted, and the server goes on', async () => {
  using repository = await new TestRepository().init();
  const options = ['--repository', repository.dir, '--state', join(repository.top, 'state')];
  const stray = `--import=${join(import.meta.dirname, '../../support/stray.ts')}`;
  await using one = await ServerProcess.start(options, { NODE_OPTIONS: stray });
  const headers = { authorization: `Bearer ${one.operatorToken}` };
  const strays = async () => seriesOf(await (await fetch(`${one.url}/metrics`, { headers })).text());
  assert.equal((await strays()).get('tandem_server_strays_total'), 0);
  process.kill(one.pid, 'SIGUSR2');
  while ((await strays()).get('tandem_server_strays_total') === 0);
  assert.match(one.said, /a failure outside of any waiting request: nobody waits for this code=unexpected/);
  assert.equal((await fetch(`${one.url}/healthz`)).status, 200);
});
