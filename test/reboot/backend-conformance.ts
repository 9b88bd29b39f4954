/** What every boot backend must do, whatever lies behind it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sha256, SlotName, Version } from '../../src/model.ts';
import type { BootBackend } from '../../src/reboot/bootloaders/bootloader.ts';
import type { Kernels } from '../../src/reboot/kernels/kernels.ts';
import type { FileReader, IncomingUki } from '../../src/reboot/kernels/uki-file.ts';
import { rootHashOfVersion, sha256, ukiWith } from '../support/esp.ts';

/** A machine with this boot loader. At first slot a runs version 2, confirmed, and slot b is empty. */
export interface Bench extends AsyncDisposable {
  readonly backend: BootBackend;
  /** Where its kernels lie. */
  readonly kernels: Kernels;
  /** Fills a disabled slot, and leaves what `arm` needs. */
  install(slot: SlotName, version: Version): Promise<void>;
  /** The slot's kernel is lost. */
  remove(slot: SlotName): Promise<void>;
  /** Starts the machine: the slot that the boot loader takes, which it counts as it does. */
  start(): Promise<SlotName | undefined>;
  /** Something else than we confirms the slot. */
  bless(slot: SlotName): Promise<void>;
  /** The partitions of slot b hold a root with this hash. */
  holds?(rootHash: Sha256): void;
  /** A kernel with that version and command line; as `uki` makes it where nothing is said. */
  kernel?(version: string, commandLine: string): Uint8Array;
}

const v = (text: string): Version => text as Version;

