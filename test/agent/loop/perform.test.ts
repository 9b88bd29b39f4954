/** One action at a time: what is left when something in the middle of it fails. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, decide, type Event, type Facts, transition } from '../../../src/agent/loop/machine.ts';
import type { Found, Parts } from '../../../src/agent/loop/parts.ts';
import { perform } from '../../../src/agent/loop/perform.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Method, Product, Release, SlotName, State, Verdict, Version } from '../../../src/model.ts';
import { flagsBackend } from '../../../src/reboot/bootloaders/flags-backend.ts';
import type { SlotFlag, SlotFlags } from '../../../src/reboot/bootloaders/slot-flags.ts';
import { Turns } from '../../support/in-turn.ts';

const NEVER: SlotFlag = { bootable: false, successful: false, tries: 0 };
const PROVEN: SlotFlag = { bootable: true, successful: true, tries: 0 };
const tries = (left: number): SlotFlag => ({ bootable: true, successful: false, tries: left });

const release: Release = { product: 'shop' as Product, version: '2' as Version };
const onTrial = (target: SlotName): State => ({ kind: 'trial', release, target });
const armed: State = { kind: 'armed', release, target: 'b', bootId: 'x' };

type Wishes = Readonly<{
  method?: Method;
  verdict?: Verdict;
  jump?: Error;
  undo?: Error;
  save?: (event: Event) => void;
  prepare?: Parts['prepare'];
}>;

/** A machine with flags in memory; `deeds` are what was done to everything else. */
function machine(
  flags: SlotFlags,
  { verdict = { ok: true }, method = 'soft', jump, undo, save, prepare }: Wishes = {},
) {
  const now = { flags };
  const deeds: string[] = [];
  const deed = (name: string, error?: Error) => async (): Promise<void> => {
    deeds.push(name);
    if (error) throw error;
  };
  const store = {
    name: 'flags',
    mostTries: 9,
    load: async () => now.flags,
    save: async (wanted: SlotFlags) => {
      now.flags = wanted;
    },
  };
  const parts = {
    boot: flagsBackend(store, async () => '1' as Version),
    tries: 1,
    probe: async () => verdict,
    prepare,
    reboot: deed('reboot'),
    restart: {
      choose: async () => ({ method, reason: '', ruledOut: [] }),
      prepare: async (choice: unknown) => choice,
      departure: () => ({ method, reason: '', at: '', uptimeMs: 0, bootId: 'x' }),
      jump: deed('jump', jump),
      undo: deed('undo', undo),
    },
    lock: { take: deed('take'), giveBack: deed('give back') },
    deadMan: { set: deed('set'), clear: deed('clear') },
    reportDisarmed: deed('report'),
    noteFailed: deed('note failed'),
    report: deed('report'),
    save: async (state: State, event: Event) => {
      save?.(event);
      return transition(state, event);
    },
  } as unknown as Parts;
  return { now, deeds, parts };
}

const facts: Facts = {
  booted: 'a',
  running: release,
  confirmed: true,
  bootId: 'x',
  leaving: false,
  trial: { began: 0, expired: false, lost: 0 },
  isFlagged: false,
  isLost: false,
  isOfferFresh: true,
  gate: { ok: true },
  checkDue: false,
};

const LOST: SlotFlags = { first: 'a', slots: { a: tries(2), b: NEVER } };
const ARMED: SlotFlags = { first: 'b', slots: { a: PROVEN, b: tries(1) } };

test('a system that fails its trial stays on trial while no other slot is known to start', async () => {
  const { parts, now, deeds } = machine(LOST, { verdict: { ok: false, reason: 'the database is away' } });
  await assert.rejects(perform(parts, onTrial('a'), { do: 'probe', target: 'a' }), {
    code: 'boot-no-fallback',
    message: /the database is away.*slot b is not known to start/,
  });
  assert.deepEqual([now.flags, deeds], [LOST, []]);
});

test('a condemned system is not left for a slot that was never proven', async () => {
  const { parts, now, deeds } = machine(LOST);
  const condemned: State = { kind: 'condemned', release, target: 'a', code: 'unhealthy', reason: 'x' };
  await assert.rejects(perform(parts, condemned, { do: 'fall-back', from: 'a' }), { code: 'boot-no-fallback' });
  assert.deepEqual([now.flags, deeds], [LOST, []]);
});

