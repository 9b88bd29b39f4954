/** Two machines with one id are found by their boots, and neither is let on; a machine that reboots, moves or sleeps is one machine. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BootFacts, CheckIn, HostFacts } from '../../../src/formats/check-in.ts';
import type { MachineId, Version } from '../../../src/model.ts';
import { lastEntries } from '../../../src/server/fleet/audit.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { NOW, TestFleet, TOKEN } from '../pages/fleet.ts';

const HOUR = 3_600_000;
const HERE: HostFacts = { name: 'web-1', address: '10.0.0.1' };
const THERE: HostFacts = { name: 'web-2', address: '10.0.0.2' };
const { machine: ID } = checkInOf(1);

/** One machine of a test: what it is and when its boot began. */
class Machine {
  private readonly site: TestFleet;
  host: HostFacts;
  hardware: string | undefined;
  bootId: string;
  began: number;

  constructor(site: TestFleet, host: HostFacts, bootId: string, began = site.now.getTime() - 72 * HOUR) {
    [this.site, this.host, this.bootId, this.began] = [site, host, bootId, began];
  }

  reboot(bootId: string): void {
    this.site.now = new Date(this.site.now.getTime() + 60_000);
    [this.bootId, this.began] = [bootId, this.site.now.getTime()];
    this.site.now = new Date(this.site.now.getTime() + 60_000);
  }

  /** What it is told, half an hour after the last word of anybody. */
  async says(change: Partial<CheckIn> = {}, facts: Partial<BootFacts> = {}): Promise<string> {
    this.site.now = new Date(this.site.now.getTime() + HOUR / 2);
    const seconds = Math.floor((this.site.now.getTime() - this.began) / 1000);
    const boot = {
      id: this.bootId.repeat(32),
      seconds,
      ...(this.hardware ? { hardware: this.hardware } : {}),
      ...facts,
    };
    const request = { ...checkInOf(1, { group: 'canary', host: this.host, boot }), ...change };
    const answer = await this.site.fleet.checkIn(JSON.parse(JSON.stringify(request)), this.site.now);
    return answer.go ? 'go' : answer.code;
  }
}

const WANTS = { wants: '2.1.0' as Version, running: { version: '2.0.3' as Version, counter: 20 } };

async function fleet(): Promise<TestFleet> {
  return new TestFleet().start();
}

test('a copy that runs beside the first is found at its first word, and neither is let go on', async () => {
  await using site = await fleet();
  const [first, copy] = [new Machine(site, HERE, 'a'), new Machine(site, THERE, 'b')];
  assert.equal(await first.says(WANTS), 'go');
  assert.equal(await copy.says(WANTS), 'machine-cloned');
  assert.equal(await first.says(WANTS), 'machine-cloned');
  const { inFlight } = await site.fleet.ledger('stable', site.now);
  assert.equal(inFlight.has(ID as MachineId), false, 'what nobody is sure of takes no place');
});

test('a copy that is started later is found as soon as both have spoken', async () => {
  await using site = await fleet();
  const first = new Machine(site, HERE, 'a');
  assert.equal(await first.says(), 'go');
  const copy = new Machine(site, THERE, 'b', site.now.getTime() + 60_000);
  assert.equal(await copy.says(), 'go', 'so far it looks like a reboot');
  assert.equal(await first.says(), 'machine-cloned');
  assert.equal(await copy.says(), 'machine-cloned');
});

test('a copy on other hardware that is started while the first is under way is not told to go as well', async () => {
  await using site = await fleet();
  const first = Object.assign(new Machine(site, HERE, 'a'), { hardware: '1'.repeat(32) });
  assert.equal(await first.says(WANTS), 'go');
  const copy = new Machine(site, THERE, 'b', site.now.getTime() + 60_000);
  Object.assign(copy, { hardware: '2'.repeat(32) });
  for (let times = 0; times < 2; times++) assert.equal(await copy.says(WANTS), 'machine-cloned');
  assert.equal(await first.says(WANTS), 'go', 'it keeps its place');
  assert.deepEqual((await site.fleet.machine(ID))?.host, HERE);
  assert.equal(await first.says({ running: { version: '2.1.0' as Version } }), 'go');
  copy.reboot('c');
  assert.equal(await copy.says(), 'go', 'a disk that was moved');
});

test('copies of which nothing is known but their boots are found when both have come back', async () => {
  await using site = await fleet();
  const says = (bootId: string) => new Machine(site, {}, bootId).says({}, { seconds: undefined as never });
  for (const [bootId, told] of [
    ['a', 'go'],
    ['b', 'go'],
    ['a', 'go'],
    ['b', 'machine-cloned'],
    ['a', 'machine-cloned'],
  ] as const)
    assert.equal(await says(bootId), told, bootId);
});

test('three copies behind one address, on other hardware, are found', async () => {
  await using site = await fleet();
  const copies = ['a', 'b', 'c'].map((one) =>
    Object.assign(new Machine(site, HERE, one), { hardware: one.repeat(32) }),
  );
  const told: string[] = [];
  for (const copy of [...copies, ...copies]) told.push(await copy.says());
  assert.deepEqual(told, ['go', ...Array(5).fill('machine-cloned')]);
});

