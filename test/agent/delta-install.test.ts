/** Which tier is tried, in which order, what one leaves to the next, and what no other tier would get over. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DeltaInstall, installDelta } from '../../src/agent/install/delta/delta-install.ts';
import { type ErrorCode, UpdateError } from '../../src/errors.ts';
import type { Sha256 } from '../../src/model.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import type { TrustedDelta } from '../../src/verify/deltas.ts';
import { noSignal } from '../support/bundles.ts';
import { type Attempt, attempt, type DeltaHost, deltaHost, holds, RIGHT } from '../support/delta-host.ts';
import { BLOCK, blocksFile, buildRelease, type DeltaFile, patchFile, rootImage } from '../support/delta-releases.ts';
import { memorySource } from '../support/sources.ts';

const BLOCKS = 40;
const OLD = await buildRelease('1', rootImage(BLOCKS));
const NEW = await buildRelease(
  '2',
  rootImage(BLOCKS, new Map([...[5, 6, 7, 30].map((at) => [at, 9000 + at] as const)])),
);
const BY_BLOCKS = await blocksFile(OLD, NEW);
const PATCH = await patchFile(OLD, NEW);
const FULL = NEW.manifest.images.reduce((sum, { blob, frames }) => sum + blob.size + frames.size, 0);

/** What was warned of. */
function listener() {
  const warnings: Record<string, unknown>[] = [];
  const log = { ...silentLog, warn: (facts: Record<string, unknown>) => void warnings.push(facts) } as Log;
  return { warnings, log };
}

const changed = (file: DeltaFile, change: Partial<TrustedDelta>): DeltaFile => ({
  ...file,
  delta: { ...file.delta, ...change },
});

/** Whose bytes are not those that were signed. */
const broken = (file: DeltaFile): DeltaFile => ({ ...file, bytes: file.bytes.map((byte) => byte ^ 0x55) });

async function endsRight(host: DeltaHost, how: Attempt = {}): ReturnType<typeof attempt> {
  const counts = await attempt(host, how);
  assert.deepEqual(await holds(host), RIGHT);
  return counts;
}

test('of the cache of deltas the heads and leaves of those on offer are kept, and nothing else', async () => {
  let kept: readonly string[] = [];
  const cache = {
    keepOnly: async (names: readonly string[]) => {
      await new Promise(setImmediate);
      kept = names;
    },
  };
  const install = { world: { cache }, deltas: [PATCH.delta, BY_BLOCKS.delta], slot: {}, signal: noSignal };
  assert.equal(await installDelta(install as unknown as DeltaInstall), false);
  const heads = [PATCH.delta.head.sha256, BY_BLOCKS.delta.head.sha256];
  assert.deepEqual(
    kept,
    heads.flatMap((sha256) => [`${sha256}.head`, `${sha256}.leaves`]),
  );
});

test('without a delta the running system is not so much as opened; otherwise all that is opened is closed', async () => {
  for (const [deltas, wanted] of [
    [[], []],
    [[BY_BLOCKS], ['opened running', 'opened blocks', 'closed blocks', 'closed running']],
    [
      [broken(PATCH), BY_BLOCKS],
      ['opened running', 'opened patch', 'closed patch', 'opened blocks', 'closed blocks', 'closed running'],
    ],
  ] as const) {
    const seen: string[] = [];
    await endsRight(deltaHost(OLD, NEW, deltas), { handled: (what, kind) => void seen.push(`${what} ${kind}`) });
    assert.deepEqual(seen, wanted);
  }
});

test('the smallest patch comes first, then larger ones, then blocks, and the full image at last', async () => {
  const { size } = PATCH.delta;
  const larger = broken(changed(PATCH, { size: size + 10 }));
  const counts = await endsRight(deltaHost(OLD, NEW, [larger, BY_BLOCKS, PATCH]));
  assert.deepEqual([counts.tier, counts.fallen], ['patch', []]);
  assert.deepEqual(counts.choices, [
    { tier: 'patch', bytes: size },
    { tier: 'patch', bytes: size + 10 },
    { tier: 'blocks', bytes: BY_BLOCKS.delta.head.size, atLeast: true },
    { tier: 'full', bytes: FULL },
  ]);
});

test('a delta that is as large as the full image is no way, and one that is a byte smaller is', async () => {
  for (const [size, tiers] of [
    [FULL, ['full']],
    [FULL - 1, ['patch', 'blocks', 'full']],
  ] as const) {
    const { head } = BY_BLOCKS.delta;
    const deltas = [changed(PATCH, { size }), broken(changed(BY_BLOCKS, { head: { ...head, size } }))];
    const { choices } = await endsRight(deltaHost(OLD, NEW, deltas));
    assert.deepEqual(
      choices?.map(({ tier }) => tier),
      tiers,
    );
  }
});

