/** Power may fail anywhere, up to three times: some slot always boots, bad releases end on the old version, good ones are installed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, decide, type Facts, transition } from '../../src/agent/loop/machine.ts';
import type { Parts } from '../../src/agent/loop/parts.ts';
import { perform } from '../../src/agent/loop/perform.ts';
import type { State } from '../../src/model.ts';
import { type Brain, type Image, type Loader, PowerCut, realBrain, type Scene, World } from '../support/world.ts';

const IMAGES: Record<string, Image> = {
  good: { version: '2', boots: true, agent: true, healthy: true },
  unbootable: { version: '2', boots: false, agent: false, healthy: false },
  unhealthy: { version: '2', boots: true, agent: true, healthy: false },
  crashing: { version: '2', boots: true, agent: true, healthy: false, crashes: true },
  'without a working agent': { version: '2', boots: true, agent: false, healthy: false },
};
const LOADERS: readonly Loader[] = ['priority', 'newest-first'];
const TRIES = 3;
let sequences = 0;

for (const loader of LOADERS)
  for (const [name, offer] of Object.entries(IMAGES))
    for (const losesState of [false, true])
      for (const blessed of [false, true]) {
        const title = `${loader} loader, ${losesState ? 'state.json lost at each cut' : 'state.json kept'}, ${
          blessed ? 'a third party confirms first' : 'nobody else confirms'
        }`;
        test(`a release that is ${name} survives every one to three power cuts: ${title}`, async () => {
          await everyCut({ offer, loader, losesState, blessed }, 3);
        });
      }

for (const method of ['soft', 'kexec'] as const)
  for (const jump of ['lands', 'hangs', 'brings back', 'is refused'] as const)
    for (const [name, offer] of Object.entries(IMAGES))
      for (const losesState of [false, true])
        test(`a release that is ${name} survives one or two power cuts when ${method} ${jump}${losesState ? ', state.json lost at each cut' : ''}`, async () => {
          for (const loader of LOADERS)
            for (const blessed of [false, true])
              await everyCut({ offer, loader, losesState, blessed, method, jump }, 2);
        });

for (const disk of ['full', 'read-only'] as const)
  for (const [name, offer] of Object.entries(IMAGES))
    test(`a release that is ${name} ends as it should where the disk is ${disk} during the trial, with up to two power cuts`, async () => {
      for (const loader of LOADERS)
        for (const blessed of [false, true])
          for (const method of ['firmware', 'soft'] as const)
            await everyCut({ offer, loader, blessed, method, disk }, 2);
    });

for (const disk of ['full', 'read-only'] as const)
  test(`a good release costs one start and one try where the disk is ${disk} during the trial: it is proven, and recorded later`, async () => {
    for (const loader of LOADERS) {
      const world = new World({ offer: must('good'), loader, disk });
      await world.life();
      assert.deepEqual([world.version, world.data.boots, world.data.burnt], ['2', 2, 1]);
      assert.deepEqual([world.data.outcomes, world.data.refused, world.data.disk], [['updated'], [], 'fine again']);
    }
  });

for (const [name, offer] of Object.entries(IMAGES))
  for (const disk of [undefined, 'full', 'read-only'] as const)
    test(`a release that is ${name} ends as it should though the agent ends once or twice${disk ? ` and the disk is ${disk}` : ''}`, async () => {
      for (const loader of LOADERS)
        for (const blessed of [false, true])
          await everyCut({ offer, loader, blessed, onlyAgent: true, ...(disk ? { disk } : {}) }, 2);
    });

test('what had failed before is not held against a good release, after any one or two power cuts', async () => {
  for (const loader of LOADERS)
    for (const losesState of [false, true])
      for (const method of ['firmware', 'soft', 'kexec'] as const)
        await everyCut({ offer: must('good'), loader, losesState, method, failedBefore: true }, 2);
});

for (const loader of LOADERS)
  for (const blessed of [false, true])
    test(`a good release that loses its power at every try is tried once more and installed (${loader}${blessed ? ', a third party confirms first' : ''})`, async () => {
      const scene: Scene = { offer: must('good'), loader, blessed };
      const first = new World(scene);
      await first.life(realBrain, (parts) => ({
        ...parts,
        // Where a third party confirms, there is only one try to lose: the next start is not counted.
        probe: async () => {
          if (first.data.boots <= 1 + TRIES) throw new PowerCut();
          return parts.probe();
        },
      }));
      assert.deepEqual([first.version, first.data.refused], ['2', []]);
    });

test('a release that crashes in its trial is tried on two occasions and no more', async () => {
  const world = new World({ offer: must('crashing'), loader: 'priority' });
  await world.life();
  assert.deepEqual([world.version, world.data.outcomes], ['1', ['rolled-back', 'rolled-back']]);
  assert.deepEqual([world.data.refused, world.data.burnt], [['2'], 2 * TRIES]);
});

test('a soft reboot is known by the slot it led to: the kernel is still the same, and none is started', async () => {
  const world = new World({ offer: must('good'), loader: 'priority', method: 'soft' });
  await world.life();
  assert.deepEqual([world.version, world.data.boots, world.data.outcomes], ['2', 1, ['updated']]);
});

test('a soft reboot that brings the old system back is no fault of the release: the boot loader is asked next', async () => {
  const world = new World({ offer: must('good'), loader: 'priority', method: 'soft', jump: 'brings back' });
  await world.life();
  assert.deepEqual([world.version, world.data.boots, world.data.outcomes], ['2', 2, ['updated']]);
});

for (const method of ['soft', 'kexec'] as const)
  test(`where the boot loader knows one try only, a ${method} that is refused does not use it up`, async () => {
    const scene: Scene = { offer: must('good'), loader: 'priority', method, jump: 'is refused', tries: 1 };
    const world = new World(scene);
    await world.life();
    assert.deepEqual([world.version, world.data.outcomes], ['2', ['updated']]);
    // A cut in the middle may cost the release its try, and never more.
    await everyCut(scene, 2, () => {});
  });

test('what fails its trial after a soft reboot falls back through the boot loader', async () => {
  const world = new World({ offer: must('unhealthy'), loader: 'priority', method: 'soft' });
  await world.life();
  assert.deepEqual([world.version, world.data.boots, world.data.outcomes], ['1', 2, ['rolled-back']]);
});

test('a machine started by hand from the other slot meanwhile is never written under its own feet', async () => {
  for (const loader of LOADERS) await everyCut({ offer: must('good'), loader, menu: true }, 2, () => {});
});

test('a power cut does not install a release whose gate is closed', async () => {
  for (const loader of LOADERS)
    await everyCut({ offer: must('good'), loader, gateClosed: true }, 2, assertNotInstalled);
});

for (const losesState of [false, true])
  test(`a release that is taken back while it is written is not started, whatever power cuts there are${losesState ? ', state.json lost at each' : ''}`, async () => {
    for (const loader of LOADERS)
      for (const method of ['firmware', 'soft'] as const)
        await everyCut(
          { offer: must('good'), loader, losesState, method, pulled: 'as it is written' },
          2,
          assertNotInstalled,
        );
  });

test('a repository that is away when the release has been written is waited for', async () => {
  for (const loader of LOADERS)
    for (const offer of Object.values(IMAGES)) await everyCut({ offer, loader, away: 3 }, 2);
});

test('a release that is taken back while its gate is closed is not started when the gate opens', async () => {
  for (const loader of LOADERS) {
    const world = new World({ offer: must('good'), loader, shuts: 'for a while', pulled: 'while it waits' });
    await world.life();
    assert.deepEqual([world.version, world.data.outcomes, world.data.boots], ['1', ['withdrawn'], 1]);
  }
});

for (const [name, offer] of Object.entries(IMAGES))
  for (const losesState of [false, true])
    test(`a release that is ${name} survives one or two power cuts when a gate closes on the armed slot${losesState ? ', state.json lost at each cut' : ''}`, async () => {
      for (const loader of LOADERS)
        for (const method of ['firmware', 'soft'] as const) {
          await everyCut({ offer, loader, losesState, method, shuts: 'for a while' }, 2);
          await everyCut({ offer, loader, losesState, method, shuts: 'for good' }, 2, () => {});
        }
    });

for (const jump of ['lands', 'brings back', 'is refused'] as const)
  for (const method of ['soft', 'kexec'] as const)
    test(`one or two power cuts are survived when a gate closes on the armed slot three times and ${method} ${jump}`, async () => {
      for (const loader of LOADERS)
        for (const blessed of [false, true])
          for (const offer of [must('good'), must('without a working agent')])
            await everyCut({ offer, loader, blessed, method, jump, shuts: 'three times' }, 2);
    });

test('an armed slot whose gate closes is disarmed and stays staged, and starts when the gate opens again', async () => {
  const staying = new World({ offer: must('good'), loader: 'newest-first', shuts: 'for good' });
  await staying.life();
  assert.deepEqual([staying.version, staying.data.saved.kind, staying.startable()[0]], ['1', 'staged', 'a']);
  const going = new World({ offer: must('good'), loader: 'newest-first', shuts: 'for a while' });
  await going.life();
  assert.deepEqual([going.version, going.data.outcomes, going.data.boots], ['2', ['updated'], 2]);
  const wavering = new World({ ...going.scene, method: 'kexec', jump: 'is refused', shuts: 'three times' });
  await wavering.life();
  assert.deepEqual([wavering.version, wavering.data.shutBefore, wavering.data.boots], ['2', 3, 2]);
});

test('a release whose writing takes the machine down each time is given up, and not blamed on the release', async () => {
  const world = new World({ offer: must('good'), loader: 'priority', poison: true });
  await world.life();
  assert.deepEqual(world.data.outcomes, ['failed', 'failed']);
  assert.deepEqual(world.data.refused, []);
});

test('the number of sequences run is told', (context) => {
  context.diagnostic(`power-cut sequences: ${sequences}, sabotages: ${SABOTAGES.length}`);
  assert.ok(sequences === 0 || sequences > 10_000);
});

type Sabotage = Readonly<{
  rule: string;
  scene: Partial<Scene>;
  brain?: Brain;
  parts?: (parts: Parts) => Parts;
  after?: (world: World) => void;
}>;

const nothing = async (): Promise<void> => {};
const deciding = (change: (state: State, facts: Facts, normal: Action) => Action): Brain => ({
  ...realBrain,
  decide: (state, facts) => change(state, facts, decide(state, facts)),
});

/** Each takes one safety rule away; the simulation must notice. */
const SABOTAGES: readonly Sabotage[] = [
  {
    rule: '1: armed as soon as it is written, whatever the gates say',
    scene: { offer: must('good'), gateClosed: true },
    brain: deciding((state, facts, normal) => {
      if (state.kind === 'staged') return decide(state, { ...facts, gate: { ok: true } });
      return normal.do === 'reboot' ? { do: 'wait', reason: 'gate' } : normal;
    }),
    after: assertNotInstalled,
  },
  {
    rule: '1: what is staged is armed without asking for it again',
    scene: { pulled: 'as it is written' },
    brain: deciding((state, facts) => decide(state, { ...facts, isOfferFresh: true })),
    after: assertNotInstalled,
  },
  {
    rule: '2: the state file is believed about where we are',
    scene: { losesState: true },
    brain: deciding((state, facts) => decide(state, { ...facts, confirmed: true })),
  },
  {
    rule: '2: a trial that a third party confirmed is no trial',
    scene: { offer: must('unhealthy'), blessed: true },
    brain: deciding((state, facts, normal) => {
      if (state.kind !== 'armed' || facts.bootId === state.bootId)
        return state.kind === 'trial' ? normal : decide(state, { ...facts, confirmed: true });
      return { do: 'note', event: { type: 'booted-other', code: 'x', reason: 'x', refuse: true } };
    }),
  },
  {
    rule: '2: a state file that was lost makes a trial that a third party confirmed no trial',
    scene: { offer: must('unhealthy'), blessed: true, losesState: true },
    brain: deciding((state, facts, normal) =>
      state.kind === 'settling' || state.kind === 'idle' ? decide(state, { ...facts, confirmed: true }) : normal,
    ),
  },
  {
    rule: '3: "written" is saved before the deed',
    scene: {},
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do !== 'stage') return perform(parts, state, action);
        const staged = await parts.save(await parts.save(state, { type: 'started' }), { type: 'written' });
        await parts.boot.disable(action.target);
        await (await parts.prepare(action.release, action.target)).write();
        return staged;
      },
    },
  },
  {
    rule: '3: "healthy" is saved before the slot is confirmed',
    scene: {},
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do !== 'probe') return perform(parts, state, action);
        const settling = await parts.save(state, { type: 'healthy' });
        await parts.boot.confirm(action.target);
        return settling;
      },
    },
  },
  {
    rule: '4: attempts are not counted',
    scene: { poison: true },
    brain: {
      ...realBrain,
      transition: (state, event) => (event.type === 'started' ? state : transition(state, event)),
    },
  },
  {
    rule: '5: the target is not compared with the booted slot',
    scene: { menu: true },
    brain: deciding((state, _facts, normal) =>
      state.kind === 'staging' && normal.do === 'note' && normal.event.type === 'withdrawn'
        ? { do: 'stage', release: state.release, target: state.target }
        : normal,
    ),
    after: () => {},
  },
  {
    rule: '6: no dead man’s switch is set',
    scene: { offer: must('without a working agent'), blessed: true },
    parts: (parts) => ({ ...parts, deadMan: { set: nothing, clear: nothing } }),
  },
  {
    rule: '6: the dead man’s switch is set after the boot flag',
    scene: { offer: must('without a working agent'), blessed: true },
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do !== 'arm') return perform(parts, state, action);
        await parts.lock.take();
        await parts.boot.arm(action.target, parts.tries);
        await parts.deadMan.set(action.target);
        return parts.save(state, { type: 'armed', bootId: (await parts.observe(state)).bootId });
      },
    },
  },
  {
    rule: '10: what had failed before is on record before the slot is armed',
    scene: { failedBefore: true },
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do !== 'arm') return perform(parts, state, action);
        const later = await perform({ ...parts, noteFailed: nothing }, state, action);
        await parts.noteFailed();
        return later;
      },
    },
  },
  {
    rule: '7: a refused release is forgotten',
    scene: { offer: must('unhealthy') },
    parts: (parts) => ({
      ...parts,
      report: (outcome) => parts.report(outcome.result === 'rolled-back' ? { ...outcome, refuse: false } : outcome),
    }),
  },
  {
    rule: '8: the slot is not made unbootable before it is written',
    scene: {},
    parts: (parts) => ({ ...parts, boot: { ...parts.boot, disable: nothing } }),
  },
  {
    rule: '8: the slot is armed before it is whole',
    scene: {},
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do !== 'stage') return perform(parts, state, action);
        const started = await parts.save(state, { type: 'started' });
        await parts.boot.confirm(action.target);
        await (await parts.prepare(action.release, action.target)).write();
        return parts.save(started, { type: 'written' });
      },
    },
  },
  {
    rule: 'a try that skips the boot loader is counted',
    scene: { offer: must('unbootable'), method: 'kexec' },
    parts: (parts) => ({ ...parts, boot: { ...parts.boot, countTry: nothing } }),
  },
  {
    rule: 'a soft reboot that hangs has been counted',
    scene: { offer: must('unbootable'), method: 'soft', jump: 'hangs' },
    parts: (parts) => ({ ...parts, boot: { ...parts.boot, countTry: nothing } }),
  },
  {
    rule: 'a try is counted before the jump, not after',
    scene: { offer: must('unbootable'), method: 'kexec' },
    parts: (parts) => ({
      ...parts,
      boot: { ...parts.boot, countTry: nothing },
      restart: {
        ...parts.restart,
        jump: async (method) => {
          await parts.restart.jump(method);
          await parts.boot.countTry('b').catch(nothing);
        },
      },
    }),
  },
  {
    rule: 'a method that was tried is not tried again',
    scene: { method: 'soft', jump: 'brings back' },
    brain: {
      ...realBrain,
      transition: (state, event) => {
        const next = transition(state, event);
        return next.kind === 'armed' ? { ...next, tried: [] } : next;
      },
    },
  },
  {
    rule: 'a system on trial falls back through the firmware',
    scene: { offer: must('unhealthy'), method: 'soft' },
    parts: (parts) => ({ ...parts, reboot: async () => parts.restart.jump('soft') }),
  },
  {
    rule: 'an armed slot is counted',
    scene: { offer: must('unbootable') },
    parts: (parts) => ({ ...parts, boot: { ...parts.boot, arm: (slot) => parts.boot.confirm(slot) } }),
  },
  {
    rule: 'a condemned slot is taken away',
    scene: { offer: must('unhealthy'), loader: 'newest-first', blessed: true },
    parts: (parts) => ({
      ...parts,
      boot: {
        ...parts.boot,
        disable: async (slot) =>
          (await parts.observe({ kind: 'idle' })).booted === slot ? undefined : parts.boot.disable(slot),
      },
    }),
  },
  {
    rule: 'that a slot is disarmed is written down before the flag is taken back',
    scene: { shuts: 'for a while' },
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do === 'note' && action.event.type === 'disarmed') await parts.boot.confirm('a');
        return perform(parts, state, action);
      },
    },
  },
  {
    rule: 'a disarmed slot is not the next one',
    scene: { shuts: 'for good' },
    brain: deciding((_state, _facts, normal) => (normal.do === 'disarm' ? { do: 'wait', reason: 'gate' } : normal)),
    after: () => {},
  },
  {
    rule: 'a disarming that was cut off is gone on with: the dead man’s switch goes last',
    scene: { shuts: 'for good' },
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do !== 'disarm') return perform(parts, state, action);
        await parts.boot.confirm(action.booted);
        await parts.deadMan.clear();
        await parts.lock.giveBack();
        return state;
      },
    },
    after: () => {},
  },
  {
    rule: '10: a disk that is full does not keep the lock',
    scene: { disk: 'full' },
    brain: {
      ...realBrain,
      perform: async (parts, state, action) => {
        if (action.do === 'settle') await parts.report(action.outcome);
        return perform(parts, state, action);
      },
    },
    after: () => {},
  },
  {
    rule: '10: a trial does not wait for the disk',
    scene: { disk: 'full' },
    parts: (parts) => ({
      ...parts,
      probe: async () => {
        await parts.deadMan.set('b');
        return parts.probe();
      },
    }),
    after: () => {},
  },
  {
    rule: '10: a trial that lost its power is not held against the release at once',
    scene: { tries: 2 },
    brain: deciding((_state, _facts, normal) =>
      normal.do === 'note' && normal.event.type === 'booted-other'
        ? { ...normal, event: { ...normal.event, refuse: true } }
        : normal,
    ),
    after: (world) => assert.deepEqual(world.data.refused, [], 'power that failed has cost a release'),
  },
  {
    rule: '10: a release that crashes is not tried for ever',
    scene: { offer: must('crashing') },
    brain: deciding((_state, _facts, normal) =>
      normal.do === 'note' && normal.event.type === 'booted-other'
        ? { ...normal, event: { ...normal.event, refuse: false } }
        : normal,
    ),
  },
  {
    rule: 'locks are given back',
    scene: {},
    parts: (parts) => ({ ...parts, lock: { ...parts.lock, giveBack: nothing } }),
  },
  {
    rule: 'locks are kept until the new system is proven',
    scene: { losesState: true },
    brain: deciding((_state, _facts, normal) => (normal.do === 'settle' ? { ...normal, keepLock: false } : normal)),
    parts: (parts) => ({ ...parts, probe: async () => parts.lock.giveBack().then(() => parts.probe()) }),
  },
];

