/** A rollout from the operator's command line to what hosts make of the signed channel. */

import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createReleases } from '../../src/agent/find/releases.ts';
import type { Command } from '../../src/cli/command.ts';
import { repoAdd } from '../../src/cli/publish/repo-add.ts';
import { repoInit } from '../../src/cli/publish/repo-init.ts';
import { repoPromote } from '../../src/cli/publish/repo-promote.ts';
import { repoRemove } from '../../src/cli/publish/repo-remove.ts';
import { rolloutAbort } from '../../src/cli/rollout/abort.ts';
import { rolloutHistory } from '../../src/cli/rollout/history.ts';
import { rolloutPause } from '../../src/cli/rollout/pause.ts';
import { rolloutPlan } from '../../src/cli/rollout/plan.ts';
import { rolloutResume } from '../../src/cli/rollout/resume.ts';
import { rolloutSimulate } from '../../src/cli/rollout/simulate.ts';
import { rolloutStart } from '../../src/cli/rollout/start.ts';
import { rolloutStatus } from '../../src/cli/rollout/status.ts';
import type { MachineId, Product, Release, Version } from '../../src/model.ts';
import { limitsOf, readRollout } from '../../src/rollout/document.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { createTrust } from '../../src/verify/client.ts';
import { dirMetadata } from '../../src/verify/metadata-fetch.ts';
import { about, makeBundle, noSignal, someBytes, temporaryFolder } from '../support/bundles.ts';
import { refusalOf, runCommand } from '../support/command-line.ts';
import { demoUki } from '../support/uki.ts';

const HOUR = 3_600_000;
const MACHINE = '0123456789abcdef0123456789abcdef' as MachineId;

const WHERE = ['--repository', 'repo', '--keys', 'keys'];
let made: Awaited<ReturnType<typeof temporaryFolder>>;

// A repository with versions 1.0 to 3.0, of which the channel offers 1.0; each test has a copy of its own.
before(async () => {
  made = await temporaryFolder();
  const run = (command: Command, ...args: string[]) => runCommand(command, made.path, [...args, ...WHERE]);
  await run(repoInit);
  for (const counter of [1, 2, 3]) {
    const root = someBytes(64 * 1024 * counter);
    const release = { ...about, version: `${counter}.0` as Version, counter };
    const images = { root, uki: demoUki(root, release.version) };
    await makeBundle(join(made.path, `${counter}.bundle`), images, { about: release });
    await run(repoAdd, `${counter}.bundle`, '--no-blocks', '--patch-from', '0');
  }
  await run(repoPromote, '1.0', '--channel', 'stable');
});
after(() => made[Symbol.asyncDispose]());

async function fleet() {
  const folder = await temporaryFolder();
  const { path } = folder;
  await cp(made.path, path, { recursive: true });
  const run = (command: Command, ...args: string[]) => runCommand(command, path, args);
  return {
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
    path,
    sign: (command: Command, ...args: string[]) => run(command, ...args, ...WHERE),
    read: (command: Command, ...args: string[]) => run(command, ...args, '--repository', 'repo'),
    /** What a host of this group is offered at a time, in hours from now: a version, or why not. */
    offered: async (group: string, version: string, hours = 0): Promise<string> => {
      const running: Release = {
        product: about.product as Product,
        version: version as Version,
        counter: Number.parseInt(version, 10),
      };
      const found = await (await hostOf(path, group)).find({}, running, new Date(Date.now() + hours * HOUR), noSignal);
      return 'hold' in found ? found.hold.code : found.trusted.release.version;
    },
  };
}

async function hostOf(path: string, group: string) {
  const embeddedRoot = await readFile(join(path, 'repo/metadata/1.root.json'));
  return createReleases({
    product: about.product as Product,
    channel: 'stable',
    group,
    machine: async () => MACHINE,
    urls: ['http://server.invalid/'],
    http: undefined as never,
    resumption: undefined as never,
    trust: () =>
      createTrust({
        files: realFiles,
        metadataDir: join(path, 'host'),
        floorsPath: join(path, 'floors.json'),
        embeddedRoot,
        mirrors: [dirMetadata(join(path, 'repo'))],
        log: silentLog,
      }),
  });
}