test('a system that fails its trial is condemned where the other slot is proven', async () => {
  const { parts } = machine(ARMED, { verdict: { ok: false, reason: 'x' } });
  assert.equal((await perform(parts, onTrial('b'), { do: 'probe', target: 'b' })).kind, 'condemned');
});

const leave = { do: 'reboot', target: 'b', tried: [] } as const;

test('a jump that is refused gives the slot its tries again, and what was prepared is taken back', async () => {
  for (const code of ['reboot-inhibited', 'reboot-failed'] as const) {
    const { parts, now, deeds } = machine(ARMED, { jump: new UpdateError(code) });
    await assert.rejects(perform(parts, armed, leave), { code });
    assert.deepEqual([now.flags, deeds], [ARMED, ['jump', 'undo']]);
  }
});

test('a jump of which nobody knows whether it was refused stays counted', async () => {
  const { parts, now } = machine(ARMED, { jump: new UpdateError('tool-failed') });
  await assert.rejects(perform(parts, armed, leave), { code: 'tool-failed' });
  assert.equal(now.flags.slots.b.tries, 0);
});

test('what was prepared is taken back when the departure cannot be written down', async () => {
  const save = (): void => {
    throw new UpdateError('state-unwritable');
  };
  const { parts, deeds, now } = machine(ARMED, { save });
  await assert.rejects(perform(parts, armed, leave), { code: 'state-unwritable' });
  assert.deepEqual([now.flags, deeds], [ARMED, ['undo']]);
});

test('the failure that is told is the first, not that of taking back', async () => {
  const { parts } = machine(ARMED, { jump: new UpdateError('reboot-inhibited'), undo: new UpdateError('tool-failed') });
  await assert.rejects(perform(parts, armed, leave), { code: 'reboot-inhibited' });
});

test('a disarmed slot gives the lock back even where the preparation cannot be taken back yet', async () => {
  const { parts, deeds, now } = machine(ARMED, { undo: new UpdateError('tool-failed') });
  const staged: State = { kind: 'staged', release, target: 'b' };
  await assert.rejects(perform(parts, staged, { do: 'disarm', booted: 'a' }), { code: 'tool-failed' });
  assert.equal(now.flags.first, 'a');
  assert.deepEqual(deeds, ['give back', 'report', 'undo'], 'the switch stays on, so that it is gone on with');
});

const staging = (attempt = 0): State => ({ kind: 'staging', release, target: 'b', attempt });
const stage = { do: 'stage', release, target: 'b' } as const;
const failing = (error: Error): Wishes => ({ prepare: async () => Promise.reject(error) });

