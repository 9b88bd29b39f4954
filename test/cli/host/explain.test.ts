/** What `updatectl explain` says in every situation: the golden file is for reading. UPDATE_GOLDEN=1 writes it anew. */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { agentMetrics } from '../../../src/agent/metrics.ts';
import { type Explanation, explain, explanationText } from '../../../src/cli/host/explain-text.ts';
import { statusText } from '../../../src/cli/host/status-text.ts';
import { ERRORS, type ErrorCode } from '../../../src/errors.ts';
import { metricsText } from '../../../src/formats/metrics-text.ts';
import type { Product, Release, Version } from '../../../src/model.ts';
import type { GateStatus, Status } from '../../../src/protocol.ts';
import { GATE_CODES } from '../../../src/reboot/gates/gate.ts';
import { ADMISSION_CODES } from '../../../src/rollout/brake.ts';
import { HOLD_CODES } from '../../../src/rollout/rollout.ts';
import { LOCK_OWED } from '../../support/lock-owed.ts';
import { IDLE } from '../../support/scripted-agent.ts';

const GOLDEN = join(import.meta.dirname, '../../golden/explain.txt');
const NOW = new Date('2026-03-01T12:05:00.000Z');
const release = (version: string): Release => ({ product: 'demo' as Product, version: version as Version });
const at = '2026-03-01T12:01:00.000Z';
const staged = { kind: 'staged', release: release('2.0'), target: 'b' } as const;
const base: Status = { ...IDLE, running: release('1.0'), since: at, nextCheck: '2026-03-01T12:45:00.000Z' };
const found = (code: string, result: string, until?: string): Status => ({
  ...base,
  lastCheck: { at, code, result, ...(until === undefined ? {} : { until }) },
});
const behind = (...gates: readonly GateStatus[]): Status => ({ ...base, state: staged, waitingFor: 'gates', gates });