test('a rollout reaches the canaries first, then everybody, and a pause stops it for all', async () => {
  await using site = await fleet();
  await site.sign(rolloutStart, '2.0', '--canary', 'lab', '--soak', '6h', '--over', '12h');
  assert.equal(await site.offered('lab', '1.0'), '2.0');
  assert.equal(await site.offered('default', '1.0', 5), 'canaries-first');
  assert.equal(await site.offered('default', '1.0', 18.1), '2.0');
  await site.sign(rolloutPause, '--reason', 'disk errors');
  for (const group of ['lab', 'default']) assert.equal(await site.offered(group, '1.0', 18.1), 'paused');
  assert.equal(await site.offered('lab', '2.0'), '2.0');
  await site.sign(rolloutResume);
  assert.equal(await site.offered('lab', '1.0', 0.1), '2.0');
});

test('the moment that the plan tells a host is the one at which it is offered the release', async () => {
  await using site = await fleet();
  await site.sign(rolloutStart, '2.0', '--over', '20h');
  const plan = JSON.parse(await site.read(rolloutPlan, `${MACHINE}=default`, '--json'));
  const hours = (Date.parse(plan.hosts[0].at) - Date.now()) / HOUR;
  assert.ok(hours > 0.1 && hours < 19.9, 'this machine is in the middle');
  assert.equal(await site.offered('default', '1.0', hours - 0.01), 'not-your-turn');
  assert.equal(await site.offered('default', '1.0', hours + 0.01), '2.0');
  assert.match(await site.read(rolloutPlan), /all others +\d{4}-/);
});

test('an aborted rollout offers the old release again, and only a signed way back takes hosts back', async () => {
  await using site = await fleet();
  await site.sign(rolloutStart, '2.0', '--over', '0m');
  assert.equal(await site.offered('default', '1.0'), '2.0');
  await site.sign(rolloutAbort, '--reason', 'breaks printing');
  assert.equal(await site.offered('default', '1.0'), '1.0');
  assert.equal(await site.offered('default', '2.0'), 'downgrade');
  const told = await site.read(rolloutStatus);
  assert.match(told, /ABORTED 2\.0 at \S+Z: breaks printing\n +1\.0 is offered again; hosts that run 2\.0 keep it/);
  const { aborted } = JSON.parse(await site.read(rolloutStatus, '--json'));
  assert.deepEqual([aborted.version, aborted.reason], ['2.0', 'breaks printing']);
  await site.sign(rolloutStart, '2.0', '--over', '0m');
  await site.sign(rolloutAbort, '--reason', 'breaks scanning', '--go-back');
  assert.equal(await site.offered('default', '2.0'), '1.0');
  assert.match(await site.read(rolloutStatus), /ABORTED 2\.0 .*breaks scanning\n +1\.0 .* go back to it/);
  await site.sign(rolloutPause, '--reason', 'lunch');
  assert.match(await site.read(rolloutStatus), /ABORTED 2\.0[\s\S]*PAUSED/);
  await site.sign(rolloutResume);
  await site.sign(rolloutStart, '2.0', '--over', '0m');
  assert.doesNotMatch(await site.read(rolloutStatus), /ABORTED/);
  await site.sign(rolloutAbort, '--reason', 'breaks all');
  const deeds = (await site.read(rolloutHistory)).split('\n').map((line) => line.split(/ {2,}/)[1]);
  assert.deepEqual(
    deeds.slice(1, -1).filter((deed) => deed === 'started' || deed === 'aborted'),
    ['started', 'aborted', 'started', 'aborted', 'started', 'aborted'],
  );
});

