/** Two publishers at once: nothing that was signed is lost, and no host that polled in between is stuck. `N=50` plays fifty times as many. */

import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { asUpdateError } from '../../src/errors.ts';
import type { Version } from '../../src/model.ts';
import { takeLock } from '../../src/system/process/lock-file.ts';
import { promote } from '../../src/verify/publish/channels.ts';
import type { Alone, Publisher } from '../../src/verify/publish/publish.ts';
import { addBundle, refreshRepository, releasesIn } from '../../src/verify/publish/publisher.ts';
import { recoverRepository } from '../../src/verify/publish/recover.ts';
import { channelDocument, readRepository } from '../../src/verify/publish/repository.ts';
import { Cut } from '../support/failing-files.ts';
import {
  channelOf,
  type Deed,
  type Lock,
  nameOf,
  offerOf,
  perform,
  slowFiles,
  taken,
} from '../support/publishing-deeds.ts';
import { alone, facts, oneChunk, quickFiles, TestRepository } from '../support/tuf-repository.ts';

const TIMES = Number(process.env['N'] ?? 1);

const template = await new TestRepository().init();
for (const one of ['1.0', '2.0']) await template.add(one);
await template.promote('1.0');
after(() => template[Symbol.dispose]());

const addThird = (publisher: Publisher) =>
  addBundle(publisher, { bytes: oneChunk('three'), check: async () => facts('3.0') }, alone(publisher));

async function offered(repository: TestRepository, channel = 'stable'): Promise<string | undefined> {
  const place = { files: quickFiles, dir: repository.dir };
  return (await channelDocument(place, await readRepository(quickFiles, repository.dir), channel))?.version;
}

const published = async (repository: TestRepository): Promise<readonly string[]> =>
  releasesIn(await readRepository(quickFiles, repository.dir)).map(({ version }) => version);

test('a publisher whose lock others do not see publishes nothing over what came meanwhile', async () => {
  using repository = template.copy();
  let isDone = false;
  // The first folder is made once the repository has been read.
  const makeDir = async (dir: string): Promise<void> => {
    if (!isDone) await repository.promote('2.0');
    isDone = true;
    return quickFiles.makeDir(dir);
  };
  const late = addThird(repository.publisher({ files: { ...quickFiles, makeDir } }));
  await assert.rejects(late, { code: 'repository-changed' });
  assert.equal(await offered(repository), '2.0');
  assert.deepEqual(await published(repository), ['1.0', '2.0']);
  await addThird(repository.publisher());
  assert.deepEqual([await offered(repository), await published(repository)], ['2.0', ['1.0', '2.0', '3.0']]);
});

/** What an `add` that knew nothing of a promote, and of many refreshes, left behind when nothing stopped it. */
async function damaged(): Promise<Readonly<{ repository: TestRepository; host: ReturnType<TestRepository['host']> }>> {
  const repository = template.copy();
  using other = repository.copy();
  await repository.promote('2.0');
  await repository.promote('2.0', 'edge');
  for (let times = 0; times < 5; times++) await refreshRepository(repository.publisher());
  const host = repository.host();
  assert.equal((await (await host.poll()).channel('stable')).version, '2.0');
  await addThird(other.publisher());
  cpSync(other.dir, repository.dir, { recursive: true });
  assert.equal(await offered(repository), '1.0', 'the promote is lost');
  return { repository, host };
}

test('a repository in which a promote was lost is cured without an offline key: the promote is back, and no host is stuck', async () => {
  const { repository: lost, host } = await damaged();
  using repository = lost;
  await refreshRepository(repository.publisher());
  assert.equal(await host.refused(), 'metadata-rollback');
  const signers = [...repository.keys.snapshot, ...repository.keys.timestamp];
  const recovered = await recoverRepository(repository.publisher({ signers }));
  assert.deepEqual(
    recovered.map(({ role, was, is }) => [role, is - was]),
    [['channels', 2]],
  );
  const trusted = await host.poll();
  assert.equal((await trusted.channel('stable')).version, '2.0');
  assert.equal(trusted.releases().length, 3);
  await repository.promote('3.0');
  assert.equal((await (await host.poll()).channel('stable')).version, '3.0');
});

test('without the cure the next publisher of the lost role goes above what hosts have seen', async () => {
  const { repository: lost, host } = await damaged();
  using repository = lost;
  await repository.promote('3.0');
  for (let times = 0; times < 10; times++) await refreshRepository(repository.publisher());
  assert.equal((await (await host.poll()).channel('stable')).version, '3.0');
});

test('only what the keys of a role have signed drives its versions up', async () => {
  using repository = template.copy();
  using stranger = await new TestRepository().init();
  await stranger.edit('releases', (signed) => {
    signed.version = 999_999_999;
  });
  const before = repository.versionOf('releases');
  cpSync(stranger.path('releases'), join(repository.dir, 'metadata/999999999.releases.json'));
  await addThird(repository.publisher());
  assert.equal((await readRepository(quickFiles, repository.dir)).releases.document.signed.version, before + 1);
});

