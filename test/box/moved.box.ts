/** An image brings another root of trust and another address: a fleet moves to another repository. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repoAdd } from '../../src/cli/publish/repo-add.ts';
import { repoRefresh } from '../../src/cli/publish/repo-refresh.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { serve, type Web } from '../vm/web.ts';
import { ADDRESS, addressOf, HEALTH, inLab, type Lab } from './lab.ts';
import { Publisher } from './publisher.ts';
import type { Release, ReleaseOptions } from './release.ts';

type Move = Lab &
  Readonly<{ after: Publisher; elsewhere: Web; moving(options?: Partial<ReleaseOptions>): Promise<Release> }>;

/** A box whose repository has rotated its root twice, a second repository, and the release 2 that moves from one to the other. */
const inMove = (story: (move: Move) => Promise<void>): Promise<void> =>
  inLab({}, async (lab) => {
    const { box, publisher } = lab;
    await using folder = await temporaryFolder();
    const after = await Publisher.create(folder.path);
    const elsewhere = await serve(after.served, box.address);
    await using ground = new AsyncDisposableStack();
    ground.defer(() => elsewhere.close());
    for (let times = 0; times < 2; times++) await publisher.run(repoRefresh, '--role', 'root');
    await publisher.promote('1');
    await box.check();
    await box.settled('a', '1');
    // From its next start on the box goes by what its image says.
    await box.configure(ADDRESS, '');
    const moving = ({ files, ...options }: Partial<ReleaseOptions> = {}): Promise<Release> => {
      const config = { 'usr/lib/tandem/config.d/10-moved.toml': addressOf(elsewhere, box) };
      return publisher.release({ version: '2', ...options, files: { ...config, ...files } }, after.trustRoot);
    };
    await story({ ...lab, after, elsewhere, moving });
  });

test('a host follows an image to another repository, and goes on there when the old one is gone', () =>
  inMove(async ({ box, after, web, elsewhere, moving, offer }) => {
    const { bundle } = await moving();
    await after.run(repoAdd, bundle, '--patch-from', '0', '--no-blocks');
    await after.promote('2');
    await offer('2');
    const moved = await box.settled('b', '2');
    assert.equal(moved.lastCheck?.code, 'up-to-date');
    assert.ok(elsewhere.requests.some((asked) => asked.includes('/metadata/timestamp.json')));
    web.trouble(() => ({ status: 503 }));
    await after.release({
      version: '3',
      files: { 'usr/lib/tandem/config.d/10-moved.toml': addressOf(elsewhere, box) },
    });
    await after.promote('3');
    await box.check();
    await box.settled('a', '3');
    assert.deepEqual(box.versions, ['1', '2', '3']);
  }));

test('an image that moves and is ill falls back, and the old repository is followed as before', () =>
  inMove(async ({ box, web, moving, release, offer }) => {
    await moving({ files: { [`${HEALTH}/required/10-x`]: '#!/bin/sh\nexit 1\n' } });
    await box.configure('30-scenario', '[boot]\ntries = 1\n');
    await offer('2');
    await box.until('it is on trial', ({ state }) => state.kind === 'trial' || state.kind === 'condemned');
    await box.configure(ADDRESS, addressOf(web, box));
    const back = await box.settledAgain('a', '1');
    assert.equal(back.refused[0]?.version, '2');
    await release({ version: '3' });
    await offer('3');
    await box.settled('b', '3');
  }));

test('another build of the running version is refused, and costs nothing: the way back is still there', () =>
  inMove(async ({ box, after, web, moving, offer }) => {
    await moving();
    await after.release({ version: '2', seed: 'another build', files: {} });
    await after.promote('2');
    await offer('2');
    const refused = await box.until(
      'the other build is refused',
      ({ running, lastError, state }) =>
        running?.version === '2' && state.kind === 'idle' && lastError?.code === 'boot-version-clash',
    );
    assert.deepEqual([refused.slots?.a.version, refused.slots?.a.bootable], ['1', true]);
    await box.configure(ADDRESS, addressOf(web, box));
    // The machine leaves while the command waits.
    await box.attempt('updatectl rollback');
    await box.settled('a', '1');
    assert.deepEqual(box.versions, ['1', '2', '1']);
  }));
