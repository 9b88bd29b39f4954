/** Nothing local and nothing fetched is believed: whatever is wrong is fetched in another way, and the slot ends up right. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ByteSource } from '../../src/bundle/byte-source.ts';
import { shorten } from '../../src/bundle/delta/short-leaves.ts';
import { blockDigests } from '../../src/bundle/verity.ts';
import { UpdateError } from '../../src/errors.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { type Attempt, attempt, type DeltaHost, deltaHost, holds, RIGHT, type Tamper } from '../support/delta-host.ts';
import { BLOCK, blockOf, blocksFile, buildRelease, patchFile, rootImage, saltOf } from '../support/delta-releases.ts';

const BLOCKS = 200;
const OLD = await buildRelease('1', rootImage(BLOCKS));
const CHANGES = new Map([
  [3, 0],
  ...Array.from({ length: 40 }, (_, at) => [60 + at, 9000 + at] as const),
  ...Array.from({ length: 30 }, (_, at) => [120 + at, 1010 + at] as const),
]);
const NEW = await buildRelease('2', rootImage(BLOCKS, CHANGES));
const BY_BLOCKS = await blocksFile(OLD, NEW);
const PATCH = await patchFile(OLD, NEW);
const BOTH = [PATCH, BY_BLOCKS];

async function endsRight(host: DeltaHost, how: Attempt = {}): ReturnType<typeof attempt> {
  const running = host.storage.bytes(0, host.partition);
  const counts = await attempt(host, how);
  assert.deepEqual(await holds(host), RIGHT);
  assert.deepEqual(host.storage.bytes(0, host.partition), running, 'the running slot was written');
  return counts;
}

/** What was warned of. */
function listener(): { log: Log; warnings: Record<string, unknown>[] } {
  const warnings: Record<string, unknown>[] = [];
  const log = { ...silentLog, debug: () => {}, info: () => {}, error: () => {} };
  return { warnings, log: { ...log, warn: (facts: Record<string, unknown>) => void warnings.push(facts) } as Log };
}

