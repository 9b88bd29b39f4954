/** What an operator sees of the lock and may change, on the command line, and how a host's configuration becomes its lock. */

import assert from 'node:assert/strict';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openLock } from '../../src/agent/gates/open-lock.ts';
import { lockRelease } from '../../src/cli/lock/lock-release.ts';
import { lockSetMax } from '../../src/cli/lock/lock-set-max.ts';
import { lockStatus } from '../../src/cli/lock/lock-status.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { realClock } from '../../src/system/clock.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { realRandom } from '../../src/system/random.ts';
import { noSignal, temporaryFolder } from '../support/bundles.ts';
import { refusalOf, runCommand } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { FleetLockServer } from '../support/fleetlock-server.ts';
import { lockOf } from '../support/lock-hosts.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls-files.ts';

// Before any test: while a file awaits something, the runner may finish the tests it has so far, and run the hooks.
const states = await temporaryFolder();
after(() => states[Symbol.asyncDispose]());

let cluster: EtcdCluster;
before(async () => {
  cluster = await EtcdCluster.start({ members: 1 });
});
after(() => cluster[Symbol.asyncDispose]());

const inGroup = (group: string): string[] => ['--endpoint', cluster.endpoints[0] ?? '', '--group', group];
const undated = (text: string): string => text.replace(/20\d\d-[\dT:.-]+Z/g, 'DATE');

test('status shows holders, failures and the queue, each with its since and why', async () => {
  const options = { endpoints: cluster.endpoints, group: 'shown', max: 1, maxFailures: 1 };
  assert.equal(
    await runCommand(lockStatus, '/', inGroup('shown')),
    'No host of group shown has asked for the reboot lock yet.\n',
  );
  await lockOf(3, options).take('x');
  await lockOf(3, options).giveBack({ failed: 'no web server' });
  await lockOf(1, options).take('an update of shop');
  await lockOf(1, options).begin();
  await lockOf(2, options).take('an update of shop');
  const shown = undated(await runCommand(lockStatus, '/', inGroup('shown')));
  assert.deepEqual(
    shown.split('\n').map((line) => line.replace(/ {2,}/g, ' | ')),
    [
      'Reboot lock of group shown: 1 at once, 0 free; more than 1 failures stop it.',
      'HOST | STATE | SINCE | WHY',
      'host-1 | rebooting | DATE | an update of shop',
      'host-3 | FAILED | DATE | no web server',
      'host-2 | queued | DATE',
      '',
    ],
  );
  const document = JSON.parse(await runCommand(lockStatus, '/', [...inGroup('shown'), '--json']));
  assert.deepEqual(
    [document.schema, document.group, document.max, document.free, document.queued],
    [1, 'shown', 1, 0, 1],
  );
});

test('a size is set before the first host comes, and counts', async () => {
  await runCommand(lockSetMax, '/', ['2', ...inGroup('sized'), '--max-failures', '3']);
  const options = { endpoints: cluster.endpoints, group: 'sized', max: 1 };
  for (const index of [1, 2]) assert.ok((await lockOf(index, options).take('x')).ok);
  assert.equal((await lockOf(3, options).take('x')).ok, false);
  await runCommand(lockSetMax, '/', ['3', ...inGroup('sized')]);
  assert.ok((await lockOf(3, options).take('x')).ok);
  assert.match(await runCommand(lockStatus, '/', inGroup('sized')), /3 at once, 0 free; more than 3 failures/);
  for (const wrong of ['-1', '1.5', '1001', 'many'])
    assert.equal(await refusalOf(runCommand(lockSetMax, '/', [...inGroup('sized'), '--', wrong])), 'usage');
});

test('a host is released by its name; one that is not there is an error', async () => {
  const options = { endpoints: cluster.endpoints, group: 'freed' };
  await lockOf(1, options).take('x');
  await lockOf(1, options).begin();
  await runCommand(lockRelease, '/', ['host-1', ...inGroup('freed')]);
  assert.ok((await lockOf(2, options).take('x')).ok);
  assert.equal(await refusalOf(runCommand(lockRelease, '/', ['host-1', ...inGroup('freed')])), 'lock-not-held');
});

test('an address that is none is a fault of the command line', async () => {
  assert.equal(await refusalOf(runCommand(lockStatus, '/', ['--endpoint', 'etcd1:2379'])), 'usage');
});

