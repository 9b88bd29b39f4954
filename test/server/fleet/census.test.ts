/** Counting the fleet: right for every machine, bounded whatever machines say, and a search that looks at so many and no more. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { addPoint, type History } from '../../../src/server/fleet/census-history.ts';
import type { Counted } from '../../../src/server/fleet/census-tally.ts';
import { emptyTally, tally } from '../../../src/server/fleet/census-tally.ts';
import { searchMachines } from '../../../src/server/fleet/machine-search.ts';
import type { MachineRecord } from '../../../src/server/fleet/machines.ts';
import { idOf, NOW, someMachine, TestFleet } from '../pages/fleet.ts';

let site: TestFleet;
before(async () => {
  site = await (await new TestFleet().fill(1100)).start();
});
after(() => site[Symbol.asyncDispose]());

const search = (wanted: Parameters<typeof searchMachines>[1]) =>
  searchMachines({ machines: site.fleet.machines, pause: async () => {} }, wanted);

const counted = (at: Date, versions: Record<string, number>): Counted => ({
  schema: 1,
  at: at.toISOString(),
  tookMs: 1,
  ...emptyTally(),
  channels: { stable: { machines: 1, groups: {}, versions, states: {} } },
});

test('every machine is counted once, in one channel, group, version and state', async () => {
  const { machines, channels } = await site.census.latest();
  assert.equal(machines, 1100);
  const all = Object.values(channels);
  for (const part of ['groups', 'versions', 'states'] as const)
    assert.equal(
      all.flatMap((one) => Object.values(one[part])).reduce((sum, one) => sum + one, 0),
      1100,
      part,
    );
});

test('a count that has become old is made anew, and everybody who asks meanwhile has the old one', async () => {
  await site.census.latest();
  await site.put('machine', [[idOf(5000), someMachine(5000)]]);
  assert.equal((await site.census.latest()).machines, 1100);
  site.now = new Date(NOW.getTime() + 3_600_000);
  await site.census.keep();
  assert.equal((await site.census.latest()).machines, 1101);
});

test('whatever machines call themselves, the count stays small and loses none', () => {
  const name = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'others'));
  fc.assert(
    fc.property(fc.array(fc.tuple(name, name, name), { maxLength: 20 }), (names) => {
      const sum = emptyTally();
      for (let at = 0; at < 400; at += 1) {
        const [channel, group, reason] = names[at % Math.max(1, names.length)] ?? ['a', 'b', 'c'];
        const outcome = { at: NOW.toISOString(), result: 'failed', version: '9', reason: `${reason}${at}` };
        const machine = { ...someMachine(at), channel: `${channel}${at % 200}`, group: `${group}${at}`, outcome };
        tally(sum, machine as unknown as MachineRecord, NOW);
      }
      const channels = Object.values(sum.channels);
      assert.equal(
        channels.reduce((total, one) => total + one.machines, 0),
        400,
      );
      assert.equal(
        sum.failures.reduce((total, one) => total + one.machines, 0),
        400,
      );
      assert.ok(channels.length <= 25 && sum.failures.length <= 101 && sum.waiting.length <= 25);
      assert.ok(JSON.stringify(sum).length < 200_000);
    }),
    { numRuns: 20 },
  );
});

test('the history is dense for a day, hourly for a fortnight, in order, and never grows beyond that', () => {
  let history: History | undefined;
  const end = NOW.getTime() + 20 * 24 * 3_600_000;
  for (let time = NOW.getTime(); time <= end; time += 300_000)
    history = addPoint(history, counted(new Date(time), { '1.0': 1 })) ?? history;
  const times = history?.points.map(({ at }) => Date.parse(at)) ?? [];
  assert.deepEqual(times, times.toSorted());
  assert.equal(times.filter((time) => end - time < 24 * 3_600_000).length, 144);
  assert.ok(times.length <= 144 + 13 * 24 + 1, String(times.length));
  assert.ok(end - (times[0] ?? 0) > 13 * 24 * 3_600_000);
});

test('names of any length leave the history small enough for one transaction of etcd', () => {
  let history: History | undefined;
  for (let at = 0; at < 400; at += 1) {
    const versions = Object.fromEntries(Array.from({ length: 9 }, (_, one) => [`${at}-${one}`.padEnd(600, 'x'), 1]));
    history = addPoint(history, counted(new Date(NOW.getTime() + at * 600_000), versions)) ?? history;
  }
  assert.ok(JSON.stringify(history).length <= 400_100);
  assert.equal(history?.points.at(-1)?.at, new Date(NOW.getTime() + 399 * 600_000).toISOString());
  assert.ok((history?.points.length ?? 0) > 50);
});

test('what few machines run is summed up', () => {
  const versions = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`1.${at}`, at + 1]));
  const [point] = addPoint(undefined, counted(NOW, versions))?.points ?? [];
  assert.deepEqual(point?.channels['stable']?.['other'], 1 + 2 + 3 + 4);
});

test('a search finds what is like it, once, however many pages it takes', async () => {
  const wanted = new Set<string>();
  for (let at = 0; at < 1100; at += 1) {
    const { machine, running, state } = someMachine(at);
    if (running.version === '1.9.4' && state === 'idle') wanted.add(machine);
  }
  const found: string[] = [];
  for (let more: string | undefined, first = true; first || more !== undefined; first = false) {
    const page = await search({ version: '1.9.4', state: 'idle', ...(more === undefined ? {} : { after: more }) });
    assert.ok(page.machines.length <= 50);
    found.push(...page.machines.map(({ machine }) => machine));
    more = page.more;
  }
  assert.deepEqual(found, [...wanted].toSorted());
});

test('a search by the beginning of an id looks at those machines alone', async () => {
  const ids = Array.from({ length: 1100 }, (_, at) => idOf(at)).toSorted();
  for (const prefix of ['0', '00', 'f', 'ff', 'a1', idOf(7), '0'.repeat(32)]) {
    const wanted = ids.filter((one) => one.startsWith(prefix)).slice(0, 50);
    const { machines, looked } = await search({ id: prefix });
    assert.deepEqual(
      machines.map(({ machine }) => machine),
      wanted,
      prefix,
    );
    assert.equal(looked, wanted.length, prefix);
  }
});
