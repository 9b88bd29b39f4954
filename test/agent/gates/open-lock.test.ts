/** The lock as the configuration names it, put together as on a host: who the host is there, and where it gives back what it took. */

import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KeptLock } from '../../../src/agent/gates/kept-lock.ts';
import { lockGate } from '../../../src/agent/gates/lock-gate.ts';
import { openLock } from '../../../src/agent/gates/open-lock.ts';
import { resolveConfig } from '../../../src/config/config.ts';
import type { Product } from '../../../src/model.ts';
import { realClock } from '../../../src/system/clock.ts';
import { realFiles } from '../../../src/system/files.ts';
import { silentLog } from '../../../src/system/log.ts';
import { deriveMachineId } from '../../../src/system/machine-id.ts';
import { realRandom } from '../../../src/system/random.ts';
import { noSignal, temporaryFolder } from '../../support/bundles.ts';
import { refusalOf } from '../../support/command-line.ts';
import { FleetLockServer } from '../../support/fleetlock-server.ts';

const MACHINE = '1c09ca98649c4c7abc779cd04c96812e';
const ZINCATI = '978a225b3d7b40e9acd7ce9b62f68444';

/** A host whose agent is started anew with each configuration. */
class Host implements AsyncDisposable {
  readonly state: string;
  private readonly folder: AsyncDisposable & Readonly<{ path: string }>;
  machine: string | undefined = MACHINE;

  private constructor(folder: AsyncDisposable & Readonly<{ path: string }>) {
    this.folder = folder;
    this.state = folder.path;
  }

  static async make(): Promise<Host> {
    return new Host(await temporaryFolder());
  }

  async start(toml: string): Promise<KeptLock> {
    const text = `[agent]\nstate_dir = "${this.state}"\n${toml}`;
    const config = resolveConfig([{ path: '/etc/tandem/config.d/lock.toml', text }]);
    const own = this.machine === undefined ? undefined : Buffer.from(`${this.machine}\n`);
    const files = {
      ...realFiles,
      read: async (path: string) => (path === '/etc/machine-id' ? own : realFiles.read(path)),
    };
    const world = { files, clock: realClock, random: realRandom, version: '0.1.0', signal: noSignal, log: silentLog };
    return openLock(config, world);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

const lockAt = (url: string, more = ''): string => `[lock]\nkind = "fleetlock"\nurl = "${url}"\n${more}`;
const inGroup = (group: string, url: string): string => `[host]\ngroup = "${group}"\n${lockAt(url)}`;
const holders = (server: FleetLockServer, group: string): string[] => [...(server.holders.get(group) ?? [])];

test('a FleetLock server is asked as Zincati asks it, unless the configuration says who the host is', async () => {
  await using server = await FleetLockServer.start({ default: 2 });
  await using host = await Host.make();
  const lock = await host.start(lockAt(server.url));
  assert.deepEqual(await lock.take('an update of shop'), { ok: true });
  assert.deepEqual(holders(server, 'default'), [ZINCATI]);
  await lock.giveBack();
  const named = await host.start(lockAt(server.url, 'id = "node-1.example.com"'));
  assert.deepEqual(await named.take('an update of shop'), { ok: true });
  assert.deepEqual(holders(server, 'default'), ['node-1.example.com']);
});

test('a host that is named needs no machine id for its lock; one that is not does', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  await using host = await Host.make();
  host.machine = undefined;
  assert.equal(await refusalOf(host.start(lockAt(server.url))), 'machine-id-missing');
  const lock = await host.start(lockAt(server.url, 'id = "Rack 7/3"'));
  assert.deepEqual(await lock.take('an update of shop'), { ok: true });
  assert.deepEqual(holders(server, 'default'), ['Rack 7/3']);
  for (const id of ['', ' a', '..', 'a\\u202eb', 'a'.repeat(256)])
    assert.equal(await refusalOf(host.start(lockAt(server.url, `id = "${id}"`))), 'config-invalid', id);
});

const changes: Readonly<Record<string, (server: string, other: string) => string>> = {
  'host.group': (server) => inGroup('db', server),
  'lock.group': (server) => `${inGroup('web', server)}group = "db"\n`,
  'lock.id': (server) => `${inGroup('web', server)}id = "web-1"\n`,
  'lock.url': (_server, other) => inGroup('web', other),
  'lock.kind': () => '[lock]\nkind = "none"\n',
};

for (const [key, changed] of Object.entries(changes))
  test(`a change of ${key} while the lock is held gives it back where it was taken`, async () => {
    await using server = await FleetLockServer.start({ web: 1, db: 1 });
    await using other = await FleetLockServer.start({ web: 1 });
    await using host = await Host.make();
    const before = await host.start(inGroup('web', server.url));
    await before.take('an update of shop');
    await before.begin();
    assert.deepEqual(holders(server, 'web'), [ZINCATI]);
    const after = await host.start(changed(server.url, other.url));
    await after.giveBack({});
    assert.deepEqual(holders(server, 'web'), []);
    assert.equal(after.debt(), undefined);
    assert.deepEqual(await after.take('an update of shop'), { ok: true });
    await after.giveBack();
    assert.deepEqual([...holders(server, 'web'), ...holders(server, 'db'), ...holders(other, 'web')], []);
  });

test('what was taken under the id of check-ins, before hosts were called as Zincati calls them, is given back', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  server.holders.set('default', new Set([deriveMachineId(MACHINE)]));
  await using host = await Host.make();
  const lock = await host.start(lockAt(server.url));
  assert.deepEqual(await lock.take('an update of shop'), { ok: true });
  assert.deepEqual(holders(server, 'default'), [ZINCATI]);
});

