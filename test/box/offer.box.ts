/** The offer changes while a host is busy with it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rolloutPause } from '../../src/cli/rollout/pause.ts';
import { rolloutResume } from '../../src/cli/rollout/resume.ts';
import type { Trouble } from '../vm/web.ts';
import { inLab, type Lab } from './lab.ts';
import { CHANNEL } from './publisher.ts';
import { PRODUCT } from './release.ts';

test('a release that is replaced while it is downloaded is never started', () =>
  inLab({}, async (lab) => {
    const { box, publisher, release } = lab;
    await release({ version: '2' });
    await release({ version: '3' });
    await publisher.promote('2');
    await whileDownloading(lab, () => publisher.promote('3'));
    await box.settled('b', '3');
    assert.deepEqual(box.versions, ['1', '3']);
  }));

test('a release that is paused while it is downloaded is not started, and resumed it is', () =>
  inLab({}, async (lab) => {
    const { box, publisher, release } = lab;
    await release({ version: '2' });
    await publisher.rollout('2');
    const where = ['--product', PRODUCT, '--channel', CHANNEL];
    await whileDownloading(lab, () => publisher.run(rolloutPause, ...where, '--reason', 'it breaks hosts'));
    await box.until('the release is given up', ({ state }) => state.kind === 'idle');
    assert.deepEqual(box.versions, ['1']);
    await publisher.run(rolloutResume, ...where);
    await box.check();
    await box.settled('b', '2');
  }));

test('a release whose repository is away after the download waits until it answers again', () =>
  inLab({}, async (lab) => {
    const { box, publisher, web, release } = lab;
    await release({ version: '2' });
    await publisher.promote('2');
    await whileDownloading(lab, async () => {
      web.trouble((path) => (path.startsWith('/metadata/') ? { status: 503 } : undefined));
    });
    await box.awaitState('staged');
    await box.until('it says what it waits for', ({ gates = [] }) =>
      gates.some(({ code }) => code === 'offer-unknown'),
    );
    assert.deepEqual(box.versions, ['1']);
    web.trouble(undefined);
    await box.check();
    await box.settled('b', '2');
  }));

/** Has the box look, holds up the download half way, does something, and lets it go on. */
async function whileDownloading({ box, web }: Lab, deed: () => Promise<unknown>): Promise<void> {
  const held = Promise.withResolvers<void>();
  let asked = 0;
  web.trouble((path): Trouble | undefined => {
    if (!path.endsWith('.bundle')) return undefined;
    asked += 1;
    return asked > 1 ? { after: held.promise } : undefined;
  });
  await box.check();
  await box.until('the download has begun', ({ state }) => state.kind === 'staging' && asked > 1);
  web.trouble(undefined);
  await deed();
  held.resolve();
}