/** Declares one test for each statement. `mostTries`: how many it counts, if that is less than the statements ask for. */
export function conformance(name: string, makeBench: () => Promise<Bench>, mostTries = 3): void {
  const holds = (statement: string, check: (bench: Bench) => Promise<void>): void => {
    test(`${name}: ${statement}`, async () => {
      await using bench = await makeBench();
      await check(bench);
    });
  };

  holds('at first the running slot is confirmed and next', async ({ backend }) => {
    const { next, slots } = await backend.read();
    assert.equal(next, 'a');
    assert.equal(slots.a.confirmed, true);
    assert.equal(slots.a.version, '2');
    assert.equal(slots.b.bootable, false);
  });

  holds('a slot that was written but not armed is not taken', async (bench) => {
    await staged(bench, 'b', '3');
    assert.equal((await bench.backend.read()).slots.b.bootable, false);
    assert.equal(await bench.start(), 'a');
  });

  for (const tries of [1, 2, 3].filter((one) => one <= mostTries))
    holds(`an armed slot that never confirms is started ${tries} times, then the old one again`, async (bench) => {
      await armed(bench, 'b', '3', tries);
      for (let left = tries; left > 0; left--) {
        const { next, slots } = await bench.backend.read();
        assert.deepEqual([next, slots.b.confirmed, slots.b.triesLeft], ['b', false, left]);
        assert.equal(await bench.start(), 'b');
      }
      for (let again = 0; again < 3; again++) assert.equal(await bench.start(), 'a');
      assert.equal((await bench.backend.read()).slots.a.confirmed, true);
    });

  holds('a try that skips the boot loader is counted like one that does not', async (bench) => {
    const tries = Math.min(2, mostTries);
    await armed(bench, 'b', '3', tries);
    await bench.backend.countTry('b');
    if (tries > 1) assert.equal((await bench.backend.read()).slots.b.triesLeft, 1);
    for (let left = tries - 1; left > 0; left--) assert.equal(await bench.start(), 'b');
    assert.equal(await bench.start(), 'a');
    await assert.rejects(bench.backend.countTry('b'), { code: 'boot-not-armed' });
  });

  holds('a slot whose only try was counted without the boot loader stays once it is confirmed', async (bench) => {
    await armed(bench, 'b', '3', 1);
    await bench.backend.countTry('b');
    await bench.backend.confirm('b');
    await stays(bench, 'b');
  });

  holds('a proven slot has no try to count', async ({ backend }) => {
    await assert.rejects(backend.countTry('a'), { code: 'boot-not-armed' });
  });

  holds('more tries than it can count are refused', async (bench) => {
    assert.equal(Math.min(bench.backend.mostTries, 3), mostTries);
    await staged(bench, 'b', '3');
    await assert.rejects(bench.backend.arm('b', bench.backend.mostTries + 1), RangeError);
    await assert.rejects(bench.backend.arm('b', 0), RangeError);
    assert.equal(await bench.start(), 'a');
  });

  holds('a slot confirmed on its last try stays', async (bench) => {
    await armed(bench, 'b', '3', 1);
    assert.equal(await bench.start(), 'b');
    await bench.backend.confirm('b');
    await stays(bench, 'b');
  });

  holds('a slot that something else has confirmed can be confirmed again', async (bench) => {
    await armed(bench, 'b', '3', 3);
    await bench.start();
    await bench.bless('b');
    await bench.backend.confirm('b');
    await stays(bench, 'b');
  });

  for (const version of ['3', '1'])
    holds(`version ${version} is disarmed by confirming the running slot, and can be armed again`, async (bench) => {
      const tries = Math.min(2, mostTries);
      await armed(bench, 'b', version, tries);
      await bench.backend.confirm('a');
      await stays(bench, 'a');
      assert.equal((await bench.backend.read()).slots.a.confirmed, true);
      await bench.backend.arm('b', tries);
      const { next, slots } = await bench.backend.read();
      assert.deepEqual([next, slots.b.confirmed, slots.b.triesLeft], ['b', false, tries]);
      for (let left = tries; left > 0; left--) assert.equal(await bench.start(), 'b');
      assert.equal(await bench.start(), 'a');
    });

  holds('a try that was counted for a jump that failed is given anew after disarming', async (bench) => {
    await armed(bench, 'b', '3', 1);
    await bench.backend.countTry('b');
    await bench.backend.confirm('a');
    await stays(bench, 'a');
    await bench.backend.arm('b', 1);
    assert.deepEqual([await bench.start(), await bench.start()], ['b', 'a']);
  });

  holds('a condemned slot is left for good: confirm the old one, then disable', async (bench) => {
    await armed(bench, 'b', '3', 3);
    await bench.start();
    await bench.backend.confirm('a');
    assert.equal((await bench.backend.read()).next, 'a');
    await bench.backend.disable('b');
    await stays(bench, 'a');
    assert.equal((await bench.backend.read()).slots.b.bootable, false);
  });

  holds('a condemned slot that something else has confirmed is left as well', async (bench) => {
    await armed(bench, 'b', '3', 3);
    await bench.start();
    await bench.bless('b');
    await bench.backend.confirm('a');
    await bench.backend.disable('b');
    await stays(bench, 'a');
  });

  holds('after a fall back the next release can be tried and stays', async (bench) => {
    await armed(bench, 'b', '3', 1);
    assert.deepEqual([await bench.start(), await bench.start()], ['b', 'a']);
    await armed(bench, 'b', '4', 1);
    assert.equal(await bench.start(), 'b');
    await bench.backend.confirm('b');
    await stays(bench, 'b');
  });

  holds('an older version that is armed comes next, and stays once confirmed', async (bench) => {
    await armed(bench, 'b', '1', 2);
    assert.equal((await bench.backend.read()).next, 'b');
    assert.equal(await bench.start(), 'b');
    await bench.backend.confirm('b');
    await stays(bench, 'b');
  });

  holds('an older version that never confirms gives way to the newer again', async (bench) => {
    const tries = Math.min(2, mostTries);
    await armed(bench, 'b', '1', tries);
    for (let left = tries; left > 0; left--) assert.equal(await bench.start(), 'b');
    for (let again = 0; again < 3; again++) assert.equal(await bench.start(), 'a');
    assert.equal((await bench.backend.read()).slots.a.confirmed, true);
  });

  holds('after the trial of an older version failed, a newer that fails too still falls back', async (bench) => {
    await armed(bench, 'b', '1', 1);
    assert.deepEqual([await bench.start(), await bench.start()], ['b', 'a']);
    await armed(bench, 'b', '3', 1);
    assert.deepEqual([await bench.start(), await bench.start(), await bench.start()], ['b', 'a', 'a']);
  });

  holds('the slot that was left can be armed again, and falls back like any other', async (bench) => {
    await armed(bench, 'b', '3', 1);
    await bench.start();
    await bench.backend.confirm('b');
    const tries = Math.min(2, mostTries);
    await bench.backend.arm('a', tries);
    for (let left = tries; left > 0; left--) assert.equal(await bench.start(), 'a');
    assert.equal(await bench.start(), 'b');
    assert.equal((await bench.backend.read()).slots.b.confirmed, true);
  });

  holds('no slot is disabled or armed when there is nothing to fall back to', async (bench) => {
    const before = await bench.backend.read();
    await assert.rejects(bench.backend.disable('a'), { code: 'boot-no-fallback' });
    await assert.rejects(bench.backend.arm('a', mostTries), { code: 'boot-no-fallback' });
    assert.deepEqual(await bench.backend.read(), before);
  });

  holds('a proven slot is not disabled while the other is on trial', async (bench) => {
    await armed(bench, 'b', '3', 2);
    await assert.rejects(bench.backend.disable('a'), { code: 'boot-no-fallback' });
    assert.equal(await bench.start(), 'b');
    await assert.rejects(bench.backend.disable('a'), { code: 'boot-no-fallback' });
    assert.equal((await bench.backend.read()).slots.a.confirmed, true);
    await bench.backend.confirm('b');
    await bench.backend.disable('a');
    await stays(bench, 'b');
  });

  holds('no slot is disabled or armed when the other has lost its kernel', async (bench) => {
    await staged(bench, 'b', '3');
    await bench.remove('a');
    const before = await bench.backend.read();
    await assert.rejects(bench.backend.disable('b'), { code: 'boot-no-fallback' });
    await assert.rejects(bench.backend.arm('b', 1), { code: 'boot-no-fallback' });
    assert.deepEqual(await bench.backend.read(), before);
  });

  holds('a slot without a kernel is neither armed nor confirmed', async (bench) => {
    await bench.backend.disable('b');
    const before = await bench.backend.read();
    await assert.rejects(bench.backend.arm('b', 1), { code: 'boot-entry-missing' });
    await assert.rejects(bench.backend.confirm('b'), { code: 'boot-entry-missing' });
    assert.deepEqual(await bench.backend.read(), before);
    await stays(bench, 'a');
  });

  holds('a slot that loses its kernel on trial is not confirmed', async (bench) => {
    await armed(bench, 'b', '3', 1);
    assert.equal(await bench.start(), 'b');
    await bench.remove('b');
    await assert.rejects(bench.backend.confirm('b'), { code: 'boot-entry-missing' });
    assert.equal((await bench.backend.read()).slots.b.confirmed, false);
    assert.equal(await bench.start(), 'a');
  });

  for (const [kind, offer] of Object.entries(OFFERS))
    holds(`a kernel ${kind} is refused while the slot holds what it held, or not at all`, async (bench) => {
      await staged(bench, 'b', '1');
      const before = [await bench.backend.read(), await bench.kernels.rootHash('b')];
      const kernel = offer(bench);
      const refusal = await bench.kernels.checkFit('b', kernel.incoming, kernel).then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.deepEqual([await bench.backend.read(), await bench.kernels.rootHash('b')], before);
      bench.holds?.(kernel.incoming.rootHash);
      const putAndArmed = putAndArm(bench, kernel);
      if (refusal === undefined) await putAndArmed;
      else await assert.rejects(putAndArmed, 'it was refused for nothing');
      assert.equal(refusal === undefined, await isStartable(bench), String(refusal));
    });

  holds('every verb may be repeated', async (bench) => {
    const twice = async (deed: () => Promise<void>): Promise<void> => {
      await deed();
      const once = await bench.backend.read();
      await deed();
      assert.deepEqual(await bench.backend.read(), once);
    };
    await twice(() => bench.backend.disable('b'));
    await bench.install('b', v('3'));
    await twice(() => bench.backend.arm('b', mostTries));
    await bench.start();
    await twice(() => bench.backend.confirm('b'));
    await twice(() => bench.backend.arm('a', Math.min(2, mostTries)));
    await twice(() => bench.backend.confirm('b'));
    await twice(() => bench.backend.disable('a'));
  });
}