test('a patch is taken for exactly the root image and the kernel image that run here', async () => {
  const { from } = PATCH.delta;
  assert.ok(from);
  const { uki: _, ...anyKernel } = from;
  for (const [made, tier] of [
    [from, 'patch'],
    [anyKernel, 'patch'],
    [{ ...from, uki: '0'.repeat(64) as Sha256 }, 'full'],
    [{ ...from, rootHash: '0'.repeat(64) as Sha256 }, 'full'],
  ] as const) {
    const counts = await endsRight(deltaHost(OLD, NEW, [changed(PATCH, { from: made })]));
    assert.deepEqual([counts.tier, counts.fallen], [tier, []]);
  }
});

test('a file for any older system is none that was made for this one, whatever it says of where it comes from', async () => {
  const { from } = PATCH.delta;
  assert.ok(from);
  const { choices, tier } = await endsRight(deltaHost(OLD, NEW, [changed(BY_BLOCKS, { from })]));
  assert.deepEqual([choices?.map((one) => one.tier), tier], [['blocks', 'full'], 'blocks']);
});

test('a sound system is put together without a warning, and what is fetched is told beforehand', async () => {
  for (const file of [PATCH, BY_BLOCKS]) {
    const { warnings, log } = listener();
    const bytes = new Map<string, number>();
    const fetched = (kind: string, count: number): void => void bytes.set(kind, (bytes.get(kind) ?? 0) + count);
    const counts = await endsRight(deltaHost(OLD, NEW, [file]), { log, fetched });
    // The manifest, and no frame of the kernel image but those that are new.
    assert.ok((bytes.get('bundle') ?? 0) < NEW.uki.length / 2, `${bytes.get('bundle')} bytes of the bundle came`);
    assert.deepEqual([warnings, counts.planned?.from], [[], file.delta.kind]);
    assert.ok(counts.fetched > 0 && counts.fetched < FULL, String(counts.fetched));
  }
});

test('what one tier has written is kept by the next, and at first nothing is looked for in an empty slot', async () => {
  const host = deltaHost(OLD, NEW, [PATCH, BY_BLOCKS]);
  const breaking: Attempt['tamper'] = (source, kind) => ({
    ...source,
    open: async function* (offset, signal, end) {
      let at = offset;
      for await (const bytes of source.open(offset, signal, end)) {
        at += bytes.length;
        if (kind === 'patch' && at === source.size) throw new UpdateError('not-found-on-server');
        yield bytes;
      }
    },
  });
  const counts = await endsRight(host, { tamper: breaking });
  assert.deepEqual(
    counts.fallen.map(({ tier }) => tier),
    ['patch'],
  );
  assert.ok(counts.kept > 0, 'nothing was kept');
  const order: string[] = [];
  await endsRight(deltaHost(OLD, NEW, [BY_BLOCKS]), {
    free: (root) => ({
      ...root,
      read: (at, length) => {
        order.push('read');
        return root.read(at, length);
      },
      write: (at, bytes) => {
        order.push('write');
        return root.write(at, bytes);
      },
    }),
  });
  assert.ok(order.indexOf('write') <= 1, `${order.indexOf('write')} reads before the first write`);
});

for (const [what, wrong, damage] of [
  [
    'one block of the root image',
    [{ wrong: 1, first: 20 }],
    (host: DeltaHost) => host.storage.disk.write(20 * BLOCK + 9, Uint8Array.of(1, 2, 3)),
  ],
  [
    // It is read whole before anything is copied from it.
    'the kernel image',
    [],
    (host: DeltaHost) =>
      host.storage.files.write('/efi/EFI/Linux/shop_1.efi', [
        OLD.uki.map((byte, at) => (at === 5 * BLOCK ? byte ^ 1 : byte)),
      ]),
  ],
] as const)
  test(`${what} that is damaged where it is copied from is fetched, and the tier goes on`, async () => {
    const host = deltaHost(OLD, NEW, [BY_BLOCKS]);
    await damage(host);
    const { warnings, log } = listener();
    const counts = await endsRight(host, { log });
    assert.deepEqual([counts.tier, counts.fallen], ['blocks', []]);
    assert.deepEqual(warnings, wrong);
  });