test('a login is not written down, and a token in the address goes on being sent to the same server', async () => {
  await using server = await FleetLockServer.start({ web: 1 });
  await using host = await Host.make();
  const url = server.url.replace('http://', 'http://zincati:secret@');
  await (await host.start(inGroup('web', url))).take('an update of shop');
  const kept = Buffer.from((await realFiles.read(join(host.state, 'lock.json'))) ?? '').toString();
  assert.ok(kept.includes(ZINCATI) && !kept.includes('secret'), kept);
  await (await host.start(inGroup('db', url))).giveBack({});
  assert.deepEqual(holders(server, 'web'), []);
  assert.deepEqual(new Set(server.logins), new Set([`Basic ${btoa('zincati:secret')}`]));
});

test('a record that makes no sense keeps no host from its lock', async () => {
  await using server = await FleetLockServer.start({ default: 1 });
  for (const text of ['', '{', '[]', '{"schema":9}', '{"schema":1,"places":[{"kind":"x"}]}', '\0'.repeat(99)]) {
    await using host = await Host.make();
    await writeFile(join(host.state, 'lock.json'), text);
    const lock = await host.start(lockAt(server.url));
    assert.deepEqual(await lock.take('an update of shop'), { ok: true }, text);
    await lock.giveBack();
    await rm(join(host.state, 'lock.json'));
  }
  assert.deepEqual(holders(server, 'default'), []);
});

test('what shows who holds the lock is named only where there is such a command', async () => {
  await using server = await FleetLockServer.start({ default: 0 });
  await using host = await Host.make();
  const commandAt = async (toml: string): Promise<string | undefined> => {
    const world = { product: 'shop' as Product, clock: realClock, random: realRandom, log: silentLog };
    const verdict = await lockGate(await host.start(toml), world).verdict(true);
    return verdict.ok ? 'open' : verdict.command;
  };
  assert.equal(await commandAt(lockAt(server.url)), undefined, 'airlock');
  const ours = `[fleet]\nurl = "${server.url}"\n${lockAt(server.url)}`;
  const command = `updatectl lock status --server ${server.url}/ --token-file FILE`;
  assert.equal(await commandAt(ours), command);
  const etcd = '[lock]\nkind = "etcd"\nendpoints = ["http://127.0.0.1:1"]\n';
  assert.equal(await commandAt(etcd), 'updatectl lock status');
});
