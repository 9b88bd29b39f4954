/** What members of etcd tell through API v2, and those that do not speak it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEtcdV2 } from '../../../src/system/etcd/v2.ts';
import { noSignal } from '../../support/bundles.ts';
import { answer, HostileServer, type Script } from '../../support/hostile-server.ts';
import { testHttp } from '../../support/http-client.ts';

const found = '{"action":"get","node":{"key":"/a/b","value":"{\\"max\\":1}","modifiedIndex":4,"createdIndex":4}}';
const said = (status: string, body: string): Script =>
  answer(status, { 'content-length': Buffer.byteLength(body) }, body);

const valuesAt = async (script: Script, others: readonly string[] = []): Promise<string[]> => {
  await using server = await HostileServer.start(script);
  const endpoints = [...others, server.url('')];
  const older = createEtcdV2({ http: testHttp(), endpoints, timeoutMs: 500, signal: noSignal });
  return (await older.valuesAt(['a/b'])).map(({ key, value }) => `${key}: ${Buffer.from(value)}`);
};

test('a value is read as it was written, by whichever member knows it', async () => {
  assert.deepEqual(await valuesAt(said('200 OK', found)), ['a/b: {"max":1}']);
  assert.deepEqual(await valuesAt(said('200 OK', found), ['http://127.0.0.1:1']), ['a/b: {"max":1}']);
});

const silent: Readonly<Record<string, Script>> = {
  'has no such key': said('404 Not Found', '{"errorCode":100,"message":"Key not found","cause":"/a","index":4}'),
  'does not speak it': said('404 Not Found', '404 page not found'),
  'wants a login': said('401 Unauthorized', '{"message":"Insufficient credentials"}'),
  'has a folder there': said('200 OK', '{"action":"get","node":{"key":"/a/b","dir":true}}'),
  'answers nonsense': said('200 OK', '[]'),
  'hangs up': (socket) => socket.destroy(),
  'never answers': () => undefined,
};

for (const [what, script] of Object.entries(silent))
  test(`a member that ${what} has nothing there, and is no failure`, async () => {
    assert.deepEqual(await valuesAt(script), []);
  });
