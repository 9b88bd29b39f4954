/** The shipped boot script, run by real U-Boot on a virtual board: what it starts and writes down, and what every boot loader must do. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SLOT_NAMES } from '../../src/model.ts';
import { flagsBackend } from '../../src/reboot/bootloaders/flags-backend.ts';
import { nextSlot, type SlotFlag, type SlotFlags, tried } from '../../src/reboot/bootloaders/slot-flags.ts';
import { formatUboot, ubootFlags } from '../../src/reboot/bootloaders/uboot.ts';
import { realExec } from '../../src/system/process/exec.ts';
import { type Bench, conformance } from '../reboot/backend-conformance.ts';
import { kernelFolder } from '../support/kernel-folder.ts';
import { type Board, boardFactory, kernelOf, type Outcome } from './uboot-board.ts';

let boards: Awaited<ReturnType<typeof boardFactory>>;
before(async () => {
  boards = await boardFactory();
});
after(() => boards[Symbol.asyncDispose]());

const NEVER: SlotFlag = { bootable: false, successful: false, tries: 0 };
const PROVEN: SlotFlag = { bootable: true, successful: true, tries: 0 };
const tries = (left: number): SlotFlag => ({ bootable: true, successful: false, tries: left });

const variablesOf = (flags: SlotFlags): Record<string, string> =>
  Object.fromEntries(
    formatUboot(flags)
      .trim()
      .split('\n')
      .map((line) => line.split('=', 2) as [string, string]),
  );

const flagsOf = async (board: Board): Promise<SlotFlags> => ubootFlags(realExec, board.environment).load();

/** What the script must do, by the model that the backend decides with. */
function expected(flags: SlotFlags): Readonly<{ outcome: Outcome; after: SlotFlags }> {
  const slot = nextSlot(flags);
  if (slot) return { outcome: slot, after: flags.slots[slot].successful ? flags : tried(flags, slot) };
  const again = (flag: SlotFlag): SlotFlag => (flag.bootable ? tries(3) : flag);
  return { outcome: 'reset', after: { ...flags, slots: { a: again(flags.slots.a), b: again(flags.slots.b) } } };
}

const FLAGS = [NEVER, PROVEN, tries(0), tries(1), tries(9)];
const EVERY: SlotFlags[] = SLOT_NAMES.flatMap((first) =>
  FLAGS.flatMap((a) => FLAGS.map((b) => ({ first, slots: { a, b } }))),
).filter(({ first, slots }) => slots[first].bootable);

test(`from each of ${EVERY.length} environments it starts what the model says, and writes down the same`, async () => {
  await using board = await boards.make();
  for (const flags of EVERY) {
    await board.set(variablesOf(flags));
    const { outcome, after: left } = expected(flags);
    assert.equal(await board.start(), outcome, formatUboot(flags));
    assert.deepEqual(await flagsOf(board), left, formatUboot(flags));
  }
});

test('a try that cannot be written down is not made', async () => {
  await using board = await boards.make();
  await board.set({ ...variablesOf({ first: 'b', slots: { a: PROVEN, b: tries(3) } }), tandem_save: 'false' });
  for (let again = 0; again < 3; again++) assert.equal(await board.start(), 'a');
});

test('a board that keeps its environment in its own way is asked to', async () => {
  await using board = await boards.make();
  // biome-ignore lint/suspicious/noTemplateCurlyInString: U-Boot's own variables.
  const own = { tandem_save: 'run remember', remember: 'setenv remembered ${BOOT_B_LEFT}; saveenv' };
  await board.set({ ...variablesOf({ first: 'b', slots: { a: PROVEN, b: tries(3) } }), ...own });
  assert.equal(await board.start(), 'b');
  assert.equal((await board.variables())['remembered'], '2');
});

test('a kernel that is missing or damaged costs its try, and the other slot starts', async () => {
  await using board = await boards.make();
  await board.set(variablesOf({ first: 'b', slots: { a: PROVEN, b: tries(2) } }));
  await board.putKernel('b');
  assert.equal(await board.start(), 'a');
  await board.putKernel('b', Buffer.from('no program at all'));
  assert.equal(await board.start(), 'a');
  assert.deepEqual((await flagsOf(board)).slots, { a: PROVEN, b: tries(0) });
});

test('a proven slot that fails to start once comes before a release that was refused, also when tries are given anew', async () => {
  await using board = await boards.make();
  await board.set(variablesOf({ first: 'b', slots: { a: PROVEN, b: tries(0) } }));
  await board.putKernel('a');
  assert.equal(await board.start(), 'reset');
  assert.deepEqual(await flagsOf(board), { first: 'a', slots: { a: PROVEN, b: tries(3) } });
  await board.putKernel('a', kernelOf('a'));
  for (let again = 0; again < 2; again++) assert.equal(await board.start(), 'a');
});

test('an environment that is lost gives each slot three tries, in turn and again', async () => {
  await using board = await boards.make();
  await board.wipe();
  assert.equal(await board.start(), 'reset');
  const starts: Outcome[] = [];
  for (let start = 0; start < 7; start++) starts.push(await board.start());
  assert.deepEqual(starts, ['a', 'a', 'a', 'b', 'b', 'b', 'reset']);
});

test('a command line of the board does not take the place of the one in the kernel image', async () => {
  await using board = await boards.make();
  await board.set({ BOOT_ORDER: 'B', BOOT_B_OK: '', BOOT_B_LEFT: '1', bootargs: 'root=/dev/sdb3' });
  await board.putKernel('b', Buffer.from('no program at all'));
  // What is written down after all has failed shows what the kernel would have been given.
  assert.equal(await board.start(), 'reset');
  assert.equal((await board.variables())['bootargs'], undefined);
});

test('words it does not know start nothing', async () => {
  await using board = await boards.make();
  await board.set({ BOOT_ORDER: 'C B A', BOOT_A_OK: '1', BOOT_B_LEFT: '0x3', BOOT_B_OK: 'yes', BOOT_C_LEFT: '3' });
  assert.equal(await board.start(), 'a');
});

conformance('U-Boot on its board', async (): Promise<Bench> => {
  const board = await boards.make();
  const { versionOf, ...kernels } = await kernelFolder();
  await board.set(variablesOf({ first: 'a', slots: { a: PROVEN, b: NEVER } }));
  return {
    backend: flagsBackend(ubootFlags(realExec, board.environment), versionOf),
    ...kernels,
    start: async () => {
      const outcome = await board.start();
      return outcome === 'reset' ? undefined : outcome;
    },
    bless: (slot) => board.set({ [`BOOT_${slot.toUpperCase()}_OK`]: '1' }),
    [Symbol.asyncDispose]: async () => {
      await kernels[Symbol.asyncDispose]();
      await board[Symbol.asyncDispose]();
    },
  };
});
