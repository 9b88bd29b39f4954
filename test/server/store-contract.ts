/** What every store must do, whatever lies behind it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuditEntry, audited, auditedIfDue, lastEntries } from '../../src/server/fleet/audit.ts';
import type { Json, Store } from '../../src/server/store/store.ts';

/** `again` closes the store and opens what it has left behind. */
export type StoreBench = AsyncDisposable & Readonly<{ open(): Promise<Store> }>;

const key = (id: string) => ({ kind: 'counter', id });
const add = (documents: readonly (Json | undefined)[]) => {
  const next = Number(documents[0] ?? 0) + 1;
  return { write: [next], result: next };
};

/** Declares one test for each statement. */
export function storeContract(name: string, makeBench: () => Promise<StoreBench>): void {
  const holds = (statement: string, check: (store: Store, bench: StoreBench) => Promise<void>): void => {
    test(`${name}: ${statement}`, async () => {
      await using bench = await makeBench();
      await using store = await bench.open();
      await check(store, bench);
    });
  };

  holds('what was written is read again, and nothing where nothing was', async (store) => {
    const document = { text: 'ü\u0000"', list: [1, null, true], deep: { a: {} } };
    await store.update([key('a')], () => ({ write: [document], result: undefined }));
    assert.deepEqual(await store.read(key('a')), document);
    assert.equal(await store.read(key('b')), undefined);
    assert.equal(await store.read({ kind: 'other', id: 'a' }), undefined);
  });

  holds('a large document is read as it is now, however often it changes', async (store) => {
    const large = (text: string): Json => ({ text: text.repeat(10_000) });
    for (const text of ['a', 'b', 'a', 'c']) {
      await store.update([key('a')], () => ({ write: [large(text)], result: undefined }));
      assert.deepEqual(await store.read(key('a')), large(text));
      const seen = await store.update([key('a')], ([document]) => ({ write: [undefined], result: document }));
      assert.deepEqual(seen, large(text));
    }
  });

  holds('a hundred updates of one document at the same time are a hundred updates', async (store) => {
    const results = await Promise.all(Array.from({ length: 100 }, () => store.update([key('a')], add)));
    assert.deepEqual(
      results.toSorted((one, other) => one - other),
      Array.from({ length: 100 }, (_, at) => at + 1),
    );
    assert.equal(await store.read(key('a')), 100);
  });

  holds('of a hundred who want the last three places, three get one', async (store) => {
    const take = (name: number) =>
      store.update([key('semaphore')], ([document]) => {
        const holders = (document ?? []) as readonly Json[];
        return holders.length < 3
          ? { write: [[...holders, name]], result: true }
          : { write: [undefined], result: false };
      });
    const taken = await Promise.all(Array.from({ length: 100 }, (_, at) => take(at)));
    assert.equal(taken.filter(Boolean).length, 3);
  });

  holds('several documents change together, or none does', async (store) => {
    const both = [key('a'), key('b')];
    await store.update(both, () => ({ write: [5, 5], result: undefined }));
    const move = store.update(both, ([a, b]) => ({ write: [Number(a) - 1, Number(b) + 1], result: undefined }));
    const broken = store.update(both, () => {
      throw new TypeError('no');
    });
    await assert.rejects(broken, TypeError);
    await move;
    assert.deepEqual([await store.read(key('a')), await store.read(key('b'))], [4, 6]);
  });

  holds('a deed and its entry in the audit log are one step: both are there, or neither', async (store, bench) => {
    const entry: AuditEntry = { at: '2030-01-01T00:00:00.000Z', what: 'lock-freed', who: 'somebody', from: '::1' };
    const deeds = Array.from({ length: 40 }, (_, at) => audited(store, { ...entry, about: `${at}` }, [key('a')], add));
    const broken = audited(store, { ...entry, about: 'broken' }, [key('a')], () => {
      throw new TypeError('no');
    });
    const idle = audited(store, { ...entry, about: 'idle' }, [key('a')], () => ({ write: [undefined], result: 0 }));
    await assert.rejects(broken, TypeError);
    await Promise.all([...deeds, idle]);
    await store[Symbol.asyncDispose]();
    await using again = await bench.open();
    const abouts = (await lastEntries(again, 100)).map(({ about }) => Number(about)).toSorted((a, b) => a - b);
    assert.deepEqual(abouts, [...deeds.keys()]);
    assert.equal(await again.read(key('a')), deeds.length);
  });

  holds('of a hundred updates at the same time the one that is worth an entry leaves it, once', async (store) => {
    const entry: AuditEntry = { at: '2030-01-01T00:00:00.000Z', what: 'brake-pulled', who: 'the brake', from: 'here' };
    const heard: AuditEntry[] = [];
    const change = (documents: readonly (Json | undefined)[]) => {
      const { write, result } = add(documents);
      return { write, result, ...(result === 42 ? { entry } : {}) };
    };
    const told = (one: AuditEntry): void => void heard.push(one);
    await Promise.all(Array.from({ length: 100 }, () => auditedIfDue(store, told, [key('a')], change)));
    assert.equal(await store.read(key('a')), 100);
    assert.deepEqual([await lastEntries(store, 10), heard], [[entry], [entry]]);
  });

  holds('a removed document is gone, and one that is left alone stays', async (store) => {
    await store.update([key('a'), key('b')], () => ({ write: [1, 2], result: undefined }));
    await store.update([key('a'), key('b')], () => ({ write: [null, undefined], result: undefined }));
    assert.deepEqual([await store.read(key('a')), await store.read(key('b'))], [undefined, 2]);
    assert.equal(await store.count('counter'), 1);
  });

  holds('pages go through all documents of a kind once, in the order of their ids', async (store) => {
    const ids = Array.from({ length: 25 }, (_, at) => `id-${String(at * 37 + 100)}`);
    for (const id of ids) await store.update([key(id)], add);
    await store.update([{ kind: 'other', id: 'x' }], add);
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await store.list('counter', 10, after);
      seen.push(...page.documents.map(({ id }) => id));
      after = page.next;
    } while (after !== undefined);
    assert.deepEqual(seen, ids.toSorted());
  });

  holds('what an update has answered is there after a restart', async (store, bench) => {
    await store.update([key('a')], add);
    await store[Symbol.asyncDispose]();
    await using again = await bench.open();
    assert.equal(await again.read(key('a')), 1);
  });
}
