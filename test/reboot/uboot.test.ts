/** U-Boot's environment through the tools of libubootenv: what every backend promises, and writes that power cuts short. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { SLOT_NAMES, type Version } from '../../src/model.ts';
import { flagsBackend } from '../../src/reboot/bootloaders/flags-backend.ts';
import {
  armed,
  confirmed,
  disabled,
  nextSlot,
  type SlotFlags,
  tried,
} from '../../src/reboot/bootloaders/slot-flags.ts';
import { environmentCopies, formatUboot, parseUboot, ubootFlags } from '../../src/reboot/bootloaders/uboot.ts';
import { type Exec, realExec, run } from '../../src/system/process/exec.ts';
import { kernelFolder } from '../support/kernel-folder.ts';
import { AT_FIRST, type UbootEnvironment, ubootEnvironment } from '../support/uboot-environment.ts';
import { type Bench, conformance } from './backend-conformance.ts';

conformance('U-Boot', async (): Promise<Bench> => {
  const environment = await ubootEnvironment();
  const store = ubootFlags(realExec, environment.config);
  const { versionOf, ...kernels } = await kernelFolder();
  return {
    backend: flagsBackend(store, versionOf),
    ...kernels,
    start: async () => {
      const flags = await store.load();
      const slot = nextSlot(flags);
      if (slot && !flags.slots[slot].successful) await store.save(tried(flags, slot));
      return slot;
    },
    bless: async (slot) => environment.set(`BOOT_${slot.toUpperCase()}_OK=1\n`),
    [Symbol.asyncDispose]: async () => {
      await kernels[Symbol.asyncDispose]();
      await environment[Symbol.asyncDispose]();
    },
  };
});

const STEPS: readonly ((flags: SlotFlags) => SlotFlags)[] = [
  (flags) => disabled(flags, 'b'),
  (flags) => armed(flags, 'b', 3),
  (flags) => tried(flags, 'b'),
  (flags) => confirmed(flags, 'b'),
  (flags) => disabled(flags, 'a'),
  (flags) => armed(flags, 'a', 9),
];

test('a write that is cut short at any byte, from either end, leaves the old flags or the new ones', async (t) => {
  await using environment = await ubootEnvironment(256);
  const store = ubootFlags(realExec, environment.config);
  const written = new Set<number>();
  let cases = 0;
  for (const step of STEPS) {
    const [before, old] = [await environment.contents(), await store.load()];
    await store.save(step(old));
    const [after, wanted] = [await environment.contents(), await store.load()];
    const changed = before.findIndex((copy, index) => !copy.equals(after[index] ?? copy));
    written.add(changed);
    for (const torn of tornBetween(before[changed as 0 | 1], after[changed as 0 | 1])) {
      await environment.restore(changed === 0 ? [torn, before[1]] : [before[0], torn]);
      const found = await store.load();
      assert.deepEqual(found, formatUboot(found) === formatUboot(old) ? old : wanted);
      cases++;
    }
    await environment.restore(after);
  }
  assert.deepEqual([...written].sort(), [0, 1]);
  assert.ok(cases > 500, `${cases} cases`);
  t.diagnostic(`${cases} torn writes of both copies, each read by fw_printenv`);
});

/** Every content that a write can leave on its way, each once. */
function tornBetween(before: Buffer, after: Buffer): Buffer[] {
  const torn = new Map<string, Buffer>();
  for (let length = 0; length <= after.length; length++)
    for (const one of [
      Buffer.concat([after.subarray(0, length), before.subarray(length)]),
      Buffer.concat([before.subarray(0, length), after.subarray(length)]),
    ])
      torn.set(one.toString('latin1'), one);
  return [...torn.values()];
}

test('a torn write is followed by whole ones', async () => {
  await using environment = await ubootEnvironment();
  const store = ubootFlags(realExec, environment.config);
  for (const copy of [0, 1] as const) {
    const contents = await environment.contents();
    contents[copy].fill(0x55, 2, 40);
    const other = contents[1 - copy] as Buffer;
    await environment.restore(copy === 0 ? [contents[0], other] : [other, contents[1]]);
    for (const slot of ['b', 'a'] as const) {
      const wanted = confirmed(await store.load(), slot);
      await store.save(wanted);
      assert.deepEqual(await store.load(), wanted);
    }
  }
});

test('the counter of writes goes round and round', async () => {
  await using environment = await ubootEnvironment();
  const store = ubootFlags(realExec, environment.config);
  for (let round = 0; round < 270; round++) {
    const wanted = armed(AT_FIRST, 'b', 1 + (round % 9));
    await store.save(wanted);
    assert.deepEqual(await store.load(), wanted);
  }
});

test('an environment that is lost is not taken for an empty one, and not written', async () => {
  await using environment = await ubootEnvironment();
  const backend = flagsBackend(ubootFlags(realExec, environment.config), async () => '2' as Version);
  const lost = [Buffer.alloc(512), Buffer.alloc(512)] as const;
  await environment.restore(lost);
  await assert.rejects(backend.read(), { code: 'boot-environment' });
  await assert.rejects(backend.disable('b'), { code: 'boot-environment' });
  assert.deepEqual(await environment.contents(), lost);
});