async function staged(bench: Bench, slot: SlotName, version: string): Promise<void> {
  await bench.backend.disable(slot);
  await bench.install(slot, v(version));
}

/** As often as the backend can count, if it cannot count so far. */
async function armed(bench: Bench, slot: SlotName, version: string, tries: number): Promise<void> {
  await staged(bench, slot, version);
  await bench.backend.arm(slot, Math.min(tries, bench.backend.mostTries));
}

/** A kernel on its way to slot b, in memory. */
type Offer = FileReader & Readonly<{ incoming: IncomingUki; bytes: Uint8Array }>;

const ROOT = sha256('the root that is offered');

function offered(bytes: Uint8Array, version: string): Offer {
  const incoming = { version: v(version), size: bytes.length, sha256: sha256(bytes), rootHash: ROOT };
  const read = async (offset: number, length: number) => bytes.subarray(offset, offset + length);
  return { size: bytes.length, read, incoming, bytes };
}

const naming = (rootHash: string) => `quiet roothash=${rootHash} ro`;

/** Slot a runs version 2. */
const OFFERS: Readonly<Record<string, (bench: Bench) => Offer>> = {
  'of a new version': (bench) => offered(kernelOf(bench, '3', naming(ROOT)), '3'),
  'of the running version, with other bytes,': (bench) => offered(kernelOf(bench, '2', naming(ROOT)), '2'),
  'of a version that is the running one in other digits': (bench) => offered(kernelOf(bench, '02', naming(ROOT)), '02'),
  'for another root': (bench) => offered(kernelOf(bench, '3', naming(rootHashOfVersion('3'))), '3'),
  'that names two roots': (bench) => offered(kernelOf(bench, '3', `${naming(ROOT)} ${naming(ROOT)}`), '3'),
  'that names no root': (bench) => offered(kernelOf(bench, '3', 'quiet'), '3'),
  'that is cut short': (bench) => offered(kernelOf(bench, '3', naming(ROOT)).subarray(0, 700), '3'),
  'that is no program': () => offered(Buffer.alloc(5000, 'x'), '3'),
};

const kernelOf = ({ kernel = ukiWith }: Bench, version: string, commandLine: string): Uint8Array =>
  kernel(version, commandLine);

async function putAndArm({ backend, kernels }: Bench, { incoming, bytes }: Offer): Promise<void> {
  await backend.disable('b');
  async function* chunks() {
    yield bytes;
  }
  await kernels.put('b', incoming, chunks());
  await backend.arm('b', 1);
}

const isStartable = async (bench: Bench): Promise<boolean> =>
  (await bench.kernels.rootHash('b')) === ROOT && (await bench.start()) === 'b';

async function stays(bench: Bench, slot: SlotName): Promise<void> {
  const { next, slots } = await bench.backend.read();
  assert.deepEqual([next, slots[slot].confirmed], [slot, true]);
  for (let again = 0; again < 3; again++) assert.equal(await bench.start(), slot);
}