describe('blocks of the running system that are damaged', () => {
  for (const [kind, deltas] of [
    ['patch', [PATCH]],
    ['patch and blocks', BOTH],
    ['blocks', [BY_BLOCKS]],
  ] as const)
    test(`are fetched, whichever they are (${kind})`, () =>
      fc.assert(
        fc.asyncProperty(fc.uniqueArray(fc.nat(BLOCKS - 1), { maxLength: 30 }), async (damaged) => {
          const host = deltaHost(OLD, NEW, deltas);
          for (const block of damaged) await host.storage.disk.write(block * BLOCK + 17, Uint8Array.of(255, 1, 2));
          const { log, warnings } = listener();
          const counts = await endsRight(host, { log });
          const used = damaged.filter(
            (block) => block !== 3 && (block < 60 || block > 99) && (block < 120 || block > 149),
          );
          if (kind === 'blocks') assert.equal(Number(warnings[0]?.['wrong'] ?? 0) >= used.length, true);
          if (kind === 'blocks') assert.equal(counts.tier, 'blocks');
        }),
        { numRuns: 25 },
      ));

  test('are fetched one by one where the disk cannot read them', async () => {
    for (const deltas of [[PATCH], BOTH, [BY_BLOCKS]]) {
      const host = deltaHost(OLD, NEW, deltas);
      const { log, warnings } = listener();
      const bad = 50 * BLOCK;
      await endsRight(host, {
        log,
        running: (root) => ({
          ...root,
          read: async (offset, length) => {
            if (offset <= bad && bad < offset + length) throw new UpdateError('disk-read-error', 'EIO');
            return root.read(offset, length);
          },
        }),
      });
      assert.deepEqual(warnings[0], { unreadable: 1, first: 50 });
    }
  });

  test('are told of once, and do not count as copied', async () => {
    const host = deltaHost(OLD, NEW, [BY_BLOCKS]);
    const sound = await endsRight(deltaHost(OLD, NEW, [BY_BLOCKS]));
    for (const block of [41, 42, 50]) await host.storage.disk.write(block * BLOCK, new Uint8Array(BLOCK));
    const { log, warnings } = listener();
    const counts = await endsRight(host, { log });
    assert.deepEqual(warnings, [{ wrong: 3, first: 41 }]);
    assert.equal(counts.copied, sound.copied - 3 * BLOCK);
    assert.deepEqual(counts.fallen, []);
  });

  test('and a free slot that loses what is written there are told apart: it is not tried for ever', async () => {
    const host = deltaHost(OLD, NEW, [BY_BLOCKS]);
    const lost = 2 * host.partition + 12 * BLOCK;
    const forgetful = async (offset: number): Promise<void> => {
      if (offset <= lost) await host.storage.disk.write(lost, new Uint8Array(BLOCK));
    };
    const { log, warnings } = listener();
    await assert.rejects(
      attempt(host, {
        log,
        free: (root) => ({
          ...root,
          read: async (offset, length) => {
            await forgetful(offset);
            return root.read(offset, length);
          },
        }),
      }),
      { code: 'read-back-mismatch' },
    );
    assert.deepEqual(
      warnings.map(({ code }) => code),
      [undefined, 'delta-root-mismatch'],
    );
  });

  test('in its tree or its kernel image are found out, too', async () => {
    for (const deltas of [[PATCH], [BY_BLOCKS]]) {
      const host = deltaHost(OLD, NEW, deltas);
      await host.storage.disk.write(host.partition + 2 * BLOCK + 100, new Uint8Array(3000));
      await endsRight(host);
      const other = deltaHost(OLD, NEW, deltas);
      await other.storage.files.write('/efi/EFI/Linux/shop_1.efi', [
        OLD.uki.map((byte, at) => (at % 9000 === 8999 ? byte ^ 1 : byte)),
      ]);
      await endsRight(other);
    }
  });

  test('in the superblock of its tree leave only the full image', async () => {
    const host = deltaHost(OLD, NEW, BOTH);
    await host.storage.disk.write(host.partition, new Uint8Array(BLOCK));
    assert.equal((await endsRight(host)).tier, 'full');
  });
});

/** A source whose pieces are changed; `at` is where in the file a piece begins. */
const changed = (
  source: ByteSource,
  change: (bytes: Uint8Array, at: number, end: number | undefined) => Uint8Array | undefined,
): ByteSource => ({
  ...source,
  open: async function* (offset, signal, end) {
    let at = offset;
    for await (const bytes of source.open(offset, signal, end)) {
      const given = change(bytes, at, end);
      at += bytes.length;
      if (!given) return;
      yield given;
    }
  },
});

const only =
  (kinds: readonly string[], tamper: (source: ByteSource) => ByteSource): Tamper =>
  (source, kind) =>
    kinds.includes(kind) ? tamper(source) : source;

const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0x55);
const refusing = (source: ByteSource): ByteSource => ({
  ...source,
  open: (offset, signal, end) => {
    if (offset > 0) throw new UpdateError('server-no-ranges');
    return source.open(offset, signal, end);
  },
});

