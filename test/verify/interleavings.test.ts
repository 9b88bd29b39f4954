/**
 * Two publishers that do not see each other's processes, each in a PID namespace of its own, killed at every step, while a host polls.
 * `N=1000 SEED=7` plays a thousand interleavings of another kind.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { generateKey, localSigner } from '../../src/verify/keys.ts';
import { ROLE_NAMES } from '../../src/verify/names.ts';
import { refreshRepository, releasesIn } from '../../src/verify/publish/publisher.ts';
import { channelDocument, readRepository } from '../../src/verify/publish/repository.ts';
import { type Dice, dice } from '../support/dice.ts';
import { channelOf, type Deed, nameOf, offerOf } from '../support/publishing-deeds.ts';
import { quickFiles, TestRepository } from '../support/tuf-repository.ts';

const TIMES = Number(process.env['N'] ?? 10);
const SEED = Number(process.env['SEED'] ?? 1);
const PUBLISHER = new URL('../bin/publisher.ts', import.meta.url).pathname;
const UNSHARE = ['--pid', '--fork', '--kill-child', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])];
const hasNamespaces = spawnSync('unshare', [...UNSHARE, 'true']).status === 0;

const template = new TestRepository();
const keys: string[] = [];
for (const role of ROLE_NAMES) {
  const key = generateKey();
  keys.push(key.export({ type: 'pkcs8', format: 'pem' }).toString());
  template.keys[role] = [localSigner(key)];
}
await template.init();
for (const one of ['1.0', '2.0']) await template.add(one);
await template.promote('1.0');
writeFileSync(join(template.top, 'keys.json'), JSON.stringify(keys));
after(() => template[Symbol.dispose]());

/** What was said of a deed: the version that the timestamp had when the lock was taken, and how it ended. */
type Told = Readonly<{ deed: Deed; began?: number; ended: string; after?: number }>;

type Said = Readonly<{ pid?: number; namespace?: string; began?: number; ended?: string; after?: number }>;

/** A publisher in a namespace of its own. */
class Process {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  readonly born: Promise<Said>;

  constructor() {
    // The first process of a namespace cannot kill itself.
    const program = [
      'sh',
      '-c',
      '("$0" "$@" 2>&3); exit $?',
      process.execPath,
      PUBLISHER,
      join(template.top, 'keys.json'),
    ];
    this.child = spawn('unshare', [...UNSHARE, ...program], { stdio: ['pipe', 'pipe', 'ignore', 2] });
    this.child.stdin?.on('error', () => {});
    this.lines = createInterface({ input: this.child.stdout ?? assert.fail() })[Symbol.asyncIterator]();
    this.born = this.next();
  }

  async do(dir: string, deed: Deed): Promise<Told> {
    this.child.stdin?.write(`${JSON.stringify({ dir, deed })}\n`);
    let began: Pick<Told, 'began'> = {};
    for (;;) {
      const { began: version, ended, after: then } = await this.next();
      if (version !== undefined) began = { began: version };
      else if (ended !== undefined) return { deed, ...began, ended, ...(then ? { after: then } : {}) };
      else return { deed, ...began, ended: 'killed' };
    }
  }

  async end(): Promise<void> {
    this.child.stdin?.end();
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }

  /** Nothing once it is dead. */
  private async next(): Promise<Said> {
    const { value, done } = await this.lines.next();
    return done ? {} : (JSON.parse(value) as Said);
  }
}

/** One of the two: whoever was killed is followed by another process, which is started beforehand. */
class Side {
  private current = new Process();
  private spare = new Process();

  async do(dir: string, deed: Deed): Promise<Told> {
    await this.current.born;
    const told = await this.current.do(dir, deed);
    if (told.ended === 'killed') {
      const dead = this.current;
      this.current = this.spare;
      this.spare = new Process();
      await dead.end();
    }
    return told;
  }

  born = (): Promise<Said> => this.current.born;

  async end(): Promise<void> {
    await Promise.all([this.spare.born, this.current.born]);
    await Promise.all([this.current.end(), this.spare.end()]);
  }
}

function deedFrom(chance: Dice): Deed {
  const what = (['promote', 'promote', 'add', 'refresh'] as const)[chance.roll(4)] ?? 'refresh';
  const dies = chance.chance(0.4) ? chance.roll(22) : Number.POSITIVE_INFINITY;
  return { what, which: chance.roll(10), dies, speed: 1 + chance.roll(9) };
}