test('barriers, holds, pins and dead ends are typed, signed and obeyed', async () => {
  await using site = await fleet();
  const rules = [
    '--barrier',
    '2.0=migration',
    '--hold',
    'kiosk=exam week',
    '--pin',
    'till=2.0',
    '--dead-end',
    '0.9=no updater',
  ];
  await site.sign(rolloutStart, '3.0', '--over', '0m', ...rules);
  assert.equal(await site.offered('default', '1.0'), '2.0');
  assert.equal(await site.offered('default', '2.0'), '3.0');
  assert.equal(await site.offered('kiosk', '1.0'), 'group-held');
  assert.equal(await site.offered('till', '1.0'), '2.0');
  assert.equal(await site.offered('till', '2.0'), '2.0');
  assert.equal(await site.offered('default', '0.9'), 'dead-end');
  const status = await site.read(rolloutStatus);
  for (const line of ['group kiosk is held: exam week', 'group till is pinned to 2.0', 'barrier 2.0: migration'])
    assert.ok(status.includes(line), line);
});

test('promoting ends a rollout: everybody may have the release', async () => {
  await using site = await fleet();
  await site.sign(rolloutStart, '2.0', '--over', '9d');
  await site.sign(repoPromote, '2.0', '--channel', 'stable');
  assert.equal(await site.offered('default', '1.0'), '2.0');
  assert.equal(await refusalOf(site.sign(rolloutPause, '--reason', 'too late')), 'rollout-state');
});

test('a rollout that makes no sense is refused before anything is signed', async () => {
  await using site = await fleet();
  const WRONG: readonly (readonly [string, ...string[]])[] = [
    ['usage', '--over', 'soon'],
    ['usage', '--hold', 'kiosk'],
    ['usage', '--max-failures', 'many'],
    ['release-unknown', '--barrier', '7.0=never published'],
    ['usage', '--canary', 'no spaces here'],
    ['usage', '--start', 'tomorrow'],
    ['usage', '--start', '2031-01-31'],
    ...['2031-11-31', '2031-02-29', '2031-13-01', '2031-00-10', '2031-01-32'].map(
      (day) => ['usage', '--start', `${day}T00:00:00Z`] as const,
    ),
    ['usage', '--start', '2031-01-31T24:00:00Z'],
    ['usage', '--start', '2031-01-31T23:59:60Z'],
    ['usage', '--pin', 'till=1.0', '--pin', 'till=2.0'],
    ['rollout-doubtful', '--barrier', '1.0=new layout', '--dead-end', '1.0=no updater'],
    ['rollout-doubtful', '--dead-end', '2.0=no updater'],
    ['rollout-doubtful', '--pin', 'till=1.0', '--dead-end', '1.0=no updater'],
    ['rollout-doubtful', '--barrier', '2.0=new layout'],
    ['rollout-doubtful', '--barrier', '3.0=new layout'],
    ['rollout-doubtful', '--canary', 'lab', '--hold', 'lab=exam week'],
    ['rollout-doubtful', '--dead-end', '2.0=no updater', '--insist', 'channel-new'],
  ];
  for (const [code, ...args] of WRONG)
    assert.equal(await refusalOf(site.sign(rolloutStart, '2.0', ...args)), code, args.join(' '));
  assert.equal(await site.offered('default', '1.0'), '1.0');
  assert.equal(await refusalOf(site.sign(rolloutResume)), 'rollout-state');
});

test('whoever insists on a doubtful rollout gets it', async () => {
  await using site = await fleet();
  await site.sign(rolloutStart, '2.0', '--over', '0m', '--dead-end', '2.0=the last', '--insist', 'rollout-doubtful');
  assert.equal(await site.offered('default', '1.0'), '2.0');
});

test('a start in the past and a dead end that was never published are warned about', async () => {
  await using site = await fleet();
  const warned: string[] = [];
  const start = (...args: string[]): Promise<string> =>
    runCommand(rolloutStart, site.path, ['2.0', ...args, ...WHERE], {}, (text) => warned.push(text));
  await start('--start', '2020-01-31T00:00:00Z', '--dead-end', '1.9=no updater');
  assert.match(warned.join(''), /began \d+ d.* ago: .*\n.*dead end 1\.9 is not a release/);
  warned.length = 0;
  await start('--dead-end', '1.0=no updater');
  assert.deepEqual(warned, []);
});