test('a cure that would offer what is not there is refused', async () => {
  const { repository: lost } = await damaged();
  using repository = lost;
  const { unused } = await readRepository(quickFiles, repository.dir);
  const { targets } = JSON.parse(String(unused.get('channels')?.bytes)).signed;
  const { hashes } = targets['channels/stable.json'];
  await quickFiles.remove(join(repository.dir, `targets/channels/${hashes.sha256}.stable.json`));
  await assert.rejects(recoverRepository(repository.publisher()), { code: 'repository-damaged' });
});

type Ended = 'done' | 'killed' | 'refused';

/** One publisher does its deeds, each as the only one; what became of each. */
async function work(
  repository: TestRepository,
  deeds: readonly Deed[],
  take: Lock,
  told: (deed: Deed, ended: Ended) => void,
): Promise<void> {
  for (const deed of deeds) {
    await using _ = await taken(take, join(repository.dir, '.publisher.lock'));
    const files = slowFiles(deed, () => Promise.reject(new Cut('killed')));
    const one = repository.publisher({ files });
    const ended = await perform(deed, one, alone(one)).then(
      () => 'done' as const,
      (error: unknown) => {
        if (error instanceof Cut) return 'killed';
        const { code } = asUpdateError(error);
        assert.ok(['repository-changed', 'release-exists'].includes(code), String(error));
        return 'refused';
      },
    );
    told(deed, ended);
  }
}

const anyDeed: fc.Arbitrary<Deed> = fc.record({
  what: fc.constantFrom('promote', 'promote', 'add', 'refresh'),
  which: fc.nat(9),
  dies: fc.oneof({ weight: 2, arbitrary: fc.constant(Number.POSITIVE_INFINITY) }, fc.nat(14)),
  speed: fc.integer({ min: 1, max: 9 }),
});
const anyDeeds = fc.array(anyDeed, { minLength: 1, maxLength: 5 });

/** Both at work, and a host that polls all the while. Throws where something signed was lost, or the host is stuck. */
async function played(
  one: readonly Deed[],
  other: readonly Deed[],
  take: Lock,
): Promise<Record<Ended | 'polls', number>> {
  using repository = template.copy();
  const added = new Set<string>();
  const channels = new Map<string, Set<string>>();
  const seen = { done: 0, killed: 0, refused: 0, polls: 0 };
  let over = false;
  const told = (deed: Deed, ended: Ended): void => {
    seen[ended] += 1;
    if (deed.what === 'add' && ended === 'done') added.add(nameOf(deed));
    if (deed.what !== 'promote' || ended === 'refused') return;
    const may =
      ended === 'done'
        ? new Set<string>()
        : (channels.get(channelOf(deed)) ?? new Set([deed.which % 2 === 0 ? '1.0' : 'none']));
    channels.set(channelOf(deed), may.add(offerOf(deed)));
  };
  const host = repository.host();
  const follow = async (): Promise<void> => {
    for (; !over; seen.polls++) assert.equal(await host.refused(), 'accepted');
  };
  const both = Promise.all([work(repository, one, take, told), work(repository, other, take, told)]);
  await Promise.all([follow(), both.finally(() => (over = true))]);
  const releases = await published(repository);
  for (const name of added) assert.ok(releases.includes(name), `${name} is lost`);
  for (const [channel, may] of channels)
    assert.ok(may.has((await offered(repository, channel)) ?? 'none'), `${channel} offers what nobody said last`);
  await refreshRepository(repository.publisher());
  assert.equal(await host.refused(), 'accepted');
  return seen;
}

test('whoever works at the same time, and whoever is killed at which step: what was published stays, and hosts follow', async (t) => {
  const total: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(anyDeeds, anyDeeds, async (one, other) => {
      for (const [what, times] of Object.entries(await played(one, other, takeLock)))
        total[what] = (total[what] ?? 0) + times;
    }),
    { numRuns: 20 * TIMES },
  );
  t.diagnostic(JSON.stringify(total));
  assert.ok(Number(total['done']) > 20 && Number(total['killed']) > 0);
});

test('where there is no lock something is lost now and then, and that is noticed', async () => {
  const nobody: Lock = async () => ({ [Symbol.asyncDispose]: async () => {} });
  const { failed } = await fc.check(
    fc.asyncProperty(anyDeeds, anyDeeds, async (one, other) => void (await played(one, other, nobody))),
    { numRuns: 300, endOnFailure: true },
  );
  assert.ok(failed);
});

test('while a bundle is copied and checked, others publish: an emergency stop does not wait for it', async () => {
  using repository = template.copy();
  const lock = join(repository.dir, '.publisher.lock');
  const one = repository.publisher();
  const inTurn: Alone = async (task) => {
    await using _ = await taken(takeLock, lock);
    return await task(one);
  };
  const check = async () => {
    await inTurn((publisher) => promote(publisher, { channel: 'stable', version: '2.0' as Version }));
    await addBundle(one, { bytes: oneChunk('four'), check: async () => facts('4.0') }, inTurn);
    return facts('3.0');
  };
  await addBundle(one, { bytes: oneChunk('three'), check }, inTurn);
  assert.deepEqual([await offered(repository), await published(repository)], ['2.0', ['1.0', '2.0', '4.0', '3.0']]);
});
