/** The certificate of a fleet server: made at the first start, renewed under hosts that pin its authority, and safe to lose power in between. */

import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Context, inputOf } from '../../../src/cli/command.ts';
import { type Identity, type Tls, tlsFrom } from '../../../src/cli/server/tls.ts';
import { createApp, showIdentity } from '../../../src/server/http/app.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import { realClock } from '../../../src/system/clock.ts';
import { realFiles } from '../../../src/system/files.ts';
import { createHttp } from '../../../src/system/http/http.ts';
import { silentLog } from '../../../src/system/log.ts';
import { realRandom } from '../../../src/system/random.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { noSignal, temporaryFolder } from '../../support/bundles.ts';
import { refusalOf } from '../../support/command-line.ts';
import { accessWith } from '../../support/fleet-tokens.ts';
import { makeTlsFiles } from '../../support/tls-files.ts';

const DAY = 86_400_000;

/** The server's certificate as these options make it, at a moment. */
const tlsOf = (cwd: string, options: object, days = 0, host = '127.0.0.1'): Promise<Tls | undefined> => {
  const clock = { ...realClock, now: () => new Date(Date.now() + days * DAY) };
  const context = { cwd: () => cwd, clock, files: realFiles, random: realRandom } as unknown as Context;
  return tlsFrom(context, inputOf([], { tlsName: [], ...options }), host);
};

async function ownIdentity(cwd: string, days = 0): Promise<Identity> {
  const tls = await tlsOf(cwd, { tlsOwn: 'tls', tlsName: ['updates.example'] }, days);
  assert.ok(tls);
  return tls.identity();
}

const shownBy = ({ cert }: Identity) => new X509Certificate(cert);

test('hosts that pin the authority go on through a renewal, and trust no other server', async () => {
  await using folder = await temporaryFolder();
  const tls = await tlsOf(folder.path, { tlsOwn: 'tls' });
  const first = await tls?.identity();
  assert.ok(first);
  const ca = readFileSync(join(folder.path, 'tls/ca.pem'));
  assert.ok(
    tls?.hint?.includes(
      `${join(folder.path, 'tls/ca.pem')} as ca_file (SHA-256 ${new X509Certificate(ca).fingerprint256})`,
    ),
  );
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const app = await createApp({
    fleet: { count: async () => 7 } as never,
    locks: {} as never,
    repository: '/nonexistent',
    serve: async () => undefined,
    access: await accessWith(store, {}),
    store,
    channels: async () => new Map(),
    now: () => new Date(),
    log: silentLog,
    tls: first,
  });
  try {
    await app.listen({ host: '127.0.0.1', port: 0 });
    const url = `https://127.0.0.1:${(app.server.address() as AddressInfo).port}/healthz`;
    const ask = (pinned: Uint8Array) =>
      createHttp({
        ca: pinned,
        connectTimeoutMs: 5000,
        idleTimeoutMs: 5000,
        userAgent: 'test',
        clock: realClock,
      }).fetchBytes(url, { maxBytes: 1000, signal: noSignal });
    assert.match(String(await ask(ca)), /"ok":true/);
    const renewed = await (await tlsOf(folder.path, { tlsOwn: 'tls' }, 61))?.identity();
    assert.ok(renewed && shownBy(renewed).serialNumber !== shownBy(first).serialNumber);
    // So that the clock of this test need not be moved: as long as it is the same authority hosts do not mind.
    showIdentity(app, await ownIdentity(folder.path));
    assert.match(String(await ask(ca)), /"ok":true/);
    await using another = await temporaryFolder();
    await ownIdentity(another.path);
    const foreign = readFileSync(join(another.path, 'tls/ca.pem'));
    assert.equal(await refusalOf(ask(foreign)), 'tls-untrusted');
  } finally {
    await app.close();
  }
});

test('what was made is kept, its keys are for nobody else, and a month before its end it is renewed', async () => {
  await using folder = await temporaryFolder();
  const first = await ownIdentity(folder.path);
  for (const key of ['ca.key', 'server.key'])
    assert.equal(statSync(join(folder.path, 'tls', key)).mode & 0o077, 0, key);
  assert.deepEqual(await ownIdentity(folder.path), first);
  assert.deepEqual(await ownIdentity(folder.path, 59), first);
  const later = await ownIdentity(folder.path, 61);
  assert.ok(shownBy(later).validToDate.getTime() - shownBy(first).validToDate.getTime() > 60 * DAY);
  assert.deepEqual(later.key, first.key);
  const named = await (await tlsOf(folder.path, { tlsOwn: 'tls', tlsName: ['new.example'] }, 61))?.identity();
  assert.ok(named && shownBy(named).checkHost('new.example') !== undefined);
});

