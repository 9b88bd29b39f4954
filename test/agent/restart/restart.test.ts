/** From the choice to the jump: what fails on the way costs the speed, and nothing else. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Loop } from '../../../src/agent/loop/loop.ts';
import type { Parts } from '../../../src/agent/loop/parts.ts';
import { perform } from '../../../src/agent/loop/perform.ts';
import { runJump } from '../../../src/agent/restart/jump.ts';
import { createLeaving, restartStatus } from '../../../src/agent/restart/leaving.ts';
import { freeSlot } from '../../../src/agent/restart/preparation.ts';
import { createRestart, type RestartWorld, undoLeftOver } from '../../../src/agent/restart/restart.ts';
import { resolveConfig } from '../../../src/config/config.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Method, Product, SlotName, State, Version } from '../../../src/model.ts';
import { silentLog } from '../../../src/system/log.ts';
import { rootHashOfVersion } from '../../support/esp.ts';
import { type FakeMachine, fakeMachine } from '../../support/fake-machine.ts';
import { peFile } from '../../support/pe.ts';
import { readerOf } from '../../support/readers.ts';

const commandLine = (version: string): string => `quiet roothash=${rootHashOfVersion(version)}`;
const image = (version: string, linux: string) =>
  readerOf(
    peFile([
      ['.cmdline', commandLine(version)],
      ['.linux', linux],
    ]),
  );

type Given = Readonly<{ wanted?: Method | 'auto'; kernels?: Partial<Record<SlotName, string>>; said?: string }>;

/** A machine on slot a, in which everything is possible. */
async function host({ wanted = 'auto', kernels = { a: 'k', b: 'k' }, said }: Given = {}) {
  const machine = await fakeMachine();
  await machine.put('proc/cmdline', commandLine('1'));
  await machine.put('sys/kernel/security/lockdown', '[none]');
  await machine.put('systemctl-says', '257\n');
  const world: RestartWorld = {
    wanted,
    mostKexecs: 5,
    firmwareFlags: [],
    esp: '/efi',
    isBootNextOurs: false,
    runtimeDir: machine.dir,
    kernels: {
      open: async (slot) => {
        const linux = kernels[slot];
        return linux === undefined ? undefined : image(slot === 'a' ? '1' : '2', linux);
      },
    },
    booted: 'a',
    bootId: 'boot',
    exec: machine.exec,
    // The unit, which does not run here, leaves its reason after the old one was removed.
    files: {
      ...machine.files,
      remove: async (path) => {
        if (!path.endsWith('jump-failed')) await machine.files.remove(path);
        else if (said !== undefined) await machine.put('jump-failed', said);
      },
    },
    clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => {} },
    uptimeMs: () => 12_345.6,
    log: silentLog,
  };
  return { machine, world, restart: createRestart(world), [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose]() };
}

const started = async (machine: FakeMachine): Promise<string[]> =>
  (await machine.calls())
    .filter((call) => call.includes('systemctl start'))
    .map((call) => call.split(' ').at(-1) ?? '');

test('the choice is made from the boot images of both slots and from what the host says', async () => {
  await using same = await host();
  assert.equal((await same.restart.choose('b', [])).method, 'soft');
  await using other = await host({ kernels: { a: 'k', b: 'l' } });
  assert.equal((await other.restart.choose('b', [])).method, 'kexec');
  await using blind = await host({ kernels: { a: 'k' } });
  const choice = await blind.restart.choose('b', []);
  assert.equal(choice.method, 'firmware');
  assert.match(choice.reason, /slot b has no boot image/);
});

test('where nothing but the firmware is configured, nobody is asked', async () => {
  await using one = await host({ wanted: 'firmware' });
  assert.equal((await one.restart.choose('b', [])).method, 'firmware');
  assert.deepEqual(await one.machine.calls(), []);
});

test('a host that cannot be asked restarts through the firmware', async () => {
  await using one = await host();
  await one.machine.failAt(1);
  const choice = await one.restart.choose('b', []);
  assert.deepEqual([choice.method, /told to fail/.test(choice.reason)], ['firmware', true]);
});

test('a preparation that fails is taken back, told in its own words, and not tried again by this agent', async () => {
  await using one = await host();
  const { machine, restart } = one;
  const choice = await restart.choose('b', []);
  const before = (await machine.calls()).length;
  await machine.failAt(before + 1);
  const left = await restart.prepare(choice, 'b');
  assert.equal(left.method, 'firmware');
  assert.match(left.reason, /tandem-jump@soft-b\.service failed: systemctl was told to fail/);
  assert.deepEqual(await started(machine), ['tandem-jump@soft-b.service', 'tandem-jump@free-b.service']);
  assert.deepEqual((await restart.choose('b', [])).ruledOut[0]?.method, 'soft');
});