test('a tool that prints what is built into it in place of a lost environment, and succeeds, is not believed', async () => {
  const said = {
    libubootenv: { stdout: 'Cannot read environment, using default\nbootcmd=run x\n', stderr: '' },
    'U-Boot': { stdout: 'bootcmd=run x\n', stderr: 'Warning: Bad CRC, using default environment\n' },
  };
  for (const [tool, answer] of Object.entries(said)) {
    const calls: string[] = [];
    const exec: Exec = async (name) => {
      calls.push(name);
      return { exitCode: 0, timedOut: false, ...answer };
    };
    const backend = flagsBackend(ubootFlags(exec, '/etc/fw_env.config'), async () => '2' as Version);
    for (const verb of [() => backend.read(), () => backend.disable('b'), () => backend.confirm('a')])
      await assert.rejects(verb(), { code: 'boot-environment', message: /fw_env\.config/ }, tool);
    assert.ok(!calls.includes('fw_setenv'), tool);
  }
});

test('a variable may speak of a bad CRC', async () => {
  const exec: Exec = async () => ({
    exitCode: 0,
    timedOut: false,
    stdout: 'hint=echo Warning: Bad CRC, using default environment\nBOOT_ORDER=A\nBOOT_A_OK=1\n',
    stderr: '',
  });
  assert.equal((await ubootFlags(exec, '/etc/fw_env.config').load()).slots.a.successful, true);
});

test('the board keeps its own variables', async () => {
  await using environment = await ubootEnvironment();
  const store = ubootFlags(realExec, environment.config);
  await store.save(armed(await store.load(), 'b', 2));
  assert.match(await printed(environment), /^baudrate=115200$/m);
  assert.match(await printed(environment), /^BOOT_ORDER=B A$/m);
});

test('a board that was never told anything starts nothing by right, and the running slot can be confirmed', async () => {
  await using environment = await ubootEnvironment();
  await environment.set('BOOT_ORDER=\nBOOT_A_OK=\nBOOT_A_LEFT=\nBOOT_B_LEFT=\n');
  const backend = flagsBackend(ubootFlags(realExec, environment.config), async () => '2' as Version);
  const { next, isLost } = await backend.read();
  assert.deepEqual([next, isLost], [undefined, true]);
  await backend.confirm('a');
  assert.equal((await backend.read()).slots.a.confirmed, true);
});

test('a missing configuration is told by name', async () => {
  await assert.rejects(ubootFlags(realExec, '/nowhere/fw_env.config').load(), {
    code: 'boot-environment',
    message: /\/nowhere\/fw_env\.config/,
  });
});

const flag = fc.constantFrom(
  { bootable: false, successful: false, tries: 0 },
  { bootable: true, successful: true, tries: 0 },
  ...Array.from({ length: 10 }, (_, tries) => ({ bootable: true, successful: false, tries })),
);

test('what is written is read again as it was, wherever a slot can start', () => {
  fc.assert(
    fc.property(fc.constantFrom(...SLOT_NAMES), flag, flag, (first, a, b) => {
      fc.pre({ a, b }[first].bootable);
      assert.deepEqual(parseUboot(formatUboot({ first, slots: { a, b } })), { first, slots: { a, b } });
    }),
  );
});

test('any text is read without a fault, and gives at most nine tries', () => {
  const line = fc.tuple(
    fc.constantFrom('BOOT_ORDER', 'BOOT_A_OK', 'BOOT_A_LEFT', 'BOOT_B_OK', 'BOOT_B_LEFT', 'other'),
    fc.oneof(fc.string(), fc.constantFrom('A B', 'B', 'A A B C', '1', '9', '10', '-1', 'a', '0x3')),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { slots } = parseUboot(lines.map(([name, value]) => `${name}=${value}`).join('\n'));
      for (const { tries } of Object.values(slots)) assert.ok(tries >= 0 && tries <= 9);
    }),
  );
});

test('one copy of the environment is told from two', () => {
  assert.equal(environmentCopies('# a comment\n/dev/mmcblk0 0x1000 0x4000\n\n/dev/mmcblk0 0x9000 0x4000\n'), 2);
  assert.equal(environmentCopies('/dev/mtd1 0x0 0x4000 0x4000\n#/dev/mtd2 0x0 0x4000 0x4000\n'), 1);
  assert.equal(environmentCopies('uboot:\n  size: 0x4000\n  devices:\n    - path: /dev/a\n    - path: /dev/b\n'), 2);
  assert.equal(environmentCopies(''), 0);
});

test('with one copy only, a torn write loses the environment: this is what two are for', async () => {
  await using environment = await ubootEnvironment();
  const store = ubootFlags(realExec, environment.config);
  await writeFile(environment.config, `${environment.copies[0]} 0x0 0x200\n`);
  await environment.restore([Buffer.alloc(512), Buffer.alloc(512)]);
  await environment.set(formatUboot(AT_FIRST));
  const [before] = await environment.contents();
  await store.save(armed(AT_FIRST, 'b', 3));
  const [after] = await environment.contents();
  await environment.restore([Buffer.concat([after.subarray(0, 20), before.subarray(20)]), after]);
  await assert.rejects(store.load(), { code: 'boot-environment' });
});

const printed = (environment: UbootEnvironment): Promise<string> =>
  run(realExec, 'fw_printenv', ['-c', environment.config]);

test('tries that a boot script has given both slots, since it knew nothing, prove neither', async () => {
  await using environment = await ubootEnvironment();
  await environment.set('BOOT_ORDER=A B\nBOOT_A_OK=\nBOOT_A_LEFT=2\nBOOT_B_OK=\nBOOT_B_LEFT=3\n');
  const backend = flagsBackend(ubootFlags(realExec, environment.config), async () => '2' as Version);
  assert.equal((await backend.read()).isLost, true);
});
