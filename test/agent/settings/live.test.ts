/** What a running agent does when the settings of its fleet change. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { createGates } from '../../../src/agent/gates/host-gates.ts';
import { liveGates, restingLoop, withFleetSettings } from '../../../src/agent/settings/live.ts';
import { explain } from '../../../src/cli/host/explain-text.ts';
import { settingsLines } from '../../../src/cli/host/settings-text.ts';
import { type Config, resolveConfig } from '../../../src/config/config.ts';
import { readFleet } from '../../../src/config/fleet.ts';
import type { AgentEvent, Status } from '../../../src/protocol.ts';
import { noFiles } from '../../support/no-files.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const STAGED = '2026-11-20T00:00:00.000Z';
const world = {
  clock: { now: () => NOW },
  exec: async () => ({ exitCode: 0, stdout: '{"data":[[]]}', stderr: '', timedOut: false }),
  files: noFiles,
  probe: async () => ({ ok: true }) as const,
};

const saying = (text: string): Config =>
  resolveConfig([], readFleet([{ key: 'k', audience: 'all', bytes: Buffer.from(text) }], []).settings);

test('gates follow the settings: a black-out that comes through etcd holds the reboot, and its end lets it go', async () => {
  let config = saying('');
  let made = 0;
  const gates = liveGates(
    () => config,
    (now) => {
      made++;
      return createGates(now, world, 'machine');
    },
  );
  assert.equal((await gates.ask(STAGED, false)).open, true);
  config = saying('[[reboot.black_out]]\nname = "sale"\ndates = ["2026-11-23"]\nduration = "5d"\n');
  assert.deepEqual(
    (await gates.ask(STAGED, false)).closed.map(({ code }) => code),
    ['black-out'],
  );
  assert.equal(gates.status(STAGED, []).gates?.length, 1);
  config = saying('reboot.automatic = false');
  assert.deepEqual([(await gates.ask(STAGED, false)).open, gates.isAutomatic(), made], [true, false, 3]);
  config = saying('reboot.automatic = false\npoll.jitter_minutes = 1');
  await gates.ask(STAGED, false);
  assert.equal(made, 3);
});

const STATUS = {
  schema: 1,
  agent: '0.1.0',
  at: NOW.toISOString(),
  since: STAGED,
  state: { kind: 'idle' },
  lastCheck: { at: STAGED, result: 'up to date', code: 'up-to-date' },
  refused: [],
} as const satisfies Status;

const SETTINGS = {
  prefix: 'p/',
  readAt: '2026-11-23T11:55:00.000Z',
  pending: ['host.group'],
  faults: [{ code: 'setting-invalid', message: 'etcd:p/all/10:2: reboot.automatic must be true or false.' }],
  error: { code: 'etcd-unavailable', message: 'No endpoint of etcd answers.', next: 'x', at: STAGED },
};

test('a change ends the pause of the loop, and status and events tell of the settings', async () => {
  let changing = new AbortController();
  const agent = {
    loop: {
      pause: (_reason: string, stop: AbortSignal) =>
        new Promise<void>((resolve) => {
          if (stop.aborted) resolve();
          stop.addEventListener('abort', () => resolve());
        }),
    },
    view: {
      status: async () => STATUS,
      events: async function* () {
        yield { event: 'beat' } as const;
        yield { event: 'status', status: STATUS } as const;
      },
    },
  } as unknown as Agent;
  const settings = {
    config: saying(''),
    current: () => saying(''),
    changed: () => changing.signal,
    status: () => SETTINGS,
    follow: async () => {},
  };
  assert.equal(withFleetSettings(agent, undefined), agent);
  const { loop, view } = withFleetSettings(agent, settings);
  const resting = restingLoop(loop);
  const change = (): void => {
    const told = changing;
    changing = new AbortController();
    told.abort();
  };
  const pause = resting.pause('nothing', new AbortController().signal);
  assert.equal(resting.isResting(), true);
  change();
  await pause;
  assert.equal(resting.isResting(), false);
  // Between two pauses.
  change();
  await resting.pause('nothing', new AbortController().signal);
  assert.deepEqual((await view.status()).settings, SETTINGS);
  const events: AgentEvent[] = [];
  for await (const one of view.events(new AbortController().signal)) events.push(one);
  assert.deepEqual(events, [{ event: 'beat' }, { event: 'status', status: { ...STATUS, settings: SETTINGS } }]);
});

test('what is wrong with the settings is named in status and explanation, and holds no host that is up to date', () => {
  const status = { ...STATUS, settings: SETTINGS };
  assert.deepEqual(settingsLines(status, NOW), [
    '  settings   from etcd, read 5 min 00 s ago; now No endpoint of etcd answers. [etcd-unavailable]',
    '             pending until the agent restarts: host.group',
    '             etcd:p/all/10:2: reboot.automatic must be true or false. [setting-invalid]',
  ]);
  assert.deepEqual(settingsLines({ settings: { prefix: 'p/', pending: [], faults: [] } }, NOW), [
    '  settings   from etcd, cached on disk',
  ]);
  const { verdict, obstacles } = explain(status);
  assert.equal(verdict, 'up-to-date');
  assert.deepEqual(
    obstacles.map(({ what, code }) => [what, code]),
    [
      ['setting', 'etcd-unavailable'],
      ['setting', 'setting-invalid'],
    ],
  );
});
