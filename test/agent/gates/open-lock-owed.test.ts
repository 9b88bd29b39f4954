/** A host whose lock will not be taken back, as poseidon/fleetlock does of a node that it does not know: the real agent, through its restarts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import type { LockClient } from '../../../src/reboot/gates/locks/lock-client.ts';
import { keptHere } from '../../support/kept-lock.ts';
import { type Behaviour, freshStorage, liveUntilRest, makeUpdate } from '../../support/simulated-host.ts';

for (const [behaviour, version] of [
  ['good', '2'],
  ['unhealthy', '1'],
] as const satisfies readonly (readonly [Behaviour, string])[])
  test(`a host that cannot give its lock back goes on looking for updates, and says so: ${behaviour}`, async () => {
    const asked: string[] = [];
    const client: LockClient = {
      countsFailures: false,
      take: async () => {
        asked.push('take');
        return { ok: true };
      },
      begin: async () => {},
      giveBack: async () => {
        asked.push('give back');
        throw new UpdateError('server-failed', 'lock.example: error uncordoning node (internal_error).');
      },
    };
    const lock = keptHere(client);
    const update = await makeUpdate(behaviour);
    const status = await liveUntilRest(freshStorage(), update, undefined, undefined, undefined, lock);
    assert.deepEqual([status.state.kind, status.running?.version], ['idle', version]);
    assert.ok(status.lastGoodCheck !== undefined, 'it has asked the repository since');
    assert.deepEqual([status.lockOwed?.code, status.lockOwed?.group], ['server-failed', 'web']);
    assert.ok(asked.includes('take') && asked.at(-1) === 'give back', asked.join());
  });
