/** Text from outside, before it reaches anybody. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CLEAN_LINE, cleanLine, cleanText } from '../src/clean-text.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({
    unit: fc.constantFrom(
      'a',
      ' ',
      '\n',
      '\r',
      '\0',
      '\u001b',
      '\u009b',
      '\u202e',
      '\ud800',
      '\udc00',
      '💾',
      '\u2028',
      'é',
    ),
  }),
);

test('a clean line has no control or bidirectional character, no lone surrogate, no line break, and keeps to its limit', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 200 }), (text, limit) => {
      const line = cleanLine(text, limit);
      assert.ok(line.length <= limit);
      assert.ok(line.isWellFormed());
      assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});

test('clean text keeps its lines, and nothing else that moves a cursor', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 200 }), (text, limit) => {
      const clean = cleanText(text, limit);
      assert.ok(clean.length <= limit && clean.isWellFormed());
      assert.doesNotMatch(clean, /(?!\n)[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
  assert.equal(cleanText('one\r\ntwo\tthree\u2028four\n'), 'one\ntwo three\nfour');
});

test('what is clean is not changed by cleaning it again', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 200 }), (text, limit) => {
      assert.equal(cleanLine(cleanLine(text, limit), limit), cleanLine(text, limit));
      assert.equal(cleanText(cleanText(text, limit), limit), cleanText(text, limit));
    }),
  );
});

test('what is called a clean line is what cleaning leaves as it is, empty lines aside', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        anyText,
        anyText.map((text) => cleanLine(text)),
      ),
      (text) => {
        assert.equal(CLEAN_LINE.test(text), text !== '' && cleanLine(text) === text, JSON.stringify(text));
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(CLEAN_LINE.test('node 1') && !CLEAN_LINE.test('node  1') && !CLEAN_LINE.test('node\u200b1'));
});

test('what people write stays: accents, scripts that need joiners, emoji', () => {
  for (const text of ['Störung, naïve — 24 °C', 'क्‍ष', 'می‌خواهم', '👩‍🔧 on call']) assert.equal(cleanLine(text), text);
});

test('what is cut says so, and is cut before it is searched', () => {
  assert.equal(cleanLine('abcdef', 4), 'abc…');
  assert.equal(cleanLine('ab💾d', 4), 'ab…');
  assert.equal(cleanLine('x'.repeat(50_000_000), 3), 'xx…');
});