test('what the unit left to be read is the reason', async () => {
  await using one = await host({ said: 'the tree is damaged' });
  const choice = await one.restart.choose('b', []);
  await one.machine.failAt((await one.machine.calls()).length + 1);
  assert.match((await one.restart.prepare(choice, 'b')).reason, /the tree is damaged/);
});

test('what an agent has made ready the next one takes back: by name, once, and only where there is something', async () => {
  await using one = await host();
  const { machine, world } = one;
  await createRestart(world).undo();
  assert.deepEqual(await started(machine), [], 'nothing was made ready');
  await createRestart(world).prepare(await createRestart(world).choose('b', []), 'b');
  const next = createRestart(world);
  await next.undo();
  await next.undo();
  assert.deepEqual(await started(machine), ['tandem-jump@soft-b.service', 'tandem-jump@free-b.service']);
});

test('it is on record before it begins, and until it was taken back', async () => {
  await using one = await host();
  const { machine, world } = one;
  const choice = await one.restart.choose('b', []);
  const failing: RestartWorld = {
    ...world,
    exec: async (program, args, options) => {
      if (String(args[1]).includes('soft-b'))
        assert.equal(await readFile(join(machine.dir, 'prepared'), 'utf8'), 'b\n');
      const result = await machine.exec(program, args, options);
      return String(args[1]).startsWith('tandem-jump@') ? { ...result, exitCode: 1 } : result;
    },
  };
  assert.equal((await createRestart(failing).prepare(choice, 'b')).method, 'firmware');
  await assert.rejects(createRestart(failing).undo(), { code: 'slot-held' });
  await createRestart(world).undo();
  assert.deepEqual((await started(machine)).slice(-3), Array(3).fill('tandem-jump@free-b.service'));
  await createRestart(world).undo();
  assert.equal((await started(machine)).length, 4);
});

test('who has arrived by a soft reboot finds the record of his own slot, and nothing to take back', async () => {
  await using one = await host();
  await one.machine.put('prepared', 'b\n');
  await createRestart({ ...one.world, booted: 'b' }).undo();
  assert.deepEqual(await started(one.machine), []);
});

test('a restart through the firmware leaves nothing ready behind', async () => {
  await using one = await host({ wanted: 'firmware' });
  await one.machine.put('prepared', 'b\n');
  await one.restart.prepare(await one.restart.choose('b', []), 'b');
  assert.deepEqual(await started(one.machine), ['tandem-jump@free-b.service']);
});

test('an agent that starts takes back what is left over, unless a release is armed', async () => {
  await using one = await host();
  const { machine, restart } = one;
  await machine.put('prepared', 'b\n');
  const loop = (kind: string) => ({ state: () => ({ kind }), parts: { restart } }) as unknown as Loop;
  await undoLeftOver(loop('armed'));
  assert.deepEqual(await started(machine), []);
  await machine.failAt(1);
  await undoLeftOver(loop('staged'));
  await undoLeftOver(loop('staged'));
  assert.deepEqual(await started(machine), Array(2).fill('tandem-jump@free-b.service'), 'a failure only warns');
});

test('a slot is let go of before it is written when something lies over it, or it was made ready', async () => {
  await using one = await host();
  const { machine, world } = one;
  const config = resolveConfig([{ path: 'x.toml', text: `[agent]\nruntime_dir = "${machine.dir}"\n` }]);
  const free = (isMapped: boolean) => freeSlot(config, world, { booted: 'a', isMapped: async () => isMapped }, 'b');
  await free(false);
  assert.deepEqual(await started(machine), []);
  await machine.put('prepared', 'b\n');
  await free(false);
  await free(false);
  await free(true);
  assert.deepEqual(await started(machine), Array(2).fill('tandem-jump@free-b.service'));
});

test('a slot that cannot be let go of says that a full restart frees it', async () => {
  await using one = await host({ said: 'Device tandem-1 is still in use.' });
  const config = resolveConfig([{ path: 'x.toml', text: `[agent]\nruntime_dir = "${one.machine.dir}"\n` }]);
  await one.machine.failAt(1);
  await assert.rejects(freeSlot(config, one.world, { booted: 'a', isMapped: async () => true }, 'b'), (error) => {
    assert.ok(error instanceof UpdateError);
    assert.equal(error.code, 'slot-held');
    assert.match(error.message, /still in use/);
    assert.match(error.entry.next, /systemctl reboot/);
    return true;
  });
});