/** In the order in which the lock was held: whoever was killed before the timestamp came before whoever found it unchanged. */
function inOrder(told: readonly Told[], last: number): (Told & Readonly<{ isPublished: boolean }>)[] {
  const rank = ({ began = 0, ended, after: then = began }: Told): number =>
    ended === 'killed' ? began - 0.5 : then - 0.25;
  const held = told.filter(({ began }) => began !== undefined);
  const sorted = held.toSorted((one, other) => (one.began ?? 0) - (other.began ?? 0) || rank(one) - rank(other));
  return sorted.map((one, index) => {
    const next = sorted[index + 1]?.began ?? last;
    return { ...one, isPublished: one.ended === 'done' || next > (one.began ?? 0) };
  });
}

/** Throws where something that was published is lost; how many were killed when all was published. */
async function mustBeWhole(repository: TestRepository, told: readonly Told[]): Promise<number> {
  const state = await readRepository(quickFiles, repository.dir);
  const expected = new Map([['stable', '1.0']]);
  const added = new Set(['1.0', '2.0']);
  const story = JSON.stringify(told);
  const ordered = inOrder(told, state.timestamp.document.signed.version);
  for (const { deed, isPublished } of ordered) {
    if (!isPublished) continue;
    if (deed.what === 'promote') expected.set(channelOf(deed), offerOf(deed));
    if (deed.what === 'add') added.add(nameOf(deed));
  }
  for (const name of added)
    assert.ok(
      releasesIn(state).some(({ version }) => version === name),
      `${name} is lost: ${story}`,
    );
  for (const [channel, version] of expected) {
    const document = await channelDocument({ files: quickFiles, dir: repository.dir }, state, channel);
    assert.equal(document?.version, version, `${channel}: ${story}`);
  }
  return ordered.filter(({ ended, isPublished }) => ended === 'killed' && isPublished).length;
}

async function interleaving(sides: readonly Side[], chance: Dice, total: Record<string, number>): Promise<void> {
  using repository = template.copy();
  const host = repository.host();
  const told: Told[] = [];
  let isOver = false;
  const lists = sides.map(() => Array.from({ length: 1 + chance.roll(3) }, () => deedFrom(chance)));
  const work = async (side: Side, deeds: readonly Deed[]): Promise<void> => {
    for (const deed of deeds) told.push(await side.do(repository.dir, deed));
  };
  const poll = async (): Promise<void> => {
    for (; !isOver; total['polls'] = (total['polls'] ?? 0) + 1) assert.equal(await host.refused(), 'accepted');
  };
  const both = Promise.all(sides.map((side, index) => work(side, lists[index] ?? [])));
  await Promise.all([poll(), both.finally(() => (isOver = true))]);
  for (const { ended } of told) {
    assert.ok(['done', 'killed', 'release-exists'].includes(ended), `${ended}: ${JSON.stringify(told)}`);
    total[ended] = (total[ended] ?? 0) + 1;
  }
  total['killed at last'] = (total['killed at last'] ?? 0) + (await mustBeWhole(repository, told));
  await refreshRepository(repository.publisher());
  assert.equal(await host.refused(), 'accepted');
  assert.equal(await repository.host('another').refused(), 'accepted');
}

test('two publishers in PID namespaces of their own, killed at any step: nothing that was signed is lost, and no host is stuck', {
  skip: !hasNamespaces,
}, async (t) => {
  const total: Record<string, number> = {};
  const sides = [new Side(), new Side()];
  try {
    const [one, other] = await Promise.all(sides.map((side) => side.born()));
    assert.notEqual(one?.namespace, other?.namespace);
    assert.ok((one?.pid ?? 99) < 10 && (other?.pid ?? 99) < 10, 'each is among the first processes of its namespace');
    for (let times = 0; times < TIMES; times++) {
      await interleaving(sides, dice(SEED * 1_000_003 + times), total).catch((cause: unknown) => {
        throw new Error(`SEED=${SEED}, interleaving ${times}`, { cause });
      });
      if (times % 100 === 99) t.diagnostic(`${times + 1}: ${JSON.stringify(total)}`);
    }
  } finally {
    await Promise.all(sides.map((side) => side.end()));
  }
  t.diagnostic(`${TIMES} interleavings with SEED=${SEED}: ${JSON.stringify(total)}`);
  assert.ok(Number(total['done']) > TIMES && Number(total['killed']) > 0 && Number(total['polls']) > TIMES);
});