test('power that fails between any two files leaves a server that starts, with the authority that hosts may know', async () => {
  await using folder = await temporaryFolder();
  const order = ['ca.key', 'ca.pem', 'server.key', 'server.pem'];
  await ownIdentity(folder.path);
  const whole = order.map((name) => readFileSync(join(folder.path, 'tls', name)));
  for (const [at, torn] of order.entries())
    for (const left of [0, 40]) {
      const dir = join(folder.path, `cut-${at}-${left}`);
      mkdirSync(join(dir, 'tls'), { recursive: true });
      for (const [index, name] of order.slice(0, at).entries())
        writeFileSync(join(dir, 'tls', name), whole[index] ?? '');
      // Certificates are put in place by a rename; keys may be torn.
      const isKey = torn.endsWith('.key');
      if (isKey) writeFileSync(join(dir, 'tls', torn), whole[at]?.subarray(0, left) ?? '');
      else writeFileSync(join(dir, 'tls', `${torn}.tandem-new`), whole[at]?.subarray(0, left) ?? '');
      const { cert, key } = await ownIdentity(dir);
      assert.ok(new X509Certificate(cert).checkPrivateKey(createPrivateKey(Buffer.from(key))));
      if (at > 1) assert.deepEqual(readFileSync(join(dir, 'tls/ca.pem')), whole[1], 'hosts may trust it already');
    }
});

test('an authority whose key is lost, or another’s, is not replaced behind the back of its hosts', async () => {
  await using folder = await temporaryFolder();
  await ownIdentity(folder.path);
  const key = join(folder.path, 'tls/ca.key');
  writeFileSync(key, readFileSync(join(folder.path, 'tls/server.key')));
  assert.equal(await refusalOf(ownIdentity(folder.path)), 'tls-invalid');
  rmSync(key);
  assert.equal(await refusalOf(ownIdentity(folder.path)), 'tls-invalid');
});

test('a certificate that was given must be one, and is shown anew when its file changes', async () => {
  await using folder = await temporaryFolder();
  const { serverCert, serverKey, clientCert, clientKey, ca } = makeTlsFiles(folder.path, 'x');
  const tls = await tlsOf(folder.path, { tlsCert: serverCert, tlsKey: serverKey });
  const first = await tls?.identity();
  assert.deepEqual(first?.cert, readFileSync(serverCert));
  writeFileSync(serverCert, readFileSync(clientCert));
  assert.equal(await refusalOf(tls?.identity() ?? Promise.resolve()), 'tls-invalid');
  writeFileSync(serverKey, readFileSync(clientKey));
  assert.deepEqual((await tls?.identity())?.cert, readFileSync(clientCert));
  for (const [cert, key] of [
    [serverKey, serverKey],
    [ca, serverKey],
  ] as const) {
    const wrong = await tlsOf(folder.path, { tlsCert: cert, tlsKey: key });
    assert.equal(await refusalOf(wrong?.identity() ?? Promise.resolve()), 'tls-invalid');
  }
});

test('options of TLS that contradict each other are a wrong command line', async () => {
  await using folder = await temporaryFolder();
  for (const [options, host] of [
    [{ tlsCert: 'a' }, '127.0.0.1'],
    [{ tlsKey: 'a' }, '127.0.0.1'],
    [{ tlsCert: 'a', tlsKey: 'b', tlsOwn: 'c' }, '127.0.0.1'],
    [{ tlsName: ['a'] }, '127.0.0.1'],
    [{ tlsOwn: 'c' }, '0.0.0.0'],
    [{ tlsOwn: 'c' }, '::'],
    ...['', 'a b', '-a', 'a..b', 'a.', `${'a'.repeat(64)}.b`, 'ü.example', '*'].map(
      (name) => [{ tlsOwn: 'c', tlsName: [name] }, '127.0.0.1'] as const,
    ),
  ] as const)
    assert.equal(await refusalOf(tlsOf(folder.path, options, 0, host)), 'usage', JSON.stringify(options));
  assert.equal(await tlsOf(folder.path, {}), undefined);
});
