/** What programs say: however much and whatever it is, a verdict is kept and heeded. */

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { HEALTH, inLab } from './lab.ts';

/** One kilobyte of words with a NUL, an escape sequence and a mark that turns text around in it. */
const WORDY = `#!/bin/sh
printf 'no\\000thing \\033[31mworks \\342\\200\\256 ' >&2
head -c 1000 /dev/zero | tr '\\000' x >&2
exit 1
`;
/** What would steer a terminal. */
const steers = (text: string): boolean => ['\0', '\u001b', '\u202e'].some((mark) => text.includes(mark));
const PROGRAMS = ['10-one', '20-two', '30-three', '40-four'];

test('four programs with a kilobyte each, NULs and escapes in it, condemn a release for good', () =>
  inLab({}, async ({ box, release, offer }) => {
    const files = Object.fromEntries(PROGRAMS.map((name) => [`${HEALTH}/required/${name}`, WORDY]));
    await release({ version: '2', files });
    await offer('2');
    const { refused } = await box.settledAgain('a', '1');
    assert.deepEqual([refused[0]?.version, refused[0]?.code], ['2', 'unhealthy']);
    assert.match(refused[0]?.reason ?? '', /10-one: ended with status 1: no thing/);

    box.step = 'the agent starts again and reads what it has written';
    await box.run('systemctl restart tandem-agent.service');
    await box.settled('a', '1');
    await box.check();
    await box.settled('a', '1');
    assert.deepEqual(box.versions, ['1', '2', '1'], 'it is not tried again');
    const kept = await readdir(box.var('lib/tandem'));
    assert.deepEqual(
      kept.filter((name) => /damaged|corrupt|aside|\.bad/.test(name)),
      [],
      'nothing was set aside',
    );
    for (const command of ['status', 'explain', 'history'])
      assert.ok(!steers(await box.attempt(`updatectl ${command}`)), command);
  }));
