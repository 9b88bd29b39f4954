/** Two systems mount in the same way when their files say the same about a point. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { mountDefinitions, mountUnit } from '../../../src/reboot/methods/mount-definitions.ts';
import { fakeMachine } from '../../support/fake-machine.ts';

const POINTS = ['/var', '/srv/with blank', '/home'];

test('the line in fstab counts, whatever its blanks, and a comment does not', async () => {
  await using machine = await fakeMachine();
  await machine.put(
    'etc/fstab',
    '# /dev/x /home\nPARTLABEL=var /var  ext4 noatime 0 0\n/dev/y /srv/with\\040blank ext4\n',
  );
  await machine.put('next/etc/fstab', 'PARTLABEL=var\t/var ext4\tnoatime 0 0\n');
  const running = await mountDefinitions(machine, '/', POINTS);
  const next = await mountDefinitions(machine, '/next', POINTS);
  assert.deepEqual([...running.keys()], ['/var', '/srv/with blank']);
  assert.deepEqual([...next], [['/var', running.get('/var')]]);
});

test('the mount unit counts with its drop-ins, that in /etc before that in /usr; a masked one is none', async () => {
  await using machine = await fakeMachine();
  const home = async () => (await mountDefinitions(machine, '/', POINTS)).get('/home');
  await machine.put('usr/lib/systemd/system/home.mount', 'What=/dev/x');
  assert.equal(await home(), 'What=/dev/x');
  await machine.put('etc/systemd/system/home.mount.d/10.conf', 'Options=ro');
  assert.equal(await home(), 'What=/dev/x\nOptions=ro');
  await machine.put('etc/systemd/system/home.mount', 'What=/dev/y');
  assert.equal(await home(), 'What=/dev/y\nOptions=ro');
  await machine.files.remove(`${machine.dir}/etc/systemd/system/home.mount.d/10.conf`);
  await machine.put('etc/systemd/system/home.mount', '');
  assert.equal(await home(), undefined);
});

test('units are named as systemd-escape names them', () => {
  for (const point of [
    '/',
    '/var',
    '/var/lib/x',
    '/srv/with blank',
    '/a-b/c_d:e.f',
    '/.hidden/.x',
    '/münchen/ä',
    '/x\\y',
  ]) {
    const name = execFileSync('systemd-escape', ['--path', '--suffix=mount', point], { encoding: 'utf8' }).trim();
    assert.equal(mountUnit(point), name);
  }
});
