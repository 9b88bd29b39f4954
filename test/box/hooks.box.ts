/** Programs before a restart that do not do what they should, under the real systemd. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inLab } from './lab.ts';

const HOOK = 'etc/tandem/pre-reboot.d/10-rude';

/** Children that outlive the program, one of which heeds no signal but the last. */
const FORKS = `#!/bin/sh
echo "$1" >>/var/calls
sleep 1000 &
sh -c 'trap "" TERM; while :; do sleep 1; done' &
`;

test('a program that leaves deaf children behind has ended when it has, in both directions', () =>
  inLab({ installed: { files: { [HOOK]: FORKS } } }, async ({ box, release, offer }) => {
    await release({ version: '2', files: { [HOOK]: FORKS } });
    await offer('2');
    await box.settled('b', '2');
    assert.equal(await readFile(box.var('calls'), 'utf8'), 'do\nundo\n');
  }));