const CASES: Readonly<Record<string, readonly [Explanation['verdict'], Status]>> = {
  'the newest release runs': ['up-to-date', found('up-to-date', '1.0 is running')],
  'units had failed before the newest release was started': [
    'up-to-date',
    {
      ...found('up-to-date', '1.0 is running'),
      failedBefore: { at: '2026-03-01T11:55:00.000Z', units: ['backup.service', 'mail.service'] },
    },
  ],
  'the lock of the last restart could not be given back, which holds up others': [
    'up-to-date',
    {
      ...found('up-to-date', '1.0 is running'),
      lockOwed: LOCK_OWED,
    },
  ],
  'the maintenance window is closed': [
    'held',
    behind({
      code: 'window-closed',
      strength: 'soft',
      reason: 'the maintenance window “nights” is not open',
      since: '2026-03-01T04:00:00.000Z',
      next: '2026-03-02T01:13:00.000Z',
    }),
  ],
  'the window closed while the restart was being made ready': [
    'held',
    {
      ...behind({
        code: 'window-closed',
        strength: 'soft',
        reason: 'the maintenance window “nights” is not open',
        since: '2026-03-01T12:01:00.000Z',
        next: '2026-03-02T01:13:00.000Z',
      }),
      disarmed: { at, reason: 'the maintenance window “nights” is not open' },
    },
  ],
  'users are logged in': [
    'held',
    behind({
      code: 'users-logged-in',
      strength: 'soft',
      reason: 'ana is logged in on pts/0 from 192.0.2.7, and 2 more',
      since: '2026-03-01T11:56:00.000Z',
      next: '2026-03-01T12:06:00.000Z',
      command: 'updatectl apply',
    }),
  ],
  'the host is ill': [
    'held',
    behind({
      code: 'host-unhealthy',
      strength: 'soft',
      reason: 'the running system is unhealthy: systemd units: ceph-osd@3.service has failed',
      next: '2026-03-01T12:05:40.000Z',
      command: 'updatectl apply',
    }),
  ],
  'the host is being drained': [
    'held',
    behind({
      code: 'hook-later',
      strength: 'soft',
      reason: '/etc/tandem/pre-reboot.d/50-kubernetes asks for more time: web-1 is not drained yet: a pod cannot go',
      since: '2026-03-01T11:48:00.000Z',
      next: '2026-03-01T12:05:40.000Z',
      command: '/etc/tandem/pre-reboot.d/50-kubernetes do',
    }),
  ],
  'another host holds the lock': [
    'held',
    behind({
      code: 'lock-full',
      strength: 'hard',
      reason: 'web-3 holds the only place of the lock “default”, to start 2.0',
      since: '2026-03-01T11:58:00.000Z',
      command: 'updatectl lock release web-3',
    }),
  ],
  'an operator must apply it': [
    'held',
    behind({
      code: 'apply-awaited',
      strength: 'hard',
      reason: '`reboot.automatic` is false, and no operator has asked for the reboot',
      command: 'updatectl apply',
    }),
  ],
  'the repository cannot say whether it is still on offer': [
    'held',
    behind({
      code: 'offer-unknown',
      strength: 'hard',
      reason: 'whether 2.0 is still on offer is unknown: the repository could not be checked (server-unreachable)',
      next: '2026-03-01T12:09:00.000Z',
      command: 'updatectl apply',
    }),
  ],
  'the release waits for its turn again': [
    'held',
    {
      ...behind({
        code: 'offer-held',
        strength: 'hard',
        reason: '2.0 is held back: it is offered to 12 % of hosts so far',
        next: '2026-03-01T13:00:00.000Z',
        command: 'updatectl apply',
      }),
      lastCheck: { at, result: 'it is offered to 12 % of hosts so far', code: 'not-your-turn' },
    },
  ],
  'the rollout has not come to this host': [
    'held',
    found('not-your-turn', 'it is offered to 12 % of hosts so far', '2026-03-02T19:00:00.000Z'),
  ],
  'the rollout is paused': ['held', found('paused', 'the rollout is paused: disk errors on two hosts')],
  'the release was tried here and refused': [
    'held',
    {
      ...found('refused', '2.0 has been refused since 2026-02-28T02:10:00.000Z: the database does not answer'),
      refused: [
        {
          at: '2026-02-28T02:10:00.000Z',
          version: '2.0' as Version,
          code: 'unhealthy',
          reason: 'the database does not answer',
        },
      ],
    },
  ],
  'the server cannot be reached': [
    'held',
    {
      ...found('server-unreachable', 'server-unreachable'),
      lastError: {
        at,
        code: 'server-unreachable',
        message: 'updates.example: connection refused.',
        next: ERRORS['server-unreachable'].next,
      },
    },
  ],
  'a release is on trial': ['working', { ...base, state: { kind: 'trial', release: release('2.0'), target: 'b' } }],
  'something failed and is tried again before the next check': [
    'working',
    {
      ...base,
      state: { kind: 'staging', release: release('2.0'), target: 'b', attempt: 1 },
      lastError: { code: 'unexpected', message: 'Bits fell out.', next: 'Please report it with the log.', at },
      nextTry: '2026-03-01T12:05:22.000Z',
    },
  ],
  'the agent is not running': ['unknown', { ...base, offline: true }],
};

test('every situation is explained as the golden file has it', async () => {
  const text = Object.entries(CASES)
    .map(([name, [, status]]) => [`# ${name}`, ...explanationText(explain(status), NOW), ''].join('\n'))
    .join('\n');
  if (process.env['UPDATE_GOLDEN']) await writeFile(GOLDEN, text);
  assert.equal(text, await readFile(GOLDEN, 'utf8'));
});

for (const [name, [verdict, status]] of Object.entries(CASES))
  test(`${name}: ${verdict}, and whatever holds the host has a name`, () => {
    const said = explain(status);
    assert.equal(said.verdict, verdict);
    // A lock that is owed stands in the way of others alone.
    const obstacles = said.obstacles.filter(({ what }) => what !== 'lock');
    assert.equal(obstacles.length > 0, verdict !== 'up-to-date');
    for (const { code, reason } of said.obstacles) assert.ok(code.length > 0 && reason.length > 0);
  });

