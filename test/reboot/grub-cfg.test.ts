/** The grub.cfg that we ship, run by the real GRUB: it counts, falls back, and starts something when everything is odd. */

import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { readVariables } from '../../src/reboot/bootloaders/grub-environment.ts';
import { readFlags, unknownFlags } from '../../src/reboot/bootloaders/grub-flags.ts';
import { nextSlot, tried } from '../../src/reboot/bootloaders/slot-flags.ts';
import {
  type GrubMachine,
  type GrubOptions,
  grubMachine,
  LATE_KERNEL,
  RETURNING_KERNEL,
} from '../support/grub-machine.ts';

const ARMED = ['ORDER=b a', 'a_OK=1', 'a_LEFT=0', 'b_OK=0', 'b_LEFT=3'];
const PROVEN = ['ORDER=a b', 'a_OK=1', 'a_LEFT=0', 'b_OK=1', 'b_LEFT=0'];
const NO_BLOCK = Buffer.alloc(1024, '!');

/** Both kernels are there unless they are named as missing or given other bytes. */
async function machineWith(
  variables: readonly string[],
  kernels: Readonly<Record<string, string | undefined>> = {},
  options: GrubOptions = {},
): Promise<GrubMachine> {
  const machine = await grubMachine(variables, options);
  for (const [slot, bytes] of Object.entries({ a: 'a kernel', b: 'a kernel', ...kernels }))
    if (bytes !== undefined) await writeFile(`${machine.dir}/${slot}.efi`, bytes);
  return machine;
}

const flagsIn = async (machine: GrubMachine) => readFlags(new Map(readVariables(await readFile(machine.environment))));

test('nine tries are nine starts, each counted by one changed byte', async () => {
  await using machine = await machineWith([...ARMED.slice(0, 4), 'b_LEFT=9', 'saved_entry=of somebody else']);
  for (let left = 9; left > 0; left--) {
    const before = await readFile(machine.environment);
    assert.equal(await machine.start(), 'b');
    const after = await readFile(machine.environment);
    const changed = [...before.keys()].filter((at) => before[at] !== after[at]);
    assert.equal(changed.length, 1, 'what a power cut cannot halve');
    assert.equal((await flagsIn(machine))?.slots.b.tries, left - 1);
  }
  assert.equal(await machine.start(), 'a');
  assert.match(await machine.list(), /^saved_entry=of somebody else$/m);
});

test('while the environment is damaged, its copy counts', async () => {
  for (const damaged of [NO_BLOCK, Buffer.alloc(0), undefined]) {
    await using machine = await machineWith(ARMED);
    await writeFile(`${machine.environment}2`, await readFile(machine.environment));
    if (damaged) await writeFile(machine.environment, damaged);
    else await rm(machine.environment);
    assert.deepEqual(
      [await machine.start(), await machine.start(), await machine.start(), await machine.start()],
      ['b', 'b', 'b', 'a'],
    );
  }
});

test('the copy does not count while the environment is whole', async () => {
  await using machine = await machineWith(PROVEN);
  await writeFile(`${machine.environment}2`, (await readFile(machine.environment)).toString().replace('a b', 'b a'));
  assert.equal(await machine.start(), 'a');
});

test('a try that cannot be written down is not made', async () => {
  await using machine = await machineWith(ARMED);
  const block = await readFile(machine.environment);
  // GRUB lists such a block, but refuses to change it.
  block.write('x', block.length - 1);
  await writeFile(machine.environment, block);
  assert.equal(await machine.start(), 'a');
});

test('a slot without a kernel uses its tries up, and the other slot starts in the same boot', async () => {
  await using machine = await machineWith(ARMED, { b: undefined });
  assert.equal(await machine.start(), 'a');
  assert.equal((await flagsIn(machine))?.slots.b.tries, 2);
});

test('a kernel that gives control back is followed by the other slot', async () => {
  await using machine = await machineWith(ARMED, { b: RETURNING_KERNEL });
  assert.equal(await machine.start(), 'a');
});

test('a proven slot whose kernel is gone does not keep the other from starting', async () => {
  await using machine = await machineWith(['ORDER=a', 'a_OK=1', 'a_LEFT=0', 'b_OK=0', 'b_LEFT=0'], { a: undefined });
  assert.equal(await machine.start(), 'b');
});

test('a proven slot that fails to start once is started again before a release that was refused', async () => {
  for (const [proven, refused] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const flags = [`${proven}_OK=1`, `${proven}_LEFT=0`, `${refused}_OK=0`, `${refused}_LEFT=0`];
    await using machine = await machineWith([`ORDER=${refused} ${proven}`, ...flags], { [proven]: LATE_KERNEL });
    // The clock would choose the same for both.
    assert.equal(await machine.start(), proven);
  }
});

test('without any flags the kernel that is there is started', async () => {
  for (const kernel of ['a', 'b'] as const) {
    const missing = kernel === 'a' ? 'b' : 'a';
    await using machine = await machineWith([], { [missing]: undefined });
    assert.equal(await machine.start(), kernel, 'flags that nobody has set');
    await rm(machine.environment);
    assert.equal(await machine.start(), kernel, 'no environment');
    await writeFile(machine.environment, NO_BLOCK);
    assert.equal(await machine.start(), kernel, 'a damaged environment');
  }
});

test('without any kernel the machine begins again instead of asking somebody', async () => {
  await using machine = await machineWith(PROVEN, { a: undefined, b: undefined });
  assert.equal(await machine.start(), undefined);
});

test('a stick with the same files does not decide, in whichever variable GRUB says where it comes from', async () => {
  for (const pathIn of ['cmdpath', 'fw_path'] as const) {
    await using machine = await machineWith(ARMED, {}, { pathIn, stick: true });
    for (let left = 3; left > 0; left--) assert.equal(await machine.start(), 'b');
    assert.equal(await machine.start(), 'a');
  }
});

const odd = fc.constantFrom('0', '1', '2', '9', '10', '', 'x', '-1', ' 1', '1 ', '*', '!', '(', '1\n1', '$a_OK', 'a b');
const orders = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a b', 'b a', 'a', 'b') },
  fc.constantFrom('', 'a  b', 'a b a', 'B A', '*', 'ab', 'a b ', '(', '!'),
);

test('whatever the variables say, GRUB starts what we say it will, and counts as we do', async (t) => {
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(orders, odd, odd, odd, odd, async (order, aOk, aLeft, bOk, bLeft) => {
      await using machine = await machineWith([
        ...[`ORDER=${order}`, `a_OK=${aOk}`, `a_LEFT=${aLeft}`, `b_OK=${bOk}`, `b_LEFT=${bLeft}`],
      ]);
      const flags = (await flagsIn(machine)) ?? unknownFlags();
      const next = nextSlot(flags);
      const slot = await machine.start();
      runs++;
      if (next === undefined) return assert.ok(slot, 'it starts something all the same');
      assert.equal(slot, next);
      const wanted = flags.slots[next].successful ? flags : tried(flags, next);
      assert.deepEqual(await flagsIn(machine), wanted);
    }),
    { numRuns: 40 },
  );
  t.diagnostic(`${runs} starts`);
});
