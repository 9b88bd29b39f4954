/** Trials in bad surroundings: what is not the release's fault is not held against it. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { HEALTH, inLab } from './lab.ts';

const UNITS = 'usr/lib/systemd/system';

/** A unit that starts before the agent. */
const early = (name: string, command: string): Record<string, string> => {
  const text = `[Unit]
DefaultDependencies=no
RequiresMountsFor=/var/lib/tandem
Before=tandem-agent.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '${command}'
`;
  return { [`${UNITS}/${name}`]: text, [`${UNITS}/sysinit.target.d/${name}.conf`]: `[Unit]\nWants=${name}\n` };
};

/** In ever smaller pieces, since a large one is refused while small ones still fit; and again, after what was only promised is on disk. */
const FILL = 'for n in 128k 1k 1k 1k; do dd if=/dev/zero bs=$$n >>/var/log/fill; sync; done; true';

test('a /var that is full during the trial costs no start and no release; the disk is blamed, and the result recorded later', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: early('fill.service', FILL) });
    await offer('2');
    const status = await box.until(
      'version 2 is confirmed',
      ({ confirmed, running, lastError }) =>
        running?.version === '2' && confirmed === true && lastError?.code === 'state-unwritable',
    );
    assert.match(status.lastError?.message ?? '', /ENOSPC/);
    box.step = 'the agent starts again while the disk is full';
    await box.run('systemctl restart tandem-agent.service');
    await box.until('it still knows', ({ confirmed, running }) => running?.version === '2' && confirmed === true);
    await box.run('rm /var/log/fill && systemctl restart tandem-agent.service');
    const { refused } = await box.settled('b', '2');
    assert.deepEqual([refused, box.versions], [[], ['1', '2']]);
    assert.match(await readFile(box.var('lib/tandem/history.jsonl'), 'utf8'), /"result":"updated","version":"2"/);
  }));

test('a /var that is read-only during the trial costs no start and no release', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: early('protect.service', 'mount -o remount,ro /var') });
    await offer('2');
    const status = await box.until(
      'version 2 is confirmed',
      ({ state, confirmed, running, lastError }) =>
        state.kind === 'settling' &&
        running?.version === '2' &&
        confirmed === true &&
        lastError?.code === 'state-unwritable',
    );
    assert.match(status.lastError?.message ?? '', /EROFS/);
    await box.run('mount -o remount,rw /var && systemctl restart tandem-agent.service');
    const { refused } = await box.settled('b', '2');
    assert.deepEqual([refused, box.versions], [[], ['1', '2']]);
  }));

test('power that fails at every try of a good release is told by name, and the release is installed afterwards', () =>
  inLab({ config: '[boot]\ntries = 2\n' }, async ({ box, release, offer }) => {
    await release({ version: '2', files: { [`${HEALTH}/required/10-slow`]: '#!/bin/sh\nsleep 3\n' } });
    await offer('2');
    for (let tries = 0; tries < 2; tries++) {
      await box.awaitState('trial');
      await box.powerCut();
      await box.powerOn();
    }
    const { refused } = await box.settledAgain('b', '2');
    assert.deepEqual([refused, box.versions], [[], ['1', '2', '2', '1', '2']]);
    const history = await box.run('updatectl history');
    assert.match(history, /lost power or crashed/);
  }));

test('a release that is lost at every try a second time is refused, and not tried again', () =>
  inLab({ config: '[boot]\ntries = 2\n' }, async ({ box, release, offer }) => {
    await release({ version: '2', files: { [`${HEALTH}/required/10-slow`]: '#!/bin/sh\nsleep 60\n' } });
    await offer('2');
    for (let tries = 0; tries < 4; tries++) {
      await box.until('it is on trial again', ({ state }) => state.kind === 'trial' && box.versions.at(-1) === '2');
      await box.powerCut();
      await box.powerOn();
    }
    const { refused } = await box.settled('a', '1');
    assert.deepEqual([refused[0]?.version, refused[0]?.code], ['2', 'trial-lost']);
    await box.check();
    await box.settled('a', '1');
    assert.deepEqual(box.versions, ['1', '2', '2', '1', '2', '2', '1']);
  }));

test('a unit that had failed before the update is not held against the release, and is named', () => {
  const files = early('broken.service', 'exit 1');
  return inLab({ installed: { files } }, async ({ box, release, offer }) => {
    await release({ version: '2', files });
    await offer('2');
    const { failedBefore } = await box.settledAgain('b', '2');
    assert.deepEqual(failedBefore?.units, ['broken.service']);
    assert.match(await box.run('updatectl explain'), /broken\.service/);
    assert.match(await box.attempt('updatectl doctor'), /broken\.service \(failed before the last update\)/);

    await release({ version: '3', files: { ...files, ...early('worse.service', 'exit 1') } });
    await offer('3');
    const { refused } = await box.settledAgain('b', '2');
    assert.match(refused[0]?.reason ?? '', /worse\.service failed/);
    assert.doesNotMatch(refused[0]?.reason ?? '', /broken\.service/);
  });
});

test('a health program that fails for a while, and one that leaves a daemon behind with its output, pass', () =>
  inLab({ config: '[health]\nretry_seconds = 30\n' }, async ({ box, release, offer }) => {
    const files = {
      [`${HEALTH}/required/10-late`]: '#!/bin/sh\n[ -e /run/ready ]\n',
      [`${HEALTH}/required/20-daemon`]: '#!/bin/sh\nsleep 600 &\nexit 0\n',
    };
    await release({ version: '2', files });
    await offer('2');
    await box.awaitState('trial');
    await box.run('touch /run/ready');
    const { refused } = await box.settled('b', '2');
    assert.deepEqual([refused, box.versions], [[], ['1', '2']]);
  }));

test('a required program that cannot be run fails the trial, and is named', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: { [`${HEALTH}/required/10-check`]: 'exit 0\n' } });
    await offer('2');
    const { refused } = await box.settledAgain('a', '1');
    assert.match(refused[0]?.reason ?? '', /10-check: is not executable/);
  }));

test('a second partition with a slot’s label ends neither the agent nor a trial; nothing is staged, and doctor names both', () =>
  inLab({ extra: ['root-b'] }, async ({ box, release, offer }) => {
    await release({ version: '2' });
    await offer('2');
    const status = await box.until('staging is refused', ({ lastError }) => lastError?.code === 'slots-ambiguous');
    assert.deepEqual([status.booted, status.confirmed, status.refused], ['a', true, []]);
    assert.match(await box.attempt('updatectl doctor'), /root-b is on more than one partition/);
  }));