/** As Node.js reports it. */
const systemError = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: open '${path}'`), { code, syscall: 'open', path });

test('a system call that fails while a release is written ends the attempt by its name, and is not the release’s fault', async () => {
  for (const [errno, code] of [
    ['EROFS', 'file-system-read-only'],
    ['ENOSPC', 'file-system-full'],
    ['EIO', 'disk-read-error'],
  ] as const) {
    const { parts } = machine(ARMED, failing(systemError(errno, '/var/lib/tandem/x')));
    const ended = await perform(parts, staging(), stage);
    assert.deepEqual(
      ended.kind === 'settling' && ended.outcome.result === 'failed' && [ended.outcome.code, ended.outcome.refuse],
      [code, false],
    );
  }
});

test('a stick that cannot be read is not the release’s fault', async () => {
  const ended = await perform(machine(ARMED, failing(new UpdateError('source-unreadable'))).parts, staging(), stage);
  assert.ok(ended.kind === 'settling' && ended.outcome.result === 'failed' && !ended.outcome.refuse);
});

test('what an attempt met is kept, told at once, and again when the release is given up', async () => {
  let state = staging();
  const save = (event: Event): void => {
    state = transition(state, event);
  };
  const { parts } = machine(ARMED, { ...failing(new Error('bits fell out')), save });
  while (state.kind === 'staging' && decide(state, facts).do === 'stage')
    await assert.rejects(perform(parts, state, stage), /bits fell out/);
  const action = decide(state, facts);
  assert.ok(action.do === 'note' && action.event.type === 'write-failed');
  assert.equal(action.event.code, 'too-many-attempts');
  assert.match(action.event.reason, /started 3 times.*bits fell out/);
});

test('what an attempt met is told even where it cannot be kept', async () => {
  const save = ({ type }: Event): void => {
    if (type === 'stumbled') throw new UpdateError('state-unwritable');
  };
  const { parts } = machine(ARMED, { ...failing(new Error('bits fell out')), save });
  await assert.rejects(perform(parts, staging(), stage), /bits fell out/);
});

const NOTHING: SlotFlags = { first: 'a', slots: { a: NEVER, b: NEVER } };

test('mending gives the running slot its flags again, and nothing else happens', async () => {
  const { parts, now, deeds } = machine(NOTHING);
  const idle: State = { kind: 'idle' };
  assert.equal(await perform(parts, idle, { do: 'mend', booted: 'b' }), idle);
  assert.deepEqual(now.flags, { first: 'b', slots: { a: NEVER, b: PROVEN } });
  assert.deepEqual(deeds, []);
});

test('a boot loader that does not keep what mending told it is not mended for ever', async () => {
  const { parts } = machine(NOTHING);
  const boot = { ...parts.boot, confirm: async () => {} };
  await assert.rejects(perform({ ...parts, boot }, { kind: 'idle' }, { do: 'mend', booted: 'b' }), {
    code: 'boot-confirm-failed',
  });
});

/** Whose fault it is, and what becomes of the release. */
const FAULTS: readonly (readonly [fault: string, error: UpdateError, refuse: boolean])[] = [
  ['the release', new UpdateError('manifest-invalid'), true],
  ['the bytes on their way', new UpdateError('manifest-mismatch'), false],
  ['the network', new UpdateError('server-unreachable'), false],
  ['a server for whose answers nobody need ask again', new UpdateError('server-encoding'), false],
  ['the disk', new UpdateError('disk-write-error'), false],
  ['the host, which is set up wrongly', new UpdateError('config-invalid'), false],
];

for (const [fault, error, refuse] of FAULTS)
  test(`an attempt that fails by the fault of ${fault} ${refuse ? 'refuses the release' : 'lets the release be tried again'}`, async () => {
    for (const way of ['prepare', 'write'] as const) {
      const prepared = { write: async () => Promise.reject(error), [Symbol.asyncDispose]: async () => {} };
      const wishes = way === 'prepare' ? failing(error) : { prepare: async () => prepared };
      const { parts } = machine(ARMED, wishes);
      const ended = await perform(parts, staging(), stage);
      assert.deepEqual(
        ended.kind === 'settling' && ended.outcome.result === 'failed' && [ended.outcome.code, ended.outcome.refuse],
        [error.code, refuse],
        way,
      );
    }
  });

test('an attempt that is ended with its agent is no failure: it goes on with the next one', async () => {
  const saved: string[] = [];
  const save = ({ type }: Event): void => void saved.push(type);
  const { parts } = machine(ARMED, { ...failing(new UpdateError('interrupted')), save });
  await assert.rejects(perform(parts, staging(), stage), { code: 'interrupted' });
  assert.deepEqual(saved, ['started']);
});

test('while the boot loader still takes the other slot, the lock stays held and the switch on', async () => {
  const { parts, now, deeds } = machine(ARMED);
  const deaf = { ...parts, boot: { ...parts.boot, confirm: async () => {} } };
  const staged: State = { kind: 'staged', release, target: 'b' };
  await assert.rejects(perform(deaf, staged, { do: 'disarm', booted: 'a' }), {
    code: 'boot-confirm-failed',
    message: /would still start slot b/,
  });
  assert.deepEqual([now.flags, deeds], [ARMED, []]);
});

test('a slot that is written is taken from the boot loader before its first byte', async () => {
  const order: string[] = [];
  const { parts } = machine(ARMED, {
    prepare: async () => ({
      write: async () => void order.push('write'),
      [Symbol.asyncDispose]: async () => void order.push('close'),
    }),
  });
  const disable = async (slot: SlotName): Promise<void> => void order.push(`disable ${slot}`);
  await perform({ ...parts, boot: { ...parts.boot, disable } }, staging(), stage);
  assert.deepEqual(order, ['disable b', 'write', 'close']);
});

test('a healthy system that the boot loader cannot be told of stays on trial, and why is kept', async () => {
  const saved: Event[] = [];
  const { parts } = machine(ARMED, { save: (event) => void saved.push(event) });
  const confirm = async () => Promise.reject(new UpdateError('boot-partition-read-only', 'EROFS on /efi'));
  const hindered = { ...parts, boot: { ...parts.boot, confirm } };
  await assert.rejects(perform(hindered, onTrial('b'), { do: 'probe', target: 'b' }), {
    code: 'boot-partition-read-only',
  });
  assert.deepEqual(saved, [{ type: 'hindered', code: 'boot-partition-read-only', reason: 'EROFS on /efi' }]);
  const known = transition(onTrial('b'), saved[0] ?? assert.fail());
  await assert.rejects(perform(hindered, known, { do: 'probe', target: 'b' }), { code: 'boot-partition-read-only' });
  assert.equal(saved.length, 1, 'not at every try');
});

/** The same parts, each of whose deeds takes its time. */
function slow(parts: Parts, turns: Turns): Parts {
  const each = <T extends object>(hands: T, ...names: readonly (keyof T & string)[]): T => ({
    ...hands,
    ...Object.fromEntries(
      names.map((name) => {
        const deed = hands[name] as (...given: unknown[]) => unknown;
        return [name, (...given: unknown[]) => turns.change(name, 'everything', () => deed(...given))];
      }),
    ),
  });
  return {
    ...each(parts, 'save', 'reboot', 'report', 'reportDisarmed', 'noteFailed'),
    boot: each(parts.boot, 'disable', 'arm', 'confirm', 'countTry'),
    lock: each(parts.lock, 'take', 'giveBack'),
    deadMan: each(parts.deadMan, 'set', 'clear'),
    restart: each(parts.restart, 'undo', 'jump'),
  };
}

const PROVEN_B: SlotFlags = { first: 'b', slots: { a: PROVEN, b: PROVEN } };
const staged: State = { kind: 'staged', release, target: 'b' };
const condemned: State = { kind: 'condemned', release, target: 'b', code: 'unhealthy', reason: 'x' };
const ended = { kind: 'settling', outcome: { result: 'none' } } as const satisfies State;
const STEPS: readonly (readonly [flags: SlotFlags, state: State, action: Action])[] = [
  [PROVEN_B, condemned, { do: 'fall-back', from: 'b' }],
  [ARMED, onTrial('b'), { do: 'probe', target: 'b' }],
  [ARMED, staged, { do: 'disarm', booted: 'a' }],
  [PROVEN_B, staged, { do: 'arm', release, target: 'b' }],
  [ARMED, armed, leave],
  [PROVEN_B, ended, { do: 'settle', outcome: ended.outcome, keepLock: false }],
];

for (const [flags, state, action] of STEPS)
  test(`each step of “${action.do}” has ended before the next one begins`, async () => {
    const turns = new Turns();
    const { parts } = machine(flags);
    await perform(slow({ ...parts, observe: async () => facts }, turns), state, action);
    turns.atRest();
  });

const stagedB: State = { kind: 'staged', release, target: 'b' };
const arm = { do: 'arm', release, target: 'b' } as const;
const DISABLED: SlotFlags = { first: 'a', slots: { a: PROVEN, b: NEVER } };

test('where the boot loader cannot be told, the lock goes back: the fleet does not wait for one host’s disk', async () => {
  const { parts, now, deeds } = machine(DISABLED);
  const full = new UpdateError('esp-full');
  const failing = { ...parts, boot: { ...parts.boot, arm: () => Promise.reject(full) } };
  await assert.rejects(perform(failing, stagedB, arm), full);
  assert.deepEqual([now.flags, deeds], [DISABLED, ['take', 'note failed', 'set', 'give back']]);
});

test('where the boot loader was told all the same, or nobody can say, the lock stays', async () => {
  const lost = new UpdateError('boot-partition-failed');
  const { parts, deeds } = machine(DISABLED);
  const told = async (...call: Parameters<typeof parts.boot.arm>): Promise<never> => {
    await parts.boot.arm(...call);
    throw lost;
  };
  await assert.rejects(perform({ ...parts, boot: { ...parts.boot, arm: told } }, stagedB, arm), lost);
  const mute = { ...parts.boot, arm: () => Promise.reject(lost), read: () => Promise.reject(lost) };
  await assert.rejects(perform({ ...parts, boot: mute }, stagedB, arm), lost);
  assert.deepEqual(
    deeds.filter((deed) => deed === 'give back'),
    [],
  );
});

test('an end that is reported clears the switch and gives the lock back, unless the running system is unproven', async () => {
  for (const [keepLock, wanted] of [
    [false, ['report', 'clear', 'give back']],
    [true, ['report']],
  ] as const) {
    const { parts, deeds } = machine(ARMED);
    const settle = { do: 'settle', outcome: ended.outcome, keepLock } as const;
    assert.deepEqual([await perform(parts, ended, settle), deeds], [{ kind: 'idle' }, wanted]);
  }
});

test('an end that cannot be written down is told again, but others do not wait for it', async () => {
  const saved: Event[] = [];
  const { parts, deeds } = machine(ARMED, { save: (event) => void saved.push(event) });
  const full = new UpdateError('state-unwritable');
  const report = async (): Promise<never> => Promise.reject(full);
  const settle = { do: 'settle', outcome: ended.outcome, keepLock: false } as const;
  await assert.rejects(perform({ ...parts, report }, ended, settle), full);
  assert.deepEqual([deeds, saved], [['clear', 'give back'], []]);
});

test('what a check finds is meant for the slot that does not run', async () => {
  const why = { code: 'x', reason: 'y' };
  const idle: State = { kind: 'idle' };
  const FOUND: readonly (readonly [Found, State, Event | undefined])[] = [
    [{ found: 'offer', release }, idle, { type: 'offered', release, target: 'b' }],
    [{ found: 'offer', release, byHand: true }, idle, { type: 'offered', release, byHand: true, target: 'b' }],
    [{ found: 'present', release, byHand: true }, idle, { type: 'chosen', release, byHand: true, target: 'b' }],
    [{ found: 'withdrawn', ...why }, stagedB, { type: 'withdrawn', ...why }],
    [{ found: 'nothing', ...why }, idle, undefined],
  ];
  for (const [found, state, event] of FOUND) {
    const saved: Event[] = [];
    const { parts } = machine(ARMED, { save: (one) => void saved.push(one) });
    const asking = { ...parts, observe: async () => facts, check: async () => found };
    const next = await perform(asking, state, { do: 'check' });
    assert.deepEqual(saved, event ? [event] : []);
    assert.deepEqual(next, event ? transition(state, event) : state);
  }
});

test('what is only to be noted or waited for touches nothing', async () => {
  const { parts, deeds } = machine(ARMED);
  const note = { do: 'note', event: { type: 'disarmed', reason: 'x' } } as const;
  assert.deepEqual(await perform(parts, armed, note), { kind: 'staged', release, target: 'b' });
  assert.equal(await perform(parts, armed, { do: 'wait', reason: 'x' }), armed);
  assert.deepEqual(deeds, []);
});

test('a slot is armed under the lock, with the switch on, and with as many tries as were set', async () => {
  const { parts, now, deeds } = machine(DISABLED);
  const next = await perform({ ...parts, tries: 3, observe: async () => facts }, stagedB, arm);
  assert.deepEqual(next, armed);
  assert.deepEqual(
    [now.flags, deeds],
    [{ first: 'b', slots: { a: PROVEN, b: tries(3) } }, ['take', 'note failed', 'set']],
  );
});

test('the machine leaves by the firmware or past it, after that is written down, and a jump takes its try', async () => {
  for (const [method, deed, left] of [
    ['firmware', 'reboot', 1],
    ['soft', 'jump', 0],
  ] as const) {
    const at: string[][] = [];
    const { parts, now, deeds } = machine(ARMED, { method, save: () => void at.push([...deeds]) });
    const next = await perform(parts, armed, leave);
    assert.ok(next.kind === 'armed' && next.departure?.method === method);
    assert.deepEqual([at, deeds, now.flags.slots.b.tries], [[[]], [deed], left]);
  }
});

test('a restart that systemd refuses is taken back, whatever the way', async () => {
  const { parts, deeds } = machine(ARMED, { method: 'firmware' });
  const refused = new UpdateError('reboot-inhibited');
  await assert.rejects(perform({ ...parts, reboot: () => Promise.reject(refused) }, armed, leave), refused);
  assert.deepEqual(deeds, ['undo']);
});

test('a healthy system is confirmed before its switch is cleared, and then proven', async () => {
  const { parts, now, deeds } = machine(ARMED, { save: () => void deeds.push('save') });
  const clear = async (): Promise<void> => void deeds.push(`clear, with ${now.flags.slots.b.successful}`);
  const next = await perform({ ...parts, deadMan: { ...parts.deadMan, clear } }, onTrial('b'), {
    do: 'probe',
    target: 'b',
  });
  assert.deepEqual(next, { kind: 'settling', outcome: { result: 'updated', release } });
  assert.deepEqual([now.flags, deeds], [PROVEN_B, ['clear, with true', 'save']]);
});

test('what nobody can name is not kept as what was in the way of proving', async () => {
  const saved: Event[] = [];
  const { parts } = machine(ARMED, { save: (event) => void saved.push(event) });
  const boot = { ...parts.boot, confirm: () => Promise.reject(new Error('bits fell out')) };
  await assert.rejects(perform({ ...parts, boot }, onTrial('b'), { do: 'probe', target: 'b' }), /bits fell out/);
  assert.deepEqual(saved, []);
});

test('what is in the way of proving is told even where it cannot be kept, and a new cause replaces the old', async () => {
  const saved: Event[] = [];
  const { parts } = machine(ARMED, {
    save: (event) => {
      saved.push(event);
      throw new UpdateError('state-unwritable');
    },
  });
  const error = new UpdateError('esp-full', 'no room');
  const boot = { ...parts.boot, confirm: () => Promise.reject(error) };
  const hindered: State = {
    kind: 'trial',
    release,
    target: 'b',
    hindered: { code: 'boot-partition-read-only', reason: 'x' },
  };
  await assert.rejects(perform({ ...parts, boot }, hindered, { do: 'probe', target: 'b' }), error);
  assert.deepEqual(saved, [{ type: 'hindered', code: 'esp-full', reason: 'no room' }]);
});

test('a condemned system gives way to the proven one by a full restart, and its own entry goes', async () => {
  const { parts, now, deeds } = machine(PROVEN_B);
  assert.equal(await perform(parts, condemned, { do: 'fall-back', from: 'b' }), condemned);
  assert.deepEqual([now.flags, deeds], [{ first: 'a', slots: { a: PROVEN, b: NEVER } }, ['reboot']]);
});

test('the proven slot is the default before the condemned one is disabled: some slot starts at every moment', async () => {
  const { parts } = machine(PROVEN_B);
  const verbs: string[] = [];
  const { boot } = parts;
  const recorded = {
    ...boot,
    confirm: async (slot: SlotName) => {
      verbs.push(`confirm ${slot}`);
      await boot.confirm(slot);
    },
    disable: async (slot: SlotName) => {
      verbs.push(`disable ${slot}`);
      await boot.disable(slot);
    },
  };
  await perform({ ...parts, boot: recorded }, condemned, { do: 'fall-back', from: 'b' });
  assert.deepEqual(verbs, ['confirm a', 'disable b']);
});

test('a slot that is disarmed is no longer taken, and is not given up', async () => {
  const { parts, now, deeds } = machine(ARMED);
  assert.equal(await perform(parts, stagedB, { do: 'disarm', booted: 'a' }), stagedB);
  assert.deepEqual(now.flags.first, 'a');
  assert.deepEqual(deeds, ['give back', 'report', 'undo', 'clear']);
});

test('where nothing leads to the slot that could not be armed, the failure is told though the lock cannot be given back', async () => {
  const { parts } = machine(DISABLED);
  const full = new UpdateError('esp-full');
  const failing = {
    ...parts,
    boot: { ...parts.boot, arm: () => Promise.reject(full) },
    lock: { ...parts.lock, giveBack: () => Promise.reject(new UpdateError('server-unreachable')) },
  };
  await assert.rejects(perform(failing, stagedB, arm), full);
});
