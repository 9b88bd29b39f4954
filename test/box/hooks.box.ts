/** Programs before a restart, under the real systemd. */

import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inLab } from './lab.ts';

/** A program that asks for more time gets a minute; and some more. */
const ASKED_AGAIN_MS = 120_000;
const FOLDER = 'etc/tandem/pre-reboot.d';

/** Children that outlive the program, one of which heeds no signal but the last. */
const FORKS = `#!/bin/sh
echo "$1" >>/var/calls
sleep 1000 &
sh -c 'trap "" TERM; while :; do sleep 1; done' &
`;

/** Asks for more time once; says with which rights, for which word and in which system it runs. */
const DRAINS = `#!/bin/sh
. /etc/os-release
echo "$1 in $IMAGE_VERSION" >>/var/calls
sed -n 's/^Cap\\(Eff\\|Bnd\\):\\t//p' /proc/self/status >>/var/calls
[ "$1" = undo ] || [ -e /var/asked ] || { touch /var/asked; echo "a pod is left"; exit 21; }
`;

test('a program that leaves deaf children behind has ended when it has, in both directions', () => {
  const files = { [`${FOLDER}/10-rude`]: FORKS };
  return inLab({ installed: { files } }, async ({ box, release, offer }) => {
    await release({ version: '2', files });
    await offer('2');
    await box.settled('b', '2');
    assert.equal(await readFile(box.var('calls'), 'utf8'), 'do\nundo\n');
  });
});

test('a program runs before the restart with the rights of the machine, is asked again, and is undone by the new system', () => {
  const files = { [`${FOLDER}/10-drain`]: DRAINS };
  return inLab({ installed: { files } }, async ({ box, release, offer }) => {
    const all = await box.run("sed -n 's/^CapBnd:\\t//p' /proc/1/status");
    await release({ version: '2', files });
    await offer('2');
    await box.until('it is asked again', () => box.boots.length === 2, ASKED_AGAIN_MS);
    await box.settled('b', '2');
    const said = (await readFile(box.var('calls'), 'utf8')).trim().split('\n');
    assert.deepEqual(said, ['do in 1', all, all, 'do in 1', all, all, 'undo in 2', all, all]);
    await assert.rejects(access(box.var('lib/tandem/pre-reboot.json')), { code: 'ENOENT' }, 'nothing is owed');
  });
});
