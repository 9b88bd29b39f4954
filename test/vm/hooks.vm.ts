/** Scenario: a program makes the host ready before it restarts; the new system takes that back once it has proven itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, update } from './guest.ts';
import { inLab } from './lab.ts';

const DIR = '/var/lib/pre-reboot.d';

/** Asks for more time once; says with which rights, for which word and in which system it runs. */
const PROGRAM = `#!/bin/sh
. /etc/os-release
echo "$1 in $IMAGE_VERSION" >>/var/lib/made-ready
grep -q '^CapEff:.*1ffffffffff$' /proc/self/status && echo "with rights" >>/var/lib/made-ready
[ "$1" = undo ] || [ -e /var/lib/asked ] || { touch /var/lib/asked; echo "a pod is left"; exit 21; }
`;

test('a program runs before the restart with the rights of the machine, is asked again, and is undone by the new system', () =>
  inLab('hooks', { patient: true, reboot: `hook_directories = ["${DIR}"]` }, async (lab) => {
    const { machine } = lab;
    await machine.run(`mkdir -p ${DIR} && cat >${DIR}/10-drain <<'END'\n${PROGRAM}END\nchmod 755 ${DIR}/10-drain`);
    await assertSettled(machine, await update(lab, '2'), 'b', '2');
    const said = (await machine.run('cat /var/lib/made-ready')).trim().split(/\r?\n/);
    const rights = 'with rights';
    assert.deepEqual(said, ['do in 1', rights, 'do in 1', rights, 'undo in 2', rights]);
    assert.equal((await machine.attempt('ls /var/lib/tandem/pre-reboot.json')).status, 2, 'nothing is owed');
  }));