test('a gate that is not heard any more holds nobody', () => {
  const deaf = { code: 'window-closed', strength: 'soft', reason: 'closed', overriddenBy: 'deadline' } as const;
  assert.equal(explain({ ...behind(deaf), waitingFor: undefined as never }).verdict, 'working');
});

const SAID_BY_CHECKS = ['refused', 'downgrade', 'withdrawn', ...HOLD_CODES, ...ADMISSION_CODES, 'of-a-newer-server'];

for (const code of [...SAID_BY_CHECKS, ...Object.keys(ERRORS)])
  test(`what a check says has its name in explain and in status: ${code}`, () => {
    const status = found(code, 'there is a reason');
    assert.deepEqual(
      explain(status).obstacles.map((one) => one.code),
      [code],
    );
    assert.equal(explain(status).verdict, 'held');
    assert.match(statusText(status, NOW, 80).join('\n'), new RegExp(`\\[${code}\\]`));
  });

for (const code of GATE_CODES)
  test(`a gate has its name in explain and in status: ${code}`, () => {
    const status = behind({ code, strength: 'hard', reason: 'there is a reason' });
    assert.deepEqual(
      explain(status).obstacles.map((one) => one.code),
      [code],
    );
    assert.match(statusText(status, NOW, 80).join('\n'), new RegExp(`\\[${code}\\]`));
  });

const codesIn = (status: Status): readonly string[] =>
  metricsText(agentMetrics(status, []))
    .split('\n')
    .flatMap((line) => /^tandem_agent_refusal\{.*code="([^"]*)"/.exec(line)?.[1] ?? []);

/** Names of what is going well. */
const AT_WORK = ['on-trial', 'waiting'];

for (const [name, [, status]] of Object.entries(CASES))
  test(`whatever explain names is in the figures by the same name: ${name}`, () => {
    const told = codesIn(status);
    for (const { code } of explain(status).obstacles) assert.ok(AT_WORK.includes(code) || told.includes(code), code);
  });

const failedBefore = (code: ErrorCode, then: string): Status => ({
  ...found(then, 'there is a reason'),
  lastGoodCheck: at,
  lastError: { at: '2026-03-01T11:00:00.000Z', code, message: 'it failed', next: ERRORS[code].next },
});

test('an error is over once a check has shown so: the host is up to date, or the repository has answered', () => {
  const over = [
    failedBefore('disk-read-error', 'up-to-date'),
    failedBefore('server-unreachable', 'up-to-date'),
    failedBefore('server-unreachable', 'not-your-turn'),
  ];
  for (const status of over) {
    assert.ok(!explain(status).obstacles.some(({ what }) => what === 'error'));
    assert.ok(!codesIn(status).some((code) => code === status.lastError?.code));
  }
  assert.equal(explain(failedBefore('disk-read-error', 'up-to-date')).verdict, 'up-to-date');
});

test('an error that no check can have ended stands, and so does one that came after the last good check', () => {
  const later = failedBefore('server-unreachable', 'up-to-date');
  const since = { ...later, lastGoodCheck: '2026-03-01T10:00:00.000Z' };
  for (const status of [failedBefore('disk-read-error', 'offer'), since]) {
    assert.equal(explain(status).verdict, 'held');
    assert.deepEqual(codesIn(status), [status.lastError?.code]);
  }
});

test('an error that a check has met is told once, with its next step', () => {
  const code = 'server-unreachable';
  const lastError = { at, code, message: 'no route', next: ERRORS[code].next } as const;
  const obstacles = explain({ ...found(code, code), lastError }).obstacles;
  assert.deepEqual(
    obstacles.map((one) => [one.code, one.command]),
    [[code, ERRORS[code].next]],
  );
});