const ARMED: State = {
  kind: 'armed',
  release: { product: 'p' as Product, version: '2' as Version },
  target: 'b',
  bootId: 'boot',
};

/** Performs the reboot; notes the order of what happens. */
async function reboot(restart: Partial<Parts['restart']>, countTry?: () => Promise<void>) {
  const order: string[] = [];
  const note =
    (what: string) =>
    async (...details: unknown[]): Promise<void> =>
      void order.push([what, ...details].join(' '));
  const choice = { method: 'kexec', reason: 'r', ruledOut: [] } as const;
  const parts = {
    boot: { countTry: countTry ?? note('count') },
    reboot: note('firmware'),
    restart: {
      choose: async () => choice,
      prepare: async (given: unknown) => note('prepare')().then(() => given),
      departure: ({ method }: { method: Method }) => ({ method, reason: 'r', at: '', uptimeMs: 0, bootId: '' }),
      jump: note('jump'),
      undo: note('undo'),
      ...restart,
    },
    save: async (state: State, event: { type: string; departure?: { method: string } }) =>
      note('save')(event.type, event.departure?.method).then(() => state),
  } as unknown as Parts;
  const failure = await perform(parts, ARMED, { do: 'reboot', target: 'b', tried: [] }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { order, failure };
}

test('prepared, noted, counted, and only then jumped', async () => {
  const { order } = await reboot({});
  assert.deepEqual(order, ['prepare', 'save left kexec', 'count b', 'jump kexec']);
});

test('the firmware needs no counting: the boot loader does it', async () => {
  const firmware = { method: 'firmware', reason: 'r', ruledOut: [] } as const;
  const { order } = await reboot({ choose: async () => firmware });
  assert.deepEqual(order, ['prepare', 'save left firmware', 'firmware']);
});

test('a try that cannot be counted is not made, and a jump that is refused is taken back', async () => {
  const uncounted = await reboot({}, async () => {
    throw new UpdateError('boot-not-armed');
  });
  assert.deepEqual(uncounted.order, ['prepare', 'save left kexec', 'undo']);
  assert.ok(uncounted.failure instanceof UpdateError);
  const refused = await reboot({
    jump: async () => {
      throw new UpdateError('reboot-inhibited');
    },
  });
  assert.deepEqual(refused.order, ['prepare', 'save left kexec', 'count b', 'undo']);
});

test('an agreed restart is waited for, but not for ever', async () => {
  let now = 0;
  const leaving = createLeaving({ monotonicMs: () => now });
  assert.equal(leaving.isAgreed(), false);
  await leaving.agreed(Promise.resolve());
  assert.equal(leaving.isAgreed(), true);
  now = 5 * 60_000;
  assert.equal(leaving.isAgreed(), false);
  await assert.rejects(leaving.agreed(Promise.reject(new Error('refused'))));
  assert.equal(leaving.isAgreed(), false);
});

test('a host that leaves shows the way it has chosen; one that has stayed shows the way that is left', async () => {
  await using one = await host();
  const journal = { history: async () => [] };
  const departure = { method: 'soft', reason: 'r', at: '', uptimeMs: 0, bootId: 'boot' } as const;
  const stayed: State = { ...ARMED, departure, tried: ['soft'] } as State;
  const shown = async (isLeaving: boolean) => (await restartStatus(one.restart, journal, stayed, isLeaving)).restart;
  assert.deepEqual(await shown(true), { method: 'soft', reason: 'r', ruledOut: [] });
  const { method, reason } = (await shown(false)) ?? {};
  assert.equal(method, 'firmware');
  assert.match(reason ?? '', /soft was already tried/);
});

test('the jump unit leaves the reason of its failure where the agent looks for it', async () => {
  await using machine = await fakeMachine();
  const config = resolveConfig([{ path: 'x.toml', text: `[agent]\nruntime_dir = "${machine.dir}"\n` }]);
  const world = { ...machine, log: silentLog } as unknown as Parameters<typeof runJump>[1];
  await assert.rejects(runJump(config, world, 'soft-c'), { code: 'usage' });
  assert.match(await readFile(join(machine.dir, 'jump-failed'), 'utf8'), /“soft-c” is not soft, kexec or free/);
});
