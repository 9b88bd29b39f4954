/** A clock that was wrong for a while. */

import { test } from 'node:test';
import { clockAhead } from './clock-ahead.ts';
import { inLab } from './lab.ts';

test('a host whose clock was 40 hours ahead for a while updates as soon as it is right again', () =>
  inLab({}, async ({ box, release, offer }) => {
    await clockAhead(box, 40);
    const ahead = new Date(Date.now() + 39 * 3_600_000).toISOString();
    await box.until('it has looked with a clock that is ahead', ({ lastGoodCheck = '' }) => lastGoodCheck > ahead);

    await clockAhead(box, 0);
    await release({ version: '2' });
    await offer('2');
    await box.settled('b', '2');
  }));
