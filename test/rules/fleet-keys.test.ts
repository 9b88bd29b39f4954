/** Which keys may come from etcd: every key has a rule, and none that could change what is installed or run is allowed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allKeys } from '../../src/config/config.ts';
import { FLEET_RULES, FLEET_TABLE, LOCAL_REASONS, localReason } from '../../src/config/fleet-rules.ts';

const ALLOWED = allKeys().filter(([path]) => localReason(path) === undefined);

test('every key says whether the fleet may set it, and no rule is about a key that there is not', () => {
  assert.deepEqual(
    Object.keys(FLEET_RULES).toSorted(),
    allKeys()
      .map(([path]) => path)
      .toSorted(),
  );
  for (const rule of Object.values(FLEET_RULES))
    assert.ok(rule === 'live' || rule === 'start' || Object.hasOwn(LOCAL_REASONS, rule), rule);
});

test('no key that takes a path or an address is allowed', () => {
  const takes = (value: unknown): string[] =>
    ALLOWED.filter(([, { type }]) => type.safeParse(value).success).map(([path]) => path);
  for (const one of ['/usr/bin/evil', 'https://evil.example/', 'evil.service@:'])
    for (const value of [one, [one]]) assert.deepEqual(takes(value), [], JSON.stringify(value));
});

test('no key of these sections or names is allowed, whoever adds one', () => {
  const named = /^(repository|slots|boot|health|trust|agent|fleet)\.|\.(product|channel|architecture|kind|url|user)$/;
  assert.deepEqual(
    ALLOWED.map(([path]) => path).filter((path) => named.test(path)),
    [],
  );
});

test('the table of what may come from etcd holds exactly the keys that are allowed', () => {
  const table = Object.entries(FLEET_TABLE).flatMap(([section, keys]) =>
    Object.keys(keys).map((name) => `${section}.${name}`),
  );
  assert.deepEqual(
    table,
    ALLOWED.map(([path]) => path),
  );
});
