/** The lock that a fleet server keeps, as its operator sees and changes it on the command line. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from '../../src/cli/command.ts';
import { lockRelease } from '../../src/cli/lock/lock-release.ts';
import { lockSetMax } from '../../src/cli/lock/lock-set-max.ts';
import { lockStatus } from '../../src/cli/lock/lock-status.ts';
import { refusalOf, runCommand } from '../support/command-line.ts';
import { ServerProcess } from '../support/server-process.ts';
import { TestRepository } from '../support/tuf-repository.ts';

const HOST = '4f'.repeat(16);

test('the lock of a fleet server is seen, resized and freed with an operator’s token', async () => {
  using repository = await new TestRepository().init();
  await using server = await ServerProcess.start([
    ...['--repository', repository.dir, '--state', join(repository.top, 'state')],
  ]);
  writeFileSync(join(repository.top, 'token'), `${server.operatorToken}\n`);
  const asking = (command: Command, ...args: string[]): Promise<string> =>
    runCommand(command, repository.top, [
      ...args,
      ...['--server', server.url, '--token-file', 'token', '--group', 'web'],
    ]);
  assert.match(await asking(lockStatus), /^Reboot lock of group web: 1 at once, 1 free/);
  const taken = await fetch(`${server.url}/v1/pre-reboot`, {
    method: 'POST',
    headers: { 'fleet-lock-protocol': 'true' },
    body: JSON.stringify({ client_params: { id: HOST, group: 'web' } }),
  });
  assert.equal(taken.status, 200);
  assert.match(await asking(lockStatus), new RegExp(`1 at once, 0 free[\\s\\S]*${HOST} +rebooting`));
  assert.equal(await asking(lockSetMax, '3', '--max-failures', '2'), '3 hosts of group web may reboot at once.\n');
  assert.match(await asking(lockStatus), /3 at once, 2 free; more than 2 failures/);
  assert.match(await asking(lockRelease, HOST), /no longer holds the reboot lock of group web/);
  assert.equal(JSON.parse(await asking(lockStatus, '--json')).free, 3);
  assert.equal(await refusalOf(asking(lockRelease, HOST)), 'lock-not-held');
  assert.equal(await refusalOf(asking(lockStatus, '--endpoint', 'http://127.0.0.1:1')), 'usage');
  writeFileSync(join(repository.top, 'token'), 'wrong\n');
  assert.equal(await refusalOf(asking(lockStatus)), 'denied');
});
