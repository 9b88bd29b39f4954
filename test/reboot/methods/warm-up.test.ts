/** What the next system needs first is read before the running one stops, within bounds, and nothing else is touched. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mappedFiles, warmUp } from '../../../src/reboot/methods/warm-up.ts';
import { fakeMachine } from '../../support/fake-machine.ts';

const line = (path: string): string => `7f00-7f01 r-xp 00000000 fe:00 1234                       ${path}`;

test('the files of the image that a process has mapped are found, each once', () => {
  const maps = [
    line('/usr/lib/systemd/systemd'),
    line('/usr/lib/x86_64-linux-gnu/libc.so.6'),
    line('/usr/lib/x86_64-linux-gnu/libc.so.6'),
    line('/usr/bin/a name with spaces'),
    line('/usr/bin/updated (deleted)'),
    line('/var/lib/database'),
    line('/dev/shm/segment'),
    line('[stack]'),
    '7f00-7f01 rw-p 00000000 00:00 0',
  ].join('\n');
  assert.deepEqual(mappedFiles(maps), [
    '/usr/lib/systemd/systemd',
    '/usr/lib/x86_64-linux-gnu/libc.so.6',
    '/usr/bin/a name with spaces',
  ]);
});

test('programs that run are read below the next root, the service manager first, then what it reads when it starts', async () => {
  await using machine = await fakeMachine();
  await machine.put('proc/20/maps', line('/usr/bin/beat'));
  await machine.put('proc/1/maps', line('/usr/lib/systemd/systemd'));
  await machine.put('run/nextroot/usr/lib/systemd/system/beat.service', '');
  const read: string[] = [];
  const readThrough = async (path: string): Promise<number> => read.push(path);
  await warmUp({ files: machine.files, readThrough, monotonicMs: () => 0 }, '/run/nextroot');
  assert.deepEqual(
    read.map((path) => path.replace('/run/nextroot/', '')),
    ['usr/lib/systemd/systemd', 'usr/bin/beat', 'usr/lib/systemd/system/beat.service', 'usr/lib/systemd/system'],
  );
});

test('what cannot be read, and a process that has ended, do not keep a machine from its restart', async () => {
  await using machine = await fakeMachine();
  await machine.put('proc/1/maps', line('/usr/bin/beat'));
  const files = { ...machine.files, read: () => Promise.reject(new Error('No such process')) };
  const readThrough = (): Promise<number> => Promise.reject(new Error('Input/output error'));
  assert.equal(await warmUp({ files, readThrough, monotonicMs: () => 0 }, '/run/nextroot'), 0);
});

test('a machine with little memory or a slow disk is not kept busy: reading ends by bytes and by time', async () => {
  await using machine = await fakeMachine();
  for (let pid = 1; pid <= 20; pid += 1) await machine.put(`proc/${pid}/maps`, line(`/usr/bin/program-${pid}`));
  const files = machine.files;
  const most: number[] = [];
  const large = async (_: string, limit: number): Promise<number> => {
    most.push(limit);
    return limit;
  };
  const bytes = await warmUp({ files, readThrough: large, monotonicMs: () => 0 }, '/run/nextroot');
  assert.ok(bytes <= 192 * 1024 * 1024 && most.length < 20, `${bytes} bytes of ${most.length} files`);
  let now = 0;
  let count = 0;
  const slow = async (): Promise<number> => {
    now += 4000;
    count += 1;
    return 1;
  };
  await warmUp({ files, readThrough: slow, monotonicMs: () => now }, '/run/nextroot');
  assert.equal(count, 3);
});