test('copies with their memory have one boot, but not since the same moment', async () => {
  await using site = await fleet();
  const first = new Machine(site, HERE, 'a');
  const copy = new Machine(site, THERE, 'a', first.began + 24 * HOUR);
  assert.equal(await first.says(), 'go');
  assert.equal(await copy.says(), 'go', 'it may have slept');
  assert.equal(await first.says(), 'machine-cloned');
});

test('a machine that reboots, however often, is one machine', async () => {
  await using site = await fleet();
  const host = new Machine(site, HERE, '0');
  for (const bootId of '0123456789abcdef') {
    host.reboot(bootId);
    assert.equal(await host.says(), 'go', bootId);
  }
});

test('a machine whose address or name changes, by DHCP, by NAT, with a reboot or without, is one machine', async () => {
  await using site = await fleet();
  const host = new Machine(site, HERE, 'a');
  for (const [at, change] of [
    { address: '10.9.9.9' },
    HERE,
    { address: '2001:db8::7', name: 'db-1' },
    {},
    HERE,
  ].entries()) {
    host.host = change;
    if (at % 2 === 1) host.reboot(String(at));
    assert.equal(await host.says(), 'go', JSON.stringify(change));
  }
});

test('a disk that is moved into another machine is one machine', async () => {
  await using site = await fleet();
  const host = Object.assign(new Machine(site, HERE, 'a'), { hardware: '1'.repeat(32) });
  assert.equal(await host.says(), 'go');
  host.hardware = '2'.repeat(32);
  host.host = THERE;
  host.reboot('b');
  assert.equal(await host.says(), 'go');
  assert.equal(await host.says(), 'go');
});

test('a machine that slept, or is set back to a snapshot of its memory, is one machine', async () => {
  await using site = await fleet();
  const host = new Machine(site, HERE, 'a');
  assert.equal(await host.says(), 'go');
  host.began += 8 * HOUR;
  assert.equal(await host.says(), 'go', 'asleep for eight hours');
  const snapshot = { bootId: host.bootId, began: host.began };
  for (const bootId of ['b', 'c', 'd']) {
    host.reboot(bootId);
    assert.equal(await host.says(), 'go', bootId);
    Object.assign(host, snapshot);
    assert.equal(await host.says(), 'go', `back from ${bootId}`);
  }
});

test('a clock that is a little off, and a request that comes late, are no second machine', async () => {
  await using site = await fleet();
  const host = new Machine(site, HERE, 'a');
  assert.equal(await host.says(), 'go');
  host.host = THERE;
  host.began -= 90_000;
  assert.equal(await host.says(), 'go');
  [host.bootId, host.began] = ['b', site.now.getTime() - 90_000];
  assert.equal(await host.says(), 'go');
});

test('agents that say nothing of their boots are answered as ever', async () => {
  await using site = await fleet();
  for (let times = 0; times < 4; times++)
    assert.deepEqual(await site.fleet.checkIn(checkInOf(1), site.now), { schema: 1, go: true });
  assert.equal('boot' in ((await site.fleet.machine(ID)) ?? {}), false);
});

test('clones are named on the pages, in the figures and to programs, and get no lock', async () => {
  await using site = await fleet();
  const [first, copy] = [new Machine(site, HERE, 'a'), new Machine(site, THERE, 'b')];
  await first.says();
  assert.equal(await site.locks.take('web', ID, site.now), undefined);
  await copy.says();
  for (const deed of [
    site.locks.take('web', ID, site.now),
    site.locks.take('db', ID, site.now),
    site.locks.giveBack('web', ID),
  ])
    await assert.rejects(deed, { code: 'machine-cloned' });
  await site.locks.giveBack('db', ID);
  const operator = { authorization: `Bearer ${TOKEN}` };
  const ask = async (path: string) => (await fetch(`${site.url}${path}`, { headers: operator })).text();
  assert.deepEqual(JSON.parse(await ask(`/v1/machines/${ID}`)).cloned.other, { name: 'web-1', address: '10.0.0.1' });
  await site.census.keep();
  assert.match(await ask('/metrics'), /^tandem_machines_cloned 1$/m);
  const refusal = await fetch(`${site.url}/v1/pre-reboot`, {
    method: 'POST',
    headers: { ...operator, 'fleet-lock-protocol': 'true' },
    body: JSON.stringify({ client_params: { id: ID, group: 'db' } }),
  });
  assert.deepEqual([refusal.status, ((await refusal.json()) as { kind: string }).kind], [409, 'machine-cloned']);
});

test('it is over when one of them has another id: at once when an operator says so, else after a day', async () => {
  await using site = await fleet();
  const [first, copy] = [new Machine(site, HERE, 'a'), new Machine(site, THERE, 'b')];
  await first.says();
  assert.equal(await copy.says(), 'machine-cloned');
  await site.fleet.resetSecret(ID, {
    at: NOW.toISOString(),
    what: 'machine-reset',
    who: 'maria',
    from: '::1',
    about: ID,
  });
  assert.equal((await lastEntries(site.store, 1))[0]?.what, 'machine-reset');
  assert.equal(await first.says(), 'go');
  assert.equal(await copy.says(), 'machine-cloned', 'when it is not so after all');
  for (let hours = 0; hours < 23.5; hours += 0.5) assert.equal(await copy.says(), 'machine-cloned', `after ${hours} h`);
  assert.equal(await copy.says(), 'go');
});
