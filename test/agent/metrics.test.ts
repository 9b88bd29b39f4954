/** A host in figures: every refusal by its name, and no more series than a fleet can bear. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { agentMetrics } from '../../src/agent/metrics.ts';
import { ERRORS } from '../../src/errors.ts';
import { metricsText } from '../../src/formats/metrics-text.ts';
import type { HistoryEntry, Release, Version } from '../../src/model.ts';
import type { GateStatus, Status } from '../../src/protocol.ts';
import { GATE_CODES } from '../../src/reboot/gates/gate.ts';
import { ADMISSION_CODES } from '../../src/rollout/brake.ts';
import { HOLD_CODES } from '../../src/rollout/rollout.ts';
import { checkMetrics, seriesOf } from '../support/promtool.ts';
import { IDLE } from '../support/scripted-agent.ts';
import { readSourceTree } from '../support/source-tree.ts';

const at = '2026-03-01T11:00:00.000Z';
const seconds = Date.parse(at) / 1000;
const release = { product: 'acme', version: '2.1' } as Release;

const pageOf = (status: Partial<Status>, history: readonly HistoryEntry[] = []): string =>
  metricsText(agentMetrics({ ...IDLE, ...status }, history));
const figures = (status: Partial<Status>, history?: readonly HistoryEntry[]) => seriesOf(pageOf(status, history));

const gate = (code: string, more: Partial<GateStatus> = {}): GateStatus => ({
  code,
  reason: 'r',
  strength: 'soft',
  ...more,
});
const failure = (code: string) => ({ code, message: 'm', next: 'n', at });

/** Everything that there may be to tell. */
const FULL: Partial<Status> = {
  machine: '0123456789abcdef0123456789abcdef' as Status['machine'] & string,
  group: 'web',
  running: { product: release.product, version: '2.0' as Version },
  state: { kind: 'staged', release, target: 'b' },
  since: at,
  slots: {
    a: { version: '2.0' as Version, bootable: true, confirmed: true },
    b: { version: '2.1' as Version, bootable: true, confirmed: false, triesLeft: 3 },
  },
  gates: [gate('window-closed'), gate('users-logged-in', { overriddenBy: 'deadline' })],
  rebootBy: at,
  transfer: {
    tier: 'blocks',
    fetched: 1,
    copied: 2,
    kept: 3,
    planned: { bytes: 6, from: 'x' },
    fallen: [{ tier: 'patch', code: 'network' }],
  },
  lastRestart: {
    at,
    result: 'updated',
    version: '2.0' as Version,
    method: 'soft',
    downtime: { ms: 1500, clock: 'exact' },
  },
  lastCheck: { at, result: 'r', code: 'staged' },
  lastGoodCheck: at,
  nextCheck: at,
  lastError: failure('disk-read-error'),
  lockOwed: { place: 'http://lock.example/', group: 'web', since: at, code: 'server-failed', message: 'm', next: at },
  refused: [{ at, version: '1.9' as Version, code: 'unhealthy', reason: 'no web' }],
};

test('Prometheus reads the page of a host that has everything to tell, and of one that has nothing', () => {
  checkMetrics(pageOf(FULL));
  checkMetrics(pageOf({ ...IDLE, offline: true }));
});

test('versions, moments, bytes, tries and the deadline are told as they are', () => {
  const told = figures(FULL, [
    { at, result: 'updated', version: release.version, method: 'soft' },
    { at, result: 'updated', version: release.version, method: 'firmware' },
    { at, result: 'rolled-back', version: release.version, method: 'soft' },
  ]);
  const wanted = {
    tandem_agent_up: 1,
    'tandem_agent_booted_info{version="2.0",slot="a"}': 1,
    'tandem_agent_target_info{version="2.1",slot="b"}': 1,
    'tandem_agent_state{state="staged"}': 1,
    'tandem_agent_state{state="idle"}': 0,
    tandem_agent_state_since_timestamp_seconds: seconds,
    tandem_agent_staged_timestamp_seconds: seconds,
    tandem_agent_deadline_timestamp_seconds: seconds,
    tandem_agent_last_good_check_timestamp_seconds: seconds,
    'tandem_agent_slot_tries_left{slot="b"}': 3,
    'tandem_agent_transfer_bytes{how="fetched"}': 1,
    'tandem_agent_transfer_bytes{how="copied"}': 2,
    'tandem_agent_transfer_bytes{how="kept"}': 3,
    tandem_agent_last_downtime_seconds: 1.5,
    'tandem_agent_restarts{method="soft"}': 1,
    'tandem_agent_restarts{method="kexec"}': 0,
    'tandem_agent_attempts{result="updated"}': 2,
    'tandem_agent_refusal{what="gate",code="window-closed",retry="later"}': 1,
    'tandem_agent_refusal{what="error",code="disk-read-error",retry="later"}': 1,
    'tandem_agent_refusal{what="lock",code="server-failed",retry="later"}': 1,
    'tandem_agent_refusal{what="release",code="unhealthy",retry="never"}': 1,
  };
  for (const [name, value] of Object.entries(wanted)) assert.equal(told.get(name), value, name);
  assert.deepEqual(refusals(FULL).toSorted(), [
    'disk-read-error',
    'network',
    'server-failed',
    'unhealthy',
    'window-closed',
  ]);
});

