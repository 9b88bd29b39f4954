/** Makes what the scenarios start from, unless it is there already; says why when it cannot. */

import { prepareFixture } from './fixture.ts';

try {
  const { accelerator, disks } = await prepareFixture();
  console.log(`The reference machine is ready (${accelerator}): ${disks['systemd-boot']}`);
} catch (error) {
  console.error(`The reference machine cannot be made: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