describe('a server', () => {
  const HEADS = { patch: PATCH.delta.head.size, blocks: BY_BLOCKS.delta.head.size };
  const faults: Readonly<Record<string, Tamper>> = {
    'that refuses ranges of the deltas': only(['patch', 'blocks'], refusing),
    'that breaks off each range': only(['patch', 'blocks'], (source) =>
      changed(source, (bytes, at) => (at > 0 ? undefined : bytes.subarray(0, 100))),
    ),
    'that sends other bytes from the start': only(['patch', 'blocks'], (source) => changed(source, flipped)),
    'that sends other bytes after the heads': (source, kind) =>
      kind === 'bundle' ? source : changed(source, (bytes, at) => (at >= HEADS[kind] ? flipped(bytes) : bytes)),
    'whose files change midway': (source, kind) =>
      kind === 'bundle' ? source : changed(source, (bytes, at) => (at > source.size / 2 ? flipped(bytes) : bytes)),
    'that has lost the deltas': only(['patch', 'blocks'], (source) => ({
      ...source,
      open: () => {
        throw new UpdateError('not-found-on-server');
      },
    })),
  };
  for (const [name, tamper] of Object.entries(faults))
    for (const deltas of [[PATCH], [BY_BLOCKS], BOTH])
      test(`${name} costs a larger download, nothing else (${deltas.map(({ delta }) => delta.kind)})`, async () => {
        await endsRight(deltaHost(OLD, NEW, deltas), { tamper });
      });

  test('that is not there ends the attempt: the full image would not come either', async () => {
    const host = deltaHost(OLD, NEW, BOTH);
    const tamper = only(['patch', 'blocks'], (source) => ({
      ...source,
      open: () => {
        throw new UpdateError('server-unreachable');
      },
    }));
    await assert.rejects(attempt(host, { tamper }), { code: 'server-unreachable' });
    assert.equal((await endsRight(host)).tier, 'patch');
  });
});

test('a free slot that cannot be written ends the attempt', async () => {
  let writes = 0;
  const before = (op: { op: string }): void => {
    if (op.op === 'block' && ++writes > 3) throw new UpdateError('disk-write-error', 'EIO');
  };
  await assert.rejects(attempt(deltaHost(OLD, NEW, BOTH, { options: { before } })), { code: 'disk-write-error' });
});

test('an ESP that cannot be written ends the attempt: no larger download would help', async () => {
  for (const [errno, code] of Object.entries({
    EROFS: 'boot-partition-read-only',
    EACCES: 'boot-partition-read-only',
    ENOSPC: 'esp-full',
    EDQUOT: 'esp-full',
    EIO: 'boot-partition-failed',
  })) {
    const kinds = new Set<string>();
    const write = async (path: string) =>
      Promise.reject(Object.assign(new Error(errno), { code: errno, syscall: 'open', path }));
    const attempted = attempt(deltaHost(OLD, NEW, BOTH), {
      esp: (files) => ({ ...files, write }),
      fetched: (kind) => void kinds.add(kind),
    });
    await assert.rejects(attempted, { code, message: /\/efi\/EFI\/Linux/ });
    assert.ok(!kinds.has('blocks'), `${errno} led from the patch to ${[...kinds]}`);
  }
});

test('a cache of deltas that cannot be read or written costs nothing but what it would have saved', async () => {
  const refused = (path: string) =>
    Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'read', path }));
  const host = deltaHost(OLD, NEW, BOTH);
  const files = host.storage.files;
  const isCache = (path: string): boolean => path.startsWith('/state');
  Object.assign(files, {
    read: (
      (read) => (path: string) =>
        isCache(path) ? refused(path) : read(path)
    )(files.read),
    write: (
      (write) => (path: string, chunks: Parameters<typeof write>[1]) =>
        isCache(path) ? refused(path) : write(path, chunks)
    )(files.write),
  });
  assert.equal((await attempt(host)).tier, 'patch');
});

test('two blocks with the same short leaf are noticed by the root hash, and the full image mends it', async () => {
  const leaf = (seed: number): Uint8Array => blockDigests(Buffer.from(saltOf(NEW), 'hex'), blockOf(seed));
  const [wanted, taken] = [leaf(9010), leaf(1050)];
  const digest = (one: Uint8Array): Uint8Array => shorten(Buffer.compare(one, wanted) === 0 ? taken : one);
  const forged = await blocksFile(OLD, NEW, digest);
  const host = deltaHost(OLD, NEW, [forged]);
  let fetched = 0;
  const count = (kind: string, bytes: number): void => {
    if (kind === 'bundle') fetched += bytes;
  };
  const counts = await endsRight(host, { fetched: count });
  assert.deepEqual(counts.fallen, [{ tier: 'blocks', code: 'delta-root-mismatch' }]);
  assert.equal(counts.tier, 'full');
  assert.ok(fetched < NEW.bundle.length / 2, `${fetched} bytes of the bundle came, though most blocks were right`);
});
