import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UpdateError } from '../../src/errors.ts';
import { realClock } from '../../src/system/clock.ts';
import { createHttp } from '../../src/system/http/http.ts';
import { duplicateKey } from '../../src/verify/documents.ts';
import { fileUrl, httpMetadata } from '../../src/verify/metadata-fetch.ts';
import { ROLE_NAMES } from '../../src/verify/names.ts';
import { checkStrictly } from '../../src/verify/strict-check.ts';
import { answer, HostileServer } from '../support/hostile-server.ts';

test('JSON made from an object never has a key twice; with one put in, it is found', () => {
  fc.assert(fc.property(fc.json(), (json) => assert.equal(duplicateKey(json), undefined)));
  fc.assert(
    fc.property(fc.string(), fc.json(), (key, json) => {
      const name = JSON.stringify(key);
      assert.equal(duplicateKey(`[{${name}:${json},${name} : "}"}]`), key);
    }),
  );
});

test('whatever bytes come as metadata, the refusal has a name', () => {
  const attempt = (bytes: Uint8Array): void => {
    for (const role of ROLE_NAMES)
      assert.throws(
        () => checkStrictly(role, bytes),
        (error) => error instanceof UpdateError && error.code.startsWith('metadata-'),
      );
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt));
  fc.assert(fc.property(fc.json(), (json) => attempt(Buffer.from(json))));
  attempt(Buffer.from(`{"signed":${'['.repeat(8000)}${']'.repeat(8000)}}`));
});

test('the address of a file keeps the query of the repository and adds to its path', () => {
  assert.equal(fileUrl('https://example.org', 'metadata/a.json'), 'https://example.org/metadata/a.json');
  assert.equal(
    fileUrl('https://example.org/up/?t=1', 'targets/x~1.bundle'),
    'https://example.org/up/targets/x~1.bundle?t=1',
  );
});

test('a missing file is no failure on a web server; one that is gone or denied is', async () => {
  const http = createHttp({ connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'test', clock: realClock });
  const ask = async (status: string): Promise<unknown> => {
    await using server = await HostileServer.start(answer(status, {}));
    const [mirror] = httpMetadata(http, [server.url('')]);
    return await mirror
      ?.fetch('metadata/2.root.json', 100, new AbortController().signal)
      .catch((error: UpdateError) => error.code);
  };
  assert.equal(await ask('404 Not Found'), undefined);
  assert.equal(await ask('410 Gone'), 'not-found-on-server');
  assert.equal(await ask('403 Forbidden'), 'server-denied');
});
