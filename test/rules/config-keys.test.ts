/** The table of configuration keys against the code that reads them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allKeys } from '../../src/config/config.ts';
import { codeOf, readSourceTree, type SourceFile } from '../support/source-tree.ts';

/** These have one possible value so far, which leaves nothing to read. */
const NO_CHOICE = new Set(['boot.backend']);

const camelCase = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Keys that an operator may set and nothing reads. */
const idleKeys = (keys: readonly string[], files: readonly SourceFile[]): string[] => {
  const code = files.filter(({ path }) => path !== 'config/keys.ts').map(({ text }) => codeOf(text));
  const isRead = (key: string): boolean => {
    const [section = '', name = ''] = key.split('.');
    const word = new RegExp(`\\b${camelCase(name)}\\b`);
    // A required key is asked for by its path.
    return code.some((one) => word.test(one)) || files.some(({ text }) => text.includes(`'${section}.${name}'`));
  };
  return keys.filter((key) => !NO_CHOICE.has(key) && !isRead(key));
};

test('every configuration key has an effect', () => {
  const keys = allKeys().map(([path]) => path);
  assert.deepEqual(idleKeys(keys, readSourceTree()), []);
});

test('every configuration key has an effect: and the rule sees when it is broken', () => {
  assert.deepEqual(idleKeys(['agent.state_dir', 'agent.idle'], [{ path: 'a.ts', text: 'config.agent.stateDir' }]), [
    'agent.idle',
  ]);
});
