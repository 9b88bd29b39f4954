/** A state disk that takes nothing during a trial: the loop goes on, the disk is blamed, and what happened is recorded when there is room. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { openGates } from '../../src/agent/gates/host-gates.ts';
import { openJournal } from '../../src/agent/loop/journal.ts';
import { step } from '../../src/agent/loop/loop.ts';
import type { Event } from '../../src/agent/loop/machine.ts';
import { onlyFirmware } from '../../src/agent/restart/restart.ts';
import type { Product, Release, Sha256, SlotName, Version } from '../../src/model.ts';
import { deadMan } from '../../src/reboot/dead-man.ts';
import { type Files, realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { noSignal } from '../support/bundles.ts';
import { noLock } from '../support/kept-lock.ts';
import { type MemoryLoader, memoryLoader } from '../support/memory-backend.ts';

const PRODUCT = 'test' as Product;
const NEW: Release = { product: PRODUCT, version: '2' as Version, counter: 2, manifest: 'ab'.repeat(32) as Sha256 };
const NOW = new Date('2026-01-02T03:04:05Z');
const clock = { now: () => NOW, monotonicMs: () => 0, sleep: async () => {} };
const WHY: Readonly<Record<string, string>> = { ENOSPC: 'no space left on device', EROFS: 'read-only file system' };

type Machine = Readonly<{
  /** What every write to the state directory fails with. */
  disk: { errno: string | undefined };
  loader: MemoryLoader;
  probes: { asked: number; healthy: boolean };
  restarts: { asked: number };
  given: string[];
  /** The agent begins to run in that slot. */
  start(booted: SlotName, bootId?: string): Promise<Agent>;
  /** Turns until the loop has something to wait for; returns for what. */
  turn(agent: Agent): Promise<string>;
  fileNamed(name: string): Promise<string>;
}>;