const refusals = (status: Partial<Status>): string[] =>
  [...figures(status).keys()].flatMap((series) => /^tandem_agent_refusal\{.*code="([^"]*)"/.exec(series)?.[1] ?? []);

/** The names by which the sources refuse, wherever they are written. */
function namesInSources(): readonly string[] {
  const said = /(?:nothing|hold|refused|closed)\(\s*'([a-z][a-z0-9-]*)'|\bcode: '([a-z][a-z0-9-]*)'/g;
  const files = readSourceTree().filter(({ path }) => /^(agent|reboot|rollout)\/|^server\/check-in/.test(path));
  return files.flatMap(({ text }) => [...text.matchAll(said)].map(([, one, other]) => one ?? other ?? ''));
}

const GOOD_NEWS = ['up-to-date', 'staged', 'offer', 'present'];

test('every refusal of the project appears in the figures by its own name', () => {
  const names = new Set([
    ...Object.keys(ERRORS),
    ...GATE_CODES,
    ...HOLD_CODES,
    ...ADMISSION_CODES,
    ...namesInSources(),
  ]);
  for (const known of ['downgrade', 'not-your-turn', 'braked', 'not-on-offer', 'window-closed', 'hook-later'])
    assert.ok(names.has(known), `${known} is looked for in the wrong places`);
  for (const code of names) {
    if (GOOD_NEWS.includes(code)) continue;
    const staged = { kind: 'staged', release, target: 'b' } as const;
    const condemned = { kind: 'condemned', release, target: 'b', code, reason: 'r' } as const;
    const ways: readonly Partial<Status>[] = [
      { lastError: failure(code) },
      { lastCheck: { at, result: 'r', code } },
      { state: staged, gates: [gate(code)] },
      { state: condemned },
      { refused: [{ at, version: release.version, code, reason: 'r' }] },
    ];
    for (const way of ways) assert.deepEqual(refusals(way), [code]);
  }
});

test('what an error says of itself goes along: one that never heals is told from one that does', () => {
  const retryOf = (code: string) =>
    [...figures({ lastError: failure(code) }).keys()]
      .map((one) => /^tandem_agent_refusal.*retry="(\w+)"/.exec(one)?.[1])
      .find(Boolean);
  for (const [code, { retry }] of Object.entries(ERRORS)) assert.equal(retryOf(code), retry);
});

test('an error is over once the host is found to run what is on offer', () => {
  const before = { lastError: failure('disk-read-error') };
  const later = '2026-03-01T11:30:00.000Z';
  const check = (code: string) => ({ lastCheck: { at: later, result: 'r', code }, lastGoodCheck: later });
  assert.deepEqual(refusals({ ...before, ...check('up-to-date') }), []);
  assert.deepEqual(refusals({ ...before, ...check('offer') }), ['disk-read-error']);
  assert.deepEqual(
    refusals({ lastError: { ...failure('network'), at: '2026-03-01T11:31:00.000Z' }, ...check('up-to-date') }),
    ['network'],
  );
});

test('whatever a server calls its refusal, no name that is none becomes a series', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (code) => {
      const [name = ''] = refusals({ lastCheck: { at, result: 'r', code } });
      assert.match(name, /^[a-z0-9-]*$/);
      assert.ok(name.length <= 64);
    }),
  );
});

test('a thousand refused releases are as many series as there are reasons', () => {
  const refused = Array.from({ length: 1000 }, (_, version) => ({
    at,
    version: `1.${version}` as Version,
    code: ['unhealthy', 'hung'][version % 2] ?? '',
    reason: 'r',
  }));
  assert.deepEqual(refusals({ refused }), ['unhealthy', 'hung']);
  assert.equal(figures({ refused }).get('tandem_agent_refused_releases'), 1000);
});

test('without an agent the figures say so, and that is a refusal as well', () => {
  const told = figures({ offline: true });
  assert.equal(told.get('tandem_agent_up'), 0);
  assert.deepEqual(refusals({ offline: true }), ['agent-not-running']);
});

test('what is wrong with the settings of the fleet is a refusal by its name, and when they were read is told', () => {
  const faults = ['setting-invalid', 'setting-invalid', 'setting-local-only'].map((code) => ({ code, message: 'm' }));
  const settings = { prefix: 'p/', readAt: at, pending: [], faults, error: failure('etcd-unavailable') };
  assert.deepEqual(refusals({ settings }), ['setting-invalid', 'setting-local-only', 'etcd-unavailable']);
  assert.equal(figures({ settings }).get('tandem_agent_settings_read_timestamp_seconds'), seconds);
});