test('a release that a rollout needs is removed for whoever insists, and then not gone back to', async () => {
  await using site = await fleet();
  const remove = (version: string, ...rest: string[]): Promise<string> =>
    refusalOf(site.sign(repoRemove, version, ...rest));
  await site.sign(rolloutStart, '3.0', '--barrier', '2.0=new layout');
  assert.equal(await remove('2.0'), 'release-named');
  assert.equal(await remove('1.0'), 'release-named', 'an abort goes back to it');
  assert.equal(await remove('3.0', '--insist', 'release-named'), 'release-in-use');
  await site.sign(rolloutStart, '3.0', '--pin', 'till=2.0');
  await assert.rejects(site.sign(repoRemove, '2.0'), {
    message: 'The rollout in the channel stable needs demo 2.0 for the group till, which is pinned to it.',
  });
  await site.sign(rolloutStart, '3.0');
  assert.equal(await remove('2.0'), 'none');
  assert.equal(await remove('1.0', '--insist', 'release-named'), 'none');
  assert.equal(await refusalOf(site.sign(rolloutAbort, '--reason', 'slow')), 'release-unknown');
  assert.equal(await refusalOf(site.sign(rolloutPause, '--reason', 'slow')), 'none');
});

test('a channel that a slip of the finger would make is refused, with the one that was meant', async () => {
  await using site = await fleet();
  const typo = {
    code: 'channel-new',
    message: /no channel “stabel” yet; the repository has stable\. Did you mean “stable”\?/,
  };
  await assert.rejects(site.sign(repoPromote, '2.0', '--channel', 'stabel'), typo);
  await assert.rejects(site.sign(rolloutStart, '2.0', '--channel', 'stabel'), typo);
  assert.equal(await refusalOf(site.sign(rolloutStart, '2.0', '--channel', 'edge', '--insist', 'channel-new')), 'none');
  assert.equal(await refusalOf(site.sign(repoPromote, '3.0', '--channel', 'edge')), 'none');
});

test('a rollout is played without a repository, and what is signed can be played too', async () => {
  await using site = await fleet();
  const bad = ['--hosts', '500', '--failure-rate', '0.5', '--max-in-flight', '20', '--max-failures', '5', '--json'];
  const played = JSON.parse(await site.read(rolloutSimulate, ...bad));
  assert.match(played.braked.reason, /6 hosts failed/);
  assert.ok(played.mostInFlight <= 20);
  await site.sign(rolloutStart, '2.0', '--over', '4h');
  const text = await site.read(rolloutSimulate, '--signed', '--hosts', '300', '--svg', 'curve.svg');
  assert.match(text, /all 300 hosts have it/);
});

test('a rollout of which nobody says how many may fail has a brake and says so, and one without a brake must be told', async () => {
  await using site = await fleet();
  const limitsOfStart = async (...args: string[]) => {
    const { rollout } = JSON.parse(await site.sign(rolloutStart, '2.0', ...args, '--json'));
    return limitsOf(readRollout(rollout, 'stable'));
  };
  assert.match(await site.sign(rolloutStart, '2.0'), /More than 3 failures pull the brake/);
  assert.match(await site.read(rolloutStatus), /any number at once; more than 3 failures pull the brake/);
  assert.deepEqual((await limitsOfStart()).maxFailures, 3);
  const bounded = await limitsOfStart('--max-in-flight', '7');
  assert.deepEqual([bounded.maxInFlight, bounded.maxFailures], [7, 3]);
  const open = await limitsOfStart('--max-failures', 'none');
  assert.deepEqual([open.maxInFlight, open.maxFailures], [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  assert.match(await site.sign(rolloutStart, '2.0', '--max-failures', 'none'), /There is no brake/);
  assert.match(await site.read(rolloutStatus), /no brake/);
  // What was signed before limits were always written has the same brake.
  const before = limitsOf(readRollout({ schema: 1, start: '2030-01-01T00:00:00Z' }, 'stable'));
  assert.deepEqual([before.maxInFlight, before.maxFailures], [Number.POSITIVE_INFINITY, 3]);
  assert.match(await site.read(rolloutSimulate, '--failure-rate', '1'), /more than 3 failures pull the brake/);
});
