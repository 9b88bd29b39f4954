/** Between host and repository: whatever answers in its place, the release that is signed arrives or nothing does. */

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve, type Trouble } from '../vm/web.ts';
import { inLab, type Lab } from './lab.ts';

const PORTAL: Trouble = {
  status: 200,
  headers: { 'Content-Type': 'text/html' },
  body: '<html><body>Welcome to the hotel. Please log in.</body></html>',
};

test('a first mirror with an old copy does not hide the release that the second has', () =>
  withMirror(async (lab, old) => {
    lab.web.trouble(() => ({ from: old }));
    await lab.box.check();
    await lab.box.settled('b', '2');
  }));

test('a first mirror that answers with a page is passed over', () =>
  withMirror(async ({ box, web }) => {
    web.trouble((path) => (path.endsWith('.bundle') ? undefined : PORTAL));
    await box.check();
    await box.settled('b', '2');
  }));

test('a bundle with one wrong bit, a page or a broken end in its place is never started; an honest one then is', () =>
  inLab({}, async ({ box, web, release, offer }) => {
    await release({ version: '2' });
    const troubles: Trouble[] = [
      { flipAt: 100 },
      PORTAL,
      { status: 302, headers: { Location: 'http://portal.invalid/' } },
    ];
    for (const trouble of troubles) {
      web.trouble((path) => (path.endsWith('.bundle') ? trouble : undefined));
      await offer('2');
      await box.until(
        `${JSON.stringify(trouble)} is noticed`,
        ({ lastError, state }) => lastError !== undefined && state.kind === 'idle',
      );
      assert.deepEqual(box.versions, ['1']);
      web.trouble(undefined);
      await box.run('updatectl forget --all || true');
    }
    await box.check();
    await box.settled('b', '2');
  }));

test('a transfer that breaks off again and again is resumed', () =>
  inLab({}, async ({ box, web, release, offer }) => {
    await release({ version: '2', contentMib: 4 });
    let breaks = 0;
    web.trouble((path) => (path.endsWith('.bundle') && breaks++ < 4 ? { breakAfter: 700_000 } : undefined));
    await offer('2');
    await box.settled('b', '2');
    assert.ok(breaks >= 4);
  }));

/** Version 2 is offered; `old` is a copy from before the host last looked, and a second mirror has all of it. */
const withMirror = (story: (lab: Lab, old: string) => Promise<void>): Promise<void> =>
  inLab({}, async (lab) => {
    const { box, publisher, release } = lab;
    const old = join(box.work, 'old');
    await cp(publisher.served, old, { recursive: true });
    await release({ version: '2' });
    await publisher.promote('1');
    const mirror = await serve(publisher.served, box.address);
    try {
      await box.configure('40-mirror', `[repository]\nmirrors = ["http://${box.address}:${mirror.port}/"]\n`);
      await box.run('systemctl restart tandem-agent.service');
      await box.check();
      await box.settled('a', '1');
      await publisher.promote('2');
      await story(lab, old);
    } finally {
      await mirror.close();
    }
  });