/** Each is another host. */
let hosts = 0;
const open = async (toml: string) => {
  const stateDir = join(states.path, `${hosts++}`);
  await mkdir(stateDir);
  const state = `[agent]\nstate_dir = "${stateDir}"\n`;
  const config = resolveConfig([{ path: '/etc/tandem/config.d/lock.toml', text: state + toml }]);
  // A machine id of its own, wherever the test runs.
  const files = {
    ...realFiles,
    read: async (path: string) =>
      path === '/etc/machine-id' ? Buffer.from('0123456789abcdef0123456789abcdef\n') : realFiles.read(path),
  };
  const world = { files, clock: realClock, random: realRandom, version: '0.1.0', signal: noSignal, log: silentLog };
  return openLock(config, world);
};

test('a host that is configured for etcd takes part in the lock of its group', async () => {
  const lock = await open(
    `[host]\ngroup = "web"\n[lock]\nkind = "etcd"\nendpoints = ["${cluster.endpoints[0]}"]\nmax = 4`,
  );
  assert.deepEqual(await lock.take('an update of shop'), { ok: true });
  await lock.begin();
  assert.match(
    await runCommand(lockStatus, '/', inGroup('web')),
    /4 at once, 3 free[\s\S]*rebooting .* an update of shop/,
  );
  await lock.giveBack({});
  assert.match(await runCommand(lockStatus, '/', inGroup('web')), /4 at once, 4 free/);
});

test('a host that is configured for FleetLock asks there, in the group of the lock rather than its own', async () => {
  await using server = await FleetLockServer.start({ racks: 1 });
  const lock = await open(`[host]\ngroup = "web"\n[lock]\nkind = "fleetlock"\nurl = "${server.url}"\ngroup = "racks"`);
  assert.deepEqual(await lock.take('an update of shop'), { ok: true });
  assert.equal(server.holders.get('racks')?.size, 1);
});

test('a certificate that etcd does not take keeps the lock owed; renewed on disk, the same agent gives it back', async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  const [files, strange] = [makeTlsFiles(folder.path, 'host'), makeTlsFiles(other.path, 'host')];
  const { ca, serverCert, serverKey, clientCert, clientKey } = files;
  await using secured = await EtcdCluster.start({
    members: 1,
    scheme: 'https',
    args: ['--cert-file', serverCert, '--key-file', serverKey, '--trusted-ca-file', ca, '--client-cert-auth'],
    flags: ['--cacert', ca, '--cert', clientCert, '--key', clientKey],
  });
  const [cert, key] = [join(folder.path, 'host.pem'), join(folder.path, 'host.key')];
  const renew = async (from: TlsFiles): Promise<void> => {
    await copyFile(from.clientCert, cert);
    await copyFile(from.clientKey, key);
  };
  await renew(files);
  const lock = await open(
    `[lock]\nkind = "etcd"\nendpoints = ["${secured.endpoints[0]}"]\nca_file = "${ca}"\ncert_file = "${cert}"\nkey_file = "${key}"`,
  );
  assert.deepEqual(await lock.take('an update of shop'), { ok: true });
  await lock.begin();
  await renew(strange);
  assert.equal(await refusalOf(lock.giveBack({})), 'etcd-unavailable');
  const isHeld = async (): Promise<boolean> => {
    const { out } = await secured.ctl(['get', '--prefix', 'tandem/lock/', '--print-value-only']);
    return out.includes('an update of shop');
  };
  assert.equal(await isHeld(), true);
  await renew(files);
  await lock.giveBack({});
  assert.equal(await isHeld(), false);
});

test('without a lock every host may reboot', async () => {
  assert.deepEqual(await (await open('')).take('an update of shop'), { ok: true });
});

test('a lock that is configured by half is named', async () => {
  await using folder = await temporaryFolder();
  const password = join(folder.path, 'password');
  await writeFile(password, 'pw\n');
  const etcd = `[lock]\nkind = "etcd"\nendpoints = ["${cluster.endpoints[0]}"]\n`;
  for (const [toml, what] of [
    ['[lock]\nkind = "etcd"', /lock\.endpoints/],
    ['[lock]\nkind = "fleetlock"', /lock\.url/],
    [`${etcd}user = "a"`, /lock\.user and lock\.password_file/],
    [`${etcd}password_file = "${password}"`, /lock\.user and lock\.password_file/],
    [`${etcd}cert_file = "${password}"`, /lock\.cert_file and lock\.key_file/],
    [`${etcd}ca_file = "/nowhere/ca.pem"`, /lock\.ca_file names \/nowhere\/ca\.pem/],
  ] as const)
    await assert.rejects(open(toml), { code: 'config-invalid', message: what });
});
