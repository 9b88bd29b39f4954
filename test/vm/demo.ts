/** `make demo`: a real Debian system updates itself twice over the network, receives a broken release, and comes back by itself. */

import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { otherSlot, type SlotName } from '../../src/model.ts';
import { ServerProcess } from '../support/server-process.ts';
import { awaitState, checkNow, UPDATE_MS } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';
import { updatectl } from './programs.ts';
import { servedBy } from './repository.ts';
import { createStory, type Story } from './story.ts';

const DISK = 'lsblk --noheadings --output NAME,SIZE,PARTLABEL,MOUNTPOINTS /dev/vda';
const story = createStory();

await inLab('demo', {}, async (lab) => {
  const { machine } = lab;
  story.scene('A machine');
  story.say('A Debian system runs in a virtual machine, read-only, from one of two root partitions. Its disk:');
  for (const line of (await machine.run(DISK)).split('\n')) story.say(`  ${line}`);
  story.happened(`Version 1 runs from ${partition('a')}. The partition ${partition('b')} is free.`);

  await goodUpdate(lab, '2', 'a');
  await goodUpdate(lab, '3', 'b');
  await brokenUpdate(lab, '4', 'a');

  story.scene('What is left');
  for (const line of (await machine.run('updatectl status; echo; updatectl history')).split('\n')) story.say(line);
  await fleet(lab);
  console.log(
    '\nLook inside yourself: `make shell` gives you a root shell in such a machine. `make test-vm` cuts its power.',
  );
});

async function goodUpdate(lab: Lab, version: string, from: SlotName): Promise<void> {
  const { machine } = lab;
  const free = otherSlot(from);
  story.scene(`Version ${version} is published`);
  story.say(
    `The publisher signs "the channel offers ${version}"; a web server hands out the files. Nothing else tells the machine.`,
  );
  const ready = await follow(lab, version, free);
  story.happened(`The machine is up again: version ${ready.version} from ${partition(ready.slot)}, still on trial.`);
  expect(ready, free, version);
  await awaitState(machine, 'idle');
  story.happened(
    `Its health was probed and found good: ${version} is confirmed. ${partition(from)} keeps the old version.`,
  );
}

async function brokenUpdate(lab: Lab, version: string, from: SlotName): Promise<void> {
  const { machine } = lab;
  const free = otherSlot(from);
  story.scene(`Version ${version} is published, and it is broken`);
  story.say('Its kernel panics before anything of ours can run: only the boot loader can help now.');
  const before = machine.boots;
  const back = follow(lab, version, free);
  for (let tries = 1; tries <= 3; tries += 1) {
    await machine.awaitLine(/Kernel panic/, UPDATE_MS);
    story.happened(`Try ${tries}: the kernel panics, the machine restarts. The boot loader has counted it.`);
  }
  const ready = await back;
  expect(ready, from, '3');
  story.happened(
    `After ${machine.boots - before} starts: version ${ready.version} from ${partition(ready.slot)} again, by itself.`,
  );
  await awaitState(machine, 'idle');
  story.happened(`Version ${version} is refused and will not be tried again.`);
}

/** The machine reports to a fleet server, whose dashboard stays open until a key is pressed. */
async function fleet({ machine, repository, dir }: Lab): Promise<void> {
  story.scene('The fleet');
  await using server = await ServerProcess.start(['--repository', servedBy(repository), '--state', join(dir, 'fleet')]);
  const { port } = new URL(server.url);
  const settings = '/var/lib/tandem/config.d/50-fleet.toml';
  await machine.run(
    `printf '[fleet]\\nurl = "http://10.0.2.2:${port}/"\\n' >${settings} && systemctl restart tandem-agent.service`,
  );
  story.say('A fleet server has started. The machine is told its address by one file on /var, and reports to it:');
  for (const line of await checkedIn(server, dir)) story.say(`  ${line}`);
  story.happened(`The dashboard: ${server.url}  Sign in with ${server.operatorToken}`);
  if (!process.stdin.isTTY) return;
  story.say('Look around. Press a key to end.');
  process.stdin.setRawMode(true).resume();
  await once(process.stdin, 'data');
  process.stdin.setRawMode(false).pause();
}

/** The machines of the fleet as a table, once there are any. */
async function checkedIn(server: ServerProcess, dir: string): Promise<readonly string[]> {
  const token = join(dir, 'operator.token');
  await writeFile(token, server.operatorToken ?? '', { mode: 0o600 });
  const ask = ['rollout', 'machines', '--server', server.url, '--token-file', token];
  for (const end = performance.now() + UPDATE_MS; performance.now() < end; await sleep(1000)) {
    const { machines } = JSON.parse(await updatectl([...ask, '--json'])) as { machines: readonly unknown[] };
    if (machines.length > 0) return (await updatectl(ask)).split('\n');
  }
  throw new Error('the machine does not report to the fleet server');
}

/** Tells what the agent does until the machine announces the system it has come up with. */
async function follow({ machine, offer }: Lab, version: string, free: SlotName): Promise<Ready> {
  await offer(version);
  machine.forgetOutput();
  await checkNow(machine);
  const telling = new AbortController();
  void tell(machine, version, free, story, telling.signal).catch(() => undefined);
  const ready = await machine.awaitReady(UPDATE_MS);
  telling.abort();
  return ready;
}

async function tell(machine: Machine, version: string, free: SlotName, to: Story, stop: AbortSignal): Promise<void> {
  const sentences: Record<string, string> = {
    staging: `The agent has checked the signatures. It writes ${version} to ${partition(free)}, checking every block; no boot entry leads there.`,
    staged: `Everything was read back from the disk and is right. Now, and only now, a boot entry with three tries is made.`,
    armed: 'The machine reboots.',
  };
  let known = '';
  while (!stop.aborted) {
    const { output } = await machine.attempt('cat /var/lib/tandem/state.json');
    const kind = /"kind": ?"([a-z]+)"/.exec(output)?.[1] ?? '';
    if (kind !== known && sentences[kind]) to.happened(sentences[kind]);
    known = kind;
    if (kind === 'armed') return;
    await sleep(500);
  }
}

function expect(ready: Ready, slot: SlotName, version: string): void {
  if (ready.slot === slot && ready.version === version) return;
  throw new Error(`expected version ${version} in slot ${slot}, but ${ready.version} runs from ${ready.slot}`);
}

function partition(slot: SlotName): string {
  return `root-${slot}`;
}
