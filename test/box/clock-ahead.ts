/** A wrong clock for the agent and what it calls, and for nobody else. */

import type { Box } from './box.ts';

const TRIPLETS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
const LIBRARY = `/usr/lib/${TRIPLETS[process.arch]}/faketime/libfaketime.so.1`;
const FOLDER = '/run/systemd/system/tandem-agent.service.d';
const DROP_IN = `${FOLDER}/clock.conf`;

/** Starts the agent again, so many hours ahead; 0 is the right time. */
export async function clockAhead(box: Box, hours: number): Promise<void> {
  const environment = `LD_PRELOAD=${LIBRARY} FAKETIME=+${hours}h DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1`;
  await box.run(
    hours === 0
      ? `rm ${DROP_IN}`
      : `mkdir -p ${FOLDER} && printf '[Service]\\nEnvironment=${environment}\\n' >${DROP_IN}`,
  );
  await box.run('systemctl daemon-reload && systemctl restart tandem-agent.service');
}