for (const { rule, scene, brain = realBrain, parts, after } of SABOTAGES)
  test(`the simulation notices a broken rule ${rule}`, async () => {
    const loaders = scene.loader ? [scene.loader] : LOADERS;
    const runs = loaders.map((loader) => everyCut({ offer: must('good'), ...scene, loader }, 2, after, brain, parts));
    const results = await Promise.allSettled(runs);
    assert.ok(
      results.some((result) => result.status === 'rejected'),
      `nothing failed without the rule: ${rule}`,
    );
  });

type Run = Readonly<{
  scene: Scene;
  after: (world: World) => void;
  brain: Brain;
  sabotage: (parts: Parts) => Parts;
  /** Number of sequences below a situation: many sequences meet in the same one. */
  known: Map<string, number>;
}>;

/** Runs the scene without a cut, and then with every sequence of up to `depth` cuts. */
async function everyCut(
  scene: Scene,
  depth: number,
  after: (world: World) => void = assertRightEnd,
  brain: Brain = realBrain,
  sabotage: (parts: Parts) => Parts = (parts) => parts,
): Promise<void> {
  sequences += await explore({ scene, after, brain, sabotage, known: new Map() }, new World(scene), depth, []);
}

async function explore(run: Run, world: World, depth: number, path: readonly number[]): Promise<number> {
  const key = `${depth} ${JSON.stringify(world.data)}`;
  const known = run.known.get(key);
  if (known !== undefined) return known;
  await told(path, async () => {
    await world.life(run.brain, run.sabotage);
    assertAtRest(world);
    run.after(world);
  });
  let count = 1;
  if (depth > 0)
    for (const [point, left] of world.cuts.entries()) {
      const at = [...path, point];
      const next = await told(at, async () => World.afterCut(run.scene, left));
      count += await explore(run, next, depth - 1, at);
    }
  run.known.set(key, count);
  return count;
}

