/** A clock that was wrong for a while. */

import { test } from 'node:test';
import { inLab } from './lab.ts';

const TRIPLETS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
const LIBRARY = `/usr/lib/${TRIPLETS[process.arch]}/faketime/libfaketime.so.1`;
/** For the agent and what it calls, and for nobody else. */
const DROP_IN = '/run/systemd/system/tandem-agent.service.d';

test('a host whose clock was 40 hours ahead for a while updates as soon as it is right again', () =>
  inLab({}, async ({ box, release, offer }) => {
    const environment = `LD_PRELOAD=${LIBRARY} FAKETIME=+40h DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1`;
    await box.run(`mkdir -p ${DROP_IN} && printf '[Service]\\nEnvironment=${environment}\\n' >${DROP_IN}/clock.conf`);
    await box.run('systemctl daemon-reload && systemctl restart tandem-agent.service');
    const ahead = new Date(Date.now() + 39 * 3_600_000).toISOString();
    await box.until('it has looked with a clock that is ahead', ({ lastGoodCheck = '' }) => lastGoodCheck > ahead);

    await box.run(`rm ${DROP_IN}/clock.conf && systemctl daemon-reload && systemctl restart tandem-agent.service`);
    await release({ version: '2' });
    await offer('2');
    await box.settled('b', '2');
  }));
