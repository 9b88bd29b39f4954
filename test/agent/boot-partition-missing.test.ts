/** A host whose ESP is not mounted for a while: nothing is concluded from that, and nothing is written down. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordingDisk } from '../support/recording-disk.ts';
import { freshStorage, liveUntilRest, makeUpdate } from '../support/simulated-host.ts';

const update = await makeUpdate('good');
const MISSING = { code: 'boot-partition-missing' };

/** From the moment that `isGone` says so the folder is empty, as a place on which nothing is mounted is. */
function unmount(storage: RecordingDisk, isGone: (names: readonly string[]) => boolean = () => true): () => void {
  const { list } = storage.files;
  let gone = false;
  storage.files.list = async (dir) => {
    const names = await list(dir);
    gone ||= dir.startsWith('/efi') && isGone(names);
    return gone && dir.startsWith('/efi') ? [] : names;
  };
  return () => {
    storage.files.list = list;
  };
}

/** What the agent remembers. */
const memory = async ({ files }: RecordingDisk): Promise<readonly string[]> =>
  Promise.all(
    ['state.json', 'history.jsonl', 'refused.json'].map(async (name) =>
      new TextDecoder().decode(await files.read(`/state/${name}`)),
    ),
  );

test('a proven system is not on trial for it, and remembers nothing of it', async () => {
  const storage = freshStorage();
  await liveUntilRest(storage, update);
  const before = await memory(storage);
  let mount = (): void => {};
  const lost = liveUntilRest(storage, update, async (view) => {
    mount = unmount(storage);
    const { running, confirmed, state } = await view.status();
    assert.deepEqual([running, confirmed, state.kind], [undefined, undefined, 'idle']);
  });
  await assert.rejects(lost, MISSING);
  assert.deepEqual(await memory(storage), before);
  mount();
  const { running, confirmed, state } = await liveUntilRest(storage, update);
  assert.deepEqual([running?.version, confirmed, state.kind], ['2', true, 'idle']);
  assert.deepEqual(await memory(storage), before);
});

test('an agent that has no memory yet does not take it for a trial either', async () => {
  const storage = freshStorage();
  let starts = 0;
  const mount = unmount(storage, () => ++starts > 1);
  await assert.rejects(liveUntilRest(storage, update), MISSING);
  assert.deepEqual(await memory(storage), ['', '', '']);
  mount();
  assert.equal((await liveUntilRest(storage, update)).running?.version, '2');
});

test('a trial goes on where it was once the ESP is there: nothing was confirmed, nothing refused', async () => {
  const storage = freshStorage();
  const mount = unmount(storage, (names) => names.includes('shop_2+2-1.efi'));
  await assert.rejects(liveUntilRest(storage, update), MISSING);
  const [state] = await memory(storage);
  assert.match(state ?? '', /"armed"/);
  mount();
  const { running, confirmed, refused } = await liveUntilRest(storage, update);
  assert.deepEqual([running?.version, confirmed, refused], ['2', true, []]);
});