/** Names the cuts that led to a failure, each counted in points since the one before. */
async function told<T>(path: readonly number[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`after power cuts at ${path.join(', then ')}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

/** Whatever happened, a resting machine is confirmed, holds no lock, and its dead man's switch is off. */
function assertAtRest(world: World): void {
  assert.equal(world.data.slots[world.data.booted].tries, undefined, 'rests on an unconfirmed slot');
  assert.equal(world.data.slots[world.data.booted].bootable, true, 'rests on a slot that will not boot again');
  assert.equal(world.data.lockHeld, false, 'a lock was leaked');
  assert.equal(world.data.marker, undefined, 'the dead man’s switch was left on');
  if (world.data.saved.kind === 'staged' && !world.scene.menu)
    assert.equal(world.startable()[0], world.data.booted, 'waits, and a power cut would start the release');
}

/** A good release ends installed, also when power cuts have used up its tries; any other ends refused on the old version. */
function assertRightEnd(world: World): void {
  const { offer, losesState } = world.scene;
  if (offer.healthy) {
    assert.equal(world.version, offer.version, 'a good release was not installed');
    assert.deepEqual(world.data.refused, [], 'a good release was refused');
    return;
  }
  assert.equal(world.version, '1', 'a bad release stayed');
  if (!losesState) assert.ok(world.data.refused.includes(offer.version), 'a bad release was not refused');
}

function assertNotInstalled(world: World): void {
  assert.equal(world.version, '1', 'a power cut installed a release behind a closed gate');
}

function must(name: string): Image {
  const image = IMAGES[name];
  assert.ok(image);
  return image;
}