/** A machine that has armed slot b, and has left slot a. */
async function onMachine(check: (machine: Machine) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-full-'));
  const [stateDir, runtimeDir] = [join(dir, 'state'), join(dir, 'run')];
  const disk: Machine['disk'] = { errno: undefined };
  const loader = memoryLoader('1' as Version);
  const probes = { asked: 0, healthy: true };
  const restarts = { asked: 0 };
  const given: string[] = [];
  const files = refusing(stateDir, disk);
  const hash = async (): Promise<Sha256> => 'cd'.repeat(32) as Sha256;
  const marker = deadMan(files, { stateDir, runtimeDir }, 'memory', hash);
  const start = (booted: SlotName, bootId = `boot of ${booted}`): Promise<Agent> =>
    createAgent(
      {
        product: PRODUCT,
        architecture: 'x86-64',
        version: '0.1.0',
        member: { group: 'default' },
        booted,
        bootId,
        systemVersion: '1' as Version,
        tries: 3,
        gates: openGates,
        lock: { ...noLock, giveBack: async (ended) => void given.push(ended?.failed ?? 'fine') },
        journal: openJournal(files, stateDir, silentLog),
        boot: loader.backend,
        deadMan: marker,
        releases: {
          find: async () => ({ hold: { result: 'hold', code: 'paused', reason: 'paused' } }),
          open: () => assert.fail(),
        },
        prepare: () => assert.fail('nothing is written'),
        scrub: () => assert.fail('nothing is read'),
        probe: async () => {
          probes.asked++;
          return probes.healthy ? { ok: true } : { ok: false, reason: 'the shop is closed' };
        },
        reboot: async () => void restarts.asked++,
        restart: onlyFirmware('', clock),
        proven: async () => {},
        waiveClock: async () => undefined,
        limits: { jitterMs: 1, backoffMs: 1, backoffLimitMs: 1 },
        scheduled: () => undefined,
        clock,
        random: { fraction: () => 0.5, bytes: () => new Uint8Array() },
        log: silentLog,
      },
      noSignal,
    );
  const turn = async (agent: Agent): Promise<string> => {
    for (let turns = 0; turns < 20; turns++) {
      const reason = await step(agent.loop);
      if (reason !== undefined) return reason;
    }
    return assert.fail('never paused');
  };
  try {
    for (const each of [stateDir, runtimeDir]) await mkdir(each);
    loader.install('b', '2' as Version);
    await armed(files, stateDir);
    await marker.set('b');
    await loader.backend.arm('b', 3);
    loader.start();
    const fileNamed = (name: string): Promise<string> => readFile(join(stateDir, name), 'utf8').catch(() => '');
    await check({ disk, loader, probes, restarts, given, start, turn, fileNamed });
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function armed(files: Files, stateDir: string): Promise<void> {
  const journal = openJournal(files, stateDir, silentLog);
  const events: readonly Event[] = [
    { type: 'settled' },
    { type: 'offered', release: NEW, target: 'b', byHand: true },
    { type: 'started' },
    { type: 'written' },
    { type: 'armed', bootId: 'boot of a' },
  ];
  let saved = await journal.load();
  for (const event of events) saved = await journal.advance(saved, event, NOW);
}

/** Real files below `dir`, while the disk takes anything. */
function refusing(dir: string, disk: Machine['disk']): Files {
  const refuse = (path: string, does: 'write' | 'remove' = 'write'): void => {
    const { errno } = disk;
    // A full disk lets files go.
    if (errno === undefined || !path.startsWith(dir) || (errno === 'ENOSPC' && does === 'remove')) return;
    throw Object.assign(new Error(`${errno}: ${WHY[errno]}`), { code: errno, syscall: 'write', path });
  };
  return {
    ...realFiles,
    makeDir: async (path) => realFiles.makeDir(path),
    write: async (path, chunks) => {
      refuse(path);
      await realFiles.write(path, chunks);
    },
    rename: async (from, to) => {
      refuse(to);
      await realFiles.rename(from, to);
    },
    remove: async (path) => {
      refuse(path, 'remove');
      await realFiles.remove(path);
    },
  };
}

for (const errno of ['ENOSPC', 'EROFS'])
  test(`a release is proven and confirmed though the disk says ${errno}; the disk is blamed, and the result is recorded later`, () =>
    onMachine(async ({ disk, loader, restarts, given, start, turn, fileNamed }) => {
      disk.errno = errno;
      const agent = await start('b');
      assert.equal(await turn(agent), 'the next try');
      const { slots } = await loader.backend.read();
      assert.deepEqual([slots.b.confirmed, restarts.asked, given], [true, 0, ['fine']]);
      const status = await agent.view.status();
      assert.deepEqual([status.state.kind, status.confirmed], ['settling', true]);
      assert.equal(status.lastError?.code, 'state-unwritable');
      assert.match(status.lastError?.message ?? '', new RegExp(errno));
      assert.equal(await fileNamed('history.jsonl'), '');

      disk.errno = undefined;
      await turn(agent);
      const after = await agent.view.status();
      assert.deepEqual([after.state.kind, after.lastError, after.refused], ['idle', undefined, []]);
      assert.match(await fileNamed('history.jsonl'), /"result":"updated","version":"2"/);
      assert.equal(await fileNamed('trial'), '', 'the marker has gone');
      assert.match(await fileNamed('state.json'), /"kind": "idle"/);
    }));

for (const errno of ['ENOSPC', 'EROFS'])
  test(`an agent that is started again while the disk says ${errno} does not put what was proven on trial again`, () =>
    onMachine(async ({ disk, probes, restarts, start, turn, fileNamed }) => {
      disk.errno = errno;
      await turn(await start('b'));
      assert.equal(probes.asked, 1);
      assert.match(await fileNamed('state.json'), /"kind": "armed"/);
      // What fails by now is not the release's trial.
      probes.healthy = false;
      const second = await start('b');
      await turn(second);
      assert.deepEqual([probes.asked, restarts.asked], [1, 0]);
      assert.equal((await second.view.status()).confirmed, true);
      disk.errno = undefined;
      await turn(second);
      assert.match(await fileNamed('history.jsonl'), /^\S+"result":"updated"[^\n]+\n$/);
    }));

test('a release that is not healthy is left though the disk is full, and is refused as soon as that can be written', () =>
  onMachine(async ({ disk, loader, probes, restarts, given, start, turn, fileNamed }) => {
    disk.errno = 'ENOSPC';
    probes.healthy = false;
    assert.equal(await turn(await start('b')), 'the restart of the machine');
    assert.equal(restarts.asked, 1);
    assert.equal(loader.start(), 'a');

    const before = await start('a', 'the next boot of a');
    await turn(before);
    assert.equal(
      (await before.view.status()).state.kind,
      'settling',
      'nothing is looked for while it is not on record',
    );
    assert.equal(given.length, 1, 'nobody else waits for the lock');
    await turn(before);
    disk.errno = undefined;
    await turn(before);
    assert.match(await fileNamed('refused.json'), new RegExp(`"manifest": "${NEW.manifest}"`));
    assert.equal((await before.view.status()).state.kind, 'idle');
  }));

test('nothing is staged, armed or left while the disk is full: each of these is on disk before it is done', () =>
  onMachine(async ({ disk, loader, restarts, start, turn }) => {
    // The machine has come back without having left: the same start as the one that armed.
    const agent = await start('a');
    disk.errno = 'ENOSPC';
    assert.equal(await turn(agent), 'the next try');
    assert.equal(restarts.asked, 0);
    assert.equal((await agent.view.status()).state.kind, 'armed');
    assert.equal((await loader.backend.read()).next, 'b');
    disk.errno = undefined;
    assert.equal(await turn(agent), 'the restart of the machine');
  }));
