/** No login and no signed query is shown, whatever an address looks like. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { maskUrl, redactUrl } from '../../../src/system/http/shown-address.ts';

const SHOWN: Readonly<Record<string, readonly [redacted: string, masked: string]>> = {
  'https://updates.example': ['https://updates.example/', 'https://updates.example'],
  'https://updates.example/x': ['https://updates.example/x', 'https://updates.example/x'],
  'https://me:sesame@updates.example/x': ['https://updates.example/x', 'https://***@updates.example/x'],
  'https://sesame@updates.example': ['https://updates.example/', 'https://***@updates.example'],
  'https://s3.example/b?X-Amz-Signature=sesame': ['https://s3.example/b', 'https://s3.example/b?***'],
  'http://me:sesame@proxy:3128/': ['http://proxy:3128/', 'http://***@proxy:3128/'],
  'ftp://me:sesame@h/x#sesame': ['ftp://h/x', 'ftp://***@h/x#***'],
};
for (const [address, [redacted, masked]] of Object.entries(SHOWN))
  test(`${address} is shown without what opens it`, () => {
    assert.equal(redactUrl(address), redacted);
    assert.equal(maskUrl(address), masked);
  });

test('what is mistaken for an address with a scheme of its own is not shown', () => {
  for (const typed of ['me:sesame@etcd1:2379', 'sesame', '//me:sesame@h'])
    assert.equal(redactUrl(typed), 'an address that is not a URL');
});

test('what is no address is a value like any other', () => {
  for (const value of ['', 'stable', '/etc/tandem/token', '*/30 * * * *', 'web-17'])
    assert.equal(maskUrl(value), value);
});

test('a password is not shown, whatever it consists of', () => {
  const word = fc.stringMatching(/^[A-Za-z0-9!$&'()*+,;=._~%@:-]{8,20}$/);
  fc.assert(
    fc.property(word, (word) => {
      const address = `https://user:${encodeURIComponent(word)}@h.example/x?k=${encodeURIComponent(word)}`;
      for (const shown of [redactUrl(address), maskUrl(address)]) {
        assert.ok(!shown.includes(word) && !shown.includes(encodeURIComponent(word)), shown);
        assert.match(shown, /h\.example\/x/);
      }
    }),
  );
});
