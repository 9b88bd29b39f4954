/** Scenario: a machine without any boot loader. Its firmware starts the kernels by its own variables, and falls back after the one try. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeGuid } from '../../src/partitions/guid.ts';
import { formatBootOption } from '../../src/reboot/bootloaders/boot-option.ts';
import { awaitState, statusOf, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';

const VARIABLES = '/sys/firmware/efi/efivars';
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const FIRST = 0x0010;

test('the firmware starts version 2 by BootNext, keeps it by BootOrder, and leaves one that panics after one try', () =>
  inLab('efi', {}, async (lab) => {
    const { machine } = lab;
    await installWithoutLoader(lab);
    const before = machine.boots;

    await settled(machine, await update(lab, '2'), 'b', '2');
    assert.equal(machine.boots - before, 1, 'one start for the update');
    assert.equal((await statusOf(machine)).confirmed, true);
    const [first, second] = await order(machine);
    assert.notEqual(first, FIRST, 'the new slot has an option of its own, and comes first');
    assert.equal(second, FIRST, 'the slot that was left is the way back');
    assert.equal(await next(machine), undefined);

    await settled(machine, await update(lab, '4'), 'b', '2');
    assert.equal(machine.boots - before, 3, 'one try and the old system');
    assert.equal(machine.log.lines.filter(({ text }) => /Kernel panic/.test(text)).length, 1);
    assert.equal((await order(machine))[0], first);
    assert.equal(await next(machine), undefined);
    assert.equal((await statusOf(machine)).refused[0]?.version, '4');
  }));

/** What a factory does: the kernel in its place, and one option that starts it. From here on nothing of systemd-boot is left. */
async function installWithoutLoader({ machine }: Lab): Promise<void> {
  const config = machine.options.config.replace('backend = "systemd-boot"', 'backend = "efi-variables"');
  assert.match(config, /efi-variables/);
  await writeFile(join(machine.options.dir, 'config.toml'), config);
  await machine.run('mkdir -p /efi/EFI/tandem && mv /efi/EFI/Linux/*.efi /efi/EFI/tandem/a.efi');
  await machine.run('rm -r /efi/EFI/Linux /efi/EFI/BOOT /efi/loader && sync');
  await put(machine, `Boot${hex(FIRST)}`, formatBootOption('Tandem a', await espNode(machine), '\\EFI\\tandem\\a.efi'));
  await put(machine, 'BootOrder', numbers([FIRST, ...(await order(machine))]));
  await machine.run(`cat >/run/tandem/config.d/20-machine.toml <<'END'\n${config}END`);
  await machine.run('systemctl restart tandem-agent.service');
  assert.deepEqual((await statusOf(machine)).running?.version, '1');
}

/** The device path node of the EFI system partition. */
async function espNode(machine: Machine): Promise<Uint8Array> {
  const { partitiontable: table } = JSON.parse(await machine.run('sfdisk --json /dev/vda')) as {
    partitiontable: { partitions: { name: string; start: number; size: number; uuid: string }[] };
  };
  const index = table.partitions.findIndex(({ name }) => name === 'esp');
  const esp = table.partitions[index];
  assert.ok(esp);
  const node = Buffer.from([4, 1, 42, 0, ...Buffer.alloc(36), 2, 2]);
  node.writeUInt32LE(index + 1, 4);
  node.writeBigUInt64LE(BigInt(esp.start), 8);
  node.writeBigUInt64LE(BigInt(esp.size), 16);
  writeGuid(node, 24, esp.uuid.toLowerCase());
  return node;
}

async function put(machine: Machine, name: string, value: Uint8Array): Promise<void> {
  const octal = [7, 0, 0, 0, ...value].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  await machine.run(`printf '${octal}' >${VARIABLES}/${name}-${GLOBAL}`);
}

async function numbersOf(machine: Machine, name: string): Promise<number[]> {
  const { status, output } = await machine.attempt(`od -An -v -tu2 -j4 ${VARIABLES}/${name}-${GLOBAL}`);
  return status === 0 ? output.trim().split(/\s+/).filter(Boolean).map(Number) : [];
}

const order = (machine: Machine): Promise<number[]> => numbersOf(machine, 'BootOrder');

const next = async (machine: Machine): Promise<number | undefined> => (await numbersOf(machine, 'BootNext'))[0];

const numbers = (list: readonly number[]): Uint8Array => Buffer.concat(list.map((one) => Buffer.from([one, one >> 8])));

const hex = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0');

async function settled(machine: Machine, ready: Ready, slot: string, version: string): Promise<void> {
  assert.deepEqual([ready.slot, ready.version], [slot, version]);
  await awaitState(machine, 'idle');
}
