/** What scenarios do in a guest again and again: offer a release, follow the update, look at slots and entries. */

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { otherSlot, type SlotName, type StateKind } from '../../src/model.ts';
import type { Status } from '../../src/protocol.ts';
import type { Lab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';
import { PRODUCT } from './releases.ts';

/** Writing a whole system takes an emulated processor minutes. */
export const UPDATE_MS = 15 * 60_000;
/** A busy host gives an emulated processor a fraction of its own. */
const SETTLE_MS = 5 * 60_000;
const POLL_MS = 1_000;

/** Without an agent the command fails, and says what is known all the same. */
export const statusOf = async (machine: Machine): Promise<Status> =>
  JSON.parse((await machine.attempt('updatectl status --json')).output) as Status;

/** Offers a release and waits for the system that the machine itself reboots into. */
export async function update(lab: Lab, version: string): Promise<Ready> {
  await lab.offer(version);
  lab.machine.forgetOutput();
  await checkNow(lab.machine);
  return lab.machine.awaitReady(UPDATE_MS);
}

/** Asks the agent to ask the repository, and does not wait: the command follows the update up to the reboot. The agent may be still starting. */
export const checkNow = (machine: Machine): Promise<string> =>
  machine.run('(for i in 1 2 3 4 5 6; do updatectl check && break; sleep 5; done) </dev/null >/run/check.log 2>&1 &');

/** Waits until the agent rests in a state. Reads the file, since asking the agent would keep the emulated processor from it. */
export async function awaitState(machine: Machine, kind: StateKind, timeoutMs = SETTLE_MS): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const { output } = await machine.attempt('cat /var/lib/tandem/state.json');
    if (new RegExp(`"kind": ?"${kind}"`).test(output)) return;
    if (performance.now() > end) throw new Error(`the agent is not ${kind}: ${output}`);
    await sleep(POLL_MS);
  }
}

/** Names of the boot entries. */
export const entries = async (machine: Machine): Promise<string[]> =>
  (await machine.run('ls /efi/EFI/Linux')).split(/\s+/).filter(Boolean).sort();

/** Asserts that this is what runs, that it is confirmed, and that the agent has come to rest. */
export async function assertSettled(machine: Machine, ready: Ready, slot: SlotName, version: string): Promise<void> {
  assert.deepEqual([ready.slot, ready.version], [slot, version], 'what the guest says is running');
  await awaitState(machine, 'idle');
  const found = await entries(machine);
  assert.ok(found.includes(`${PRODUCT}_${version}.efi`), `the entry of ${version} is confirmed: ${found.join(' ')}`);
}

/** Overwrites a slot that is not running, so that nothing can fall back to it silently. */
export async function destroyOther(machine: Machine, running: SlotName): Promise<void> {
  const slot = otherSlot(running);
  await machine.run(
    `for part in root-${slot} root-${slot}-verity; do
       dd if=/dev/urandom of=/dev/disk/by-partlabel/$part bs=1M count=4 conv=fsync status=none
     done`,
  );
}

/** The power fails, as when somebody pulls the plug because nothing happens any more, and comes back. */
export async function switchOffAndOn(machine: Machine): Promise<void> {
  await machine.powerCut();
  machine.forgetOutput();
  machine.powerOn();
}

/** The power fails as soon as a system has announced itself, long before it can be confirmed; returns what comes up then. */
export async function cut(machine: Machine): Promise<Ready> {
  await switchOffAndOn(machine);
  return machine.awaitReady(UPDATE_MS);
}
