/** Scenario: a machine that GRUB starts finds its flags again, updates itself, and comes back from bad releases after all of their tries. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awaitState, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';

test('GRUB starts version 2 from slot b, and 2 again after both tries of one that panics and of one whose agent cannot start', () =>
  inLab('grub', { loader: 'grub', method: 'kexec', tries: 2 }, async (lab) => {
    const { machine } = lab;
    await losesFlags(machine);
    const lines = linesOf(machine).length;
    await updates(lab);
    await panics(lab);
    await staysMute(lab);
    assert.ok(!linesOf(machine).slice(lines).some(complains), 'GRUB complains of nothing but its lost flags');
  }));

/** A machine as the factory made it: nobody but the running system can say what is proven. */
async function losesFlags(machine: Machine): Promise<void> {
  await machine.run('for file in grubenv grubenv2; do echo nonsense >/efi/EFI/tandem/$file; done; sync');
  await settled(machine, await machine.reboot(), 'a', '1');
  assert.match(await environment(machine, 'grubenv'), /^ORDER=a\na_OK=1\na_LEFT=0\nb_OK=0\nb_LEFT=0$/m);
}

async function updates(lab: Lab): Promise<void> {
  const { machine } = lab;
  await settled(machine, await update(lab, '2'), 'b', '2');
  const after = await environment(machine, 'grubenv');
  assert.match(after, /^ORDER=b a\na_OK=1\na_LEFT=0\nb_OK=1\nb_LEFT=0$/m, 'slot a is the way back');
  assert.equal(await environment(machine, 'grubenv2'), after);
  assert.equal((await statusOf(machine)).confirmed, true);
}

/** The first try is counted by us, the second by GRUB. */
async function panics(lab: Lab): Promise<void> {
  const { machine } = lab;
  const [boots, lines] = [machine.boots, linesOf(machine).length];
  await settled(machine, await update(lab, '4'), 'b', '2');
  assert.equal(machine.boots, boots + 2, 'a try and the old system');
  const said = linesOf(machine).slice(lines);
  assert.equal(said.filter((text) => /Kernel panic/.test(text)).length, 2);
  assert.deepEqual(startsIn(said), ['a', 'b'], 'what GRUB says it has started');
  assert.match(await environment(machine, 'grubenv'), /^ORDER=(b|a b)\na_OK=0\na_LEFT=0\nb_OK=1\nb_LEFT=0$/m);
  assert.equal((await statusOf(machine)).refused[0]?.version, '4');
  await machine.attempt('updatectl check');
  assert.equal(machine.boots, boots + 2, 'the same release is not taken again');
}

/** The dead man's timer ends each try. */
async function staysMute(lab: Lab): Promise<void> {
  const { machine } = lab;
  const lines = linesOf(machine).length;
  let ready = await update(lab, '7');
  while (ready.version === '7') ready = await machine.awaitReady(UPDATE_MS);
  await settled(machine, ready, 'b', '2');
  assert.deepEqual(startsIn(linesOf(machine).slice(lines)), ['a', 'b']);
  const refused = (await statusOf(machine)).refused.map(({ version }) => version);
  assert.deepEqual(refused, ['4', '7']);
}

const complains = (text: string): boolean => /^error:/.test(text);

const linesOf = ({ log }: Machine): string[] => log.lines.map(({ text }) => text);

const startsIn = (lines: readonly string[]): string[] =>
  lines.flatMap((text) => /Starting slot ([ab])/.exec(text)?.[1] ?? []);

async function settled(machine: Machine, ready: Ready, slot: string, version: string): Promise<void> {
  assert.deepEqual([ready.slot, ready.version], [slot, version]);
  await awaitState(machine, 'idle');
}

const environment = (machine: Machine, file: string): Promise<string> => machine.run(`cat /efi/EFI/tandem/${file}`);
