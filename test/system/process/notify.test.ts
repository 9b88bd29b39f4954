/** The service manager hears of us through its own program, on a real socket. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { type Exec, realExec } from '../../../src/system/process/exec.ts';
import { createNotifier } from '../../../src/system/process/notify.ts';

// Node.js has no datagram sockets of the Unix family, so the manager's end is played by perl, which every Debian has.
const MANAGER = `
use strict; use Socket; $| = 1;
socket(my $manager, PF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($manager, sockaddr_un($ARGV[0])) or die $!;
print "listening\\n";
my $message;
while (defined recv($manager, $message, 4096, 0)) { $message =~ tr/\\n/|/; print "$message\\n" }
`;

async function withManager(check: (socket: string, next: () => Promise<string>) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-notify-'));
  const socket = join(dir, 'notify');
  const manager: ChildProcess = spawn('perl', ['-e', MANAGER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    assert.ok(manager.stdout);
    const lines = createInterface(manager.stdout)[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      for (;;) {
        const { value, done } = await lines.next();
        assert.ok(!done, 'the manager has ended');
        // systemd-notify asks to be told when all before has been read.
        if (value !== 'BARRIER=1') return value;
      }
    };
    assert.equal(await next(), 'listening');
    await check(socket, next);
  } finally {
    const ended = manager.exitCode === null ? once(manager, 'exit') : undefined;
    manager.kill();
    await ended;
    await rm(dir, { recursive: true });
  }
}

test('ready, alive and status arrive', async () => {
  await withManager(async (socket, next) => {
    const notifier = createNotifier(realExec, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '180000000' });
    assert.equal(notifier.aliveEveryMs, 60_000);
    await notifier.ready('idle,\nnothing to do');
    assert.equal(await next(), 'READY=1|STATUS=idle, nothing to do');
    await notifier.alive();
    assert.equal(await next(), 'WATCHDOG=1');
    await notifier.status('staging 2.1');
    assert.equal(await next(), 'STATUS=staging 2.1');
  });
});

test('without a manager nothing is started and nothing is due', async () => {
  const exec: Exec = async () => assert.fail('started a program');
  const notifier = createNotifier(exec, { WATCHDOG_USEC: '180000000' });
  assert.equal(notifier.aliveEveryMs, undefined);
  await notifier.ready('');
  await notifier.alive();
});

test('a manager that watches nothing, or says something odd, is sent nothing regularly', () => {
  for (const WATCHDOG_USEC of [undefined, '', '0', '-1', 'soon'])
    assert.equal(createNotifier(realExec, { NOTIFY_SOCKET: '/x', WATCHDOG_USEC }).aliveEveryMs, undefined);
});

test('a manager that does not listen is an error with a name', async () => {
  const notifier = createNotifier(realExec, { NOTIFY_SOCKET: join(tmpdir(), 'nobody-listens-here') });
  await assert.rejects(notifier.alive(), { code: 'tool-failed' });
});
