/** The machines of a fleet server, as its operator finds them on the command line. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from '../../src/cli/command.ts';
import { rolloutMachines } from '../../src/cli/rollout/machines.ts';
import { serverMachineForget, serverMachineReset } from '../../src/cli/server/machine.ts';
import type { CheckIn } from '../../src/formats/check-in.ts';
import { checkInOf } from '../support/check-in-line.ts';
import { refusalOf, runCommand } from '../support/command-line.ts';
import { ServerProcess } from '../support/server-process.ts';
import { TestRepository } from '../support/tuf-repository.ts';

const MANY = 120;

test('an operator finds machines by name, group, version and id, forgets them, and lets them show another secret', async () => {
  using repository = await new TestRepository().init();
  await using server = await ServerProcess.start([
    ...['--repository', repository.dir, '--state', join(repository.top, 'state')],
  ]);
  writeFileSync(join(repository.top, 'token'), `${server.operatorToken}\n`);
  const asking = (command: Command, ...args: string[]): Promise<string> =>
    runCommand(command, repository.top, [...args, ...['--server', server.url, '--token-file', 'token']]);
  assert.match(await asking(rolloutMachines), /No machine matches/);
  const group = (host: number) => (host % 2 === 0 ? 'web' : 'db');
  const said = (request: CheckIn) =>
    fetch(`${server.url}/v1/check-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${server.operatorToken}` },
      body: JSON.stringify(request),
    });
  const hosts = Array.from({ length: MANY }, (_, host) => {
    const named = { name: `${group(host)}-${host}`, address: `10.0.0.${host}`, os: 'Acme 2.1' };
    return checkInOf(host, { group: group(host), host: named });
  });
  await Promise.all(hosts.map(said));
  const one = await asking(rolloutMachines, 'WEB-118');
  assert.match(one, /NAME +ID +RUNS[^\n]*\n *web-118 +0{30}77 +1\.0 +idle +web +10\.0\.0\.118 +Acme 2\.1[^\n]*\n$/);
  const all = JSON.parse(await asking(rolloutMachines, '--json'));
  assert.deepEqual([all.machines.length, all.all], [MANY, true], 'page by page');
  assert.equal(JSON.parse(await asking(rolloutMachines, '--group', 'db', '--json')).machines.length, MANY / 2);
  assert.equal(JSON.parse(await asking(rolloutMachines, '--runs', '1.1', '--json')).machines.length, 0);
  assert.equal(JSON.parse(await asking(rolloutMachines, '--id', `${'0'.repeat(30)}7`, '--json')).machines.length, 9);
  assert.match(await asking(rolloutMachines, 'db', '--most', '3'), /Only the first 3 are shown; there are more/);
  assert.equal(await refusalOf(asking(rolloutMachines, '--state', 'asleep')), 'request-invalid');
  assert.match(await asking(serverMachineForget, 'web-118'), /^0{30}77 is forgotten/);
  assert.equal(await refusalOf(asking(serverMachineForget, 'web-118')), 'machine-unknown');
  assert.equal(await refusalOf(asking(serverMachineReset, `${'0'.repeat(30)}77`)), 'machine-unknown');
  assert.match(await asking(serverMachineReset, 'web-0'), /^The next secret that 0{31}1 sends is bound to it/);
  await said(checkInOf(500, { host: { name: 'web-0' } }));
  assert.equal(await refusalOf(asking(serverMachineReset, 'web-0')), 'usage', 'two are called so');
});