test('a slot that loses a single block which was written twice is given up by the tier', async () => {
  const host = deltaHost(OLD, NEW, [BY_BLOCKS]);
  const lost = 2 * host.partition + 12 * BLOCK;
  const { warnings, log } = listener();
  const free: Attempt['free'] = (root) => ({
    ...root,
    read: async (at, length) => {
      if (at + 2 * host.partition <= lost) await host.storage.disk.write(lost, new Uint8Array(BLOCK));
      return root.read(at, length);
    },
  });
  await assert.rejects(attempt(host, { log, free }), { code: 'read-back-mismatch' });
  assert.deepEqual(
    warnings.map(({ wrong, code }) => wrong ?? code),
    [1, 'delta-root-mismatch'],
  );
});

test('whatever is wrong with the running system, the full image does it, and why is told', async () => {
  for (const [offset, damage, code] of [
    [0, new Uint8Array(BLOCK), 'tree-unknown'],
    // Its salt.
    [88, Uint8Array.of(1, 2, 3), 'delta-unsupported'],
  ] as const) {
    const host = deltaHost(OLD, NEW, [PATCH, BY_BLOCKS]);
    await host.storage.disk.write(host.partition + offset, damage);
    const { warnings, log } = listener();
    const counts = await endsRight(host, { log });
    assert.deepEqual([counts.tier, counts.fallen, counts.choices], ['full', [], undefined]);
    assert.deepEqual(warnings, [{ code }]);
  }
});

test('where nothing runs that a release can be put together from, that is no fault', async () => {
  const { warnings, log } = listener();
  const counts = await endsRight(deltaHost(OLD, NEW, [PATCH, BY_BLOCKS]), { log, isBare: true });
  assert.deepEqual([counts.tier, counts.choices, warnings], ['full', undefined, []]);
});

test('who is told to stop while the running system or a tier is read begins nothing else', async () => {
  for (const at of ['running', 'tier'] as const) {
    const stop = new AbortController();
    const fetched = new Set<string>();
    const fail = (): never => {
      stop.abort();
      throw new UpdateError('delta-mismatch');
    };
    const host = deltaHost(OLD, NEW, [PATCH, BY_BLOCKS]);
    const { warnings, log } = listener();
    const how: Attempt = {
      log,
      signal: stop.signal,
      fetched: (kind) => void fetched.add(kind),
      handled: (_, kind) => {
        if (at === 'running' && kind === 'running') stop.abort();
      },
      tamper: (source, kind) => (at === 'tier' && kind === 'patch' ? { ...source, open: fail } : source),
    };
    await assert.rejects(attempt(host, how), { name: 'AbortError' });
    assert.deepEqual([fetched.has('blocks'), warnings], [false, []]);
  }
});

const NOBODY = ['server-unreachable', 'server-timeout', 'server-slow', 'server-busy', 'tls-untrusted', 'proxy-auth'];
const HERE = ['disk-write-error', 'esp-full', 'state-unwritable', 'config-invalid', 'interrupted'];
const ELSEWHERE = [
  'not-found-on-server',
  'server-no-ranges',
  'delta-mismatch',
  'delta-root-mismatch',
  'metadata-invalid',
];

for (const code of [...NOBODY, ...HERE, ...ELSEWHERE, undefined] as readonly (ErrorCode | undefined)[]) {
  const falls = code === undefined || ELSEWHERE.includes(code);
  test(`a patch that ends with ${code ?? 'what nobody knows'} ${falls ? 'leads to the next tier' : 'ends the attempt'}`, async () => {
    const error = code ? new UpdateError(code) : new Error('bits fell out');
    const host = deltaHost(OLD, NEW, [PATCH, BY_BLOCKS]);
    const deltas = new Map([PATCH, BY_BLOCKS].map(({ delta, bytes }) => [delta, memorySource(bytes)]));
    const find: Attempt['find'] = async () => ({
      source: memorySource(NEW.bundle),
      expected: NEW.expected,
      deltas: [...deltas.keys()],
      openDelta: async (delta) => {
        const source = deltas.get(delta);
        if (delta.kind === 'patch' || !source) throw error;
        return { source, mirrors: [source] };
      },
    });
    const { warnings, log } = listener();
    if (!falls) return assert.rejects(attempt(host, { find, log }), error);
    const counts = await endsRight(host, { find, log });
    assert.deepEqual([counts.tier, counts.fallen], ['blocks', [{ tier: 'patch', code: code ?? 'unexpected' }]]);
    assert.deepEqual(warnings, [{ tier: 'patch', code: code ?? 'unexpected' }]);
  });
}
