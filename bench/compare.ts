/**
 * Brings the same release to a slot by every method in turn, and writes down what each cost.
 * usage: node bench/compare.ts [--rounds N] [--only id,…] [--pairs v1-v2,v2-v3] [--slow] [--publish-only] [--no-record]   (as root: loop devices)
 */

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleInto } from '../packaging/single-file.ts';
import { median } from './figures.ts';
import { measured } from './measured.ts';
import { serveDirectory } from './nginx.ts';
import { imageOf, type Release } from './pairs.ts';
import { PEERS, type Peer, YARDSTICK } from './peers.ts';
import { type Pair, type Published, places, published, usedBy } from './published.ts';
import { aligned, type Round, type Row, record, TRANSFER } from './results.ts';
import { holds, slot, wipe } from './slots.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
    pairs: { type: 'string', default: 'v1-v2,v2-v3' },
    slow: { type: 'boolean', default: false },
    'publish-only': { type: 'boolean', default: false },
    'no-record': { type: 'boolean', default: false },
  },
});
const only = values.only?.split(',');
const chosen = PEERS.filter(({ id }) => only === undefined || only.includes(id) || id === YARDSTICK);

// What is under way comes to its end, and gives its devices and folders back.
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(new Error(signal)));

const programs = mkdtempSync(join(tmpdir(), 'tandem-programs-'));
try {
  for (const name of ['tandem-once', 'delta-once'])
    await bundleInto(join(import.meta.dirname, `${name}.ts`), join(programs, `${name}.js`));
  for (const text of values.pairs.split(',')) {
    const [from, to] = text.split('-') as [Release, Release];
    await compare({ from, to });
  }
} catch (error) {
  if (error !== stop.signal.reason) throw error;
  console.log('stopped');
  process.exitCode = 130;
} finally {
  rmSync(programs, { recursive: true, force: true });
}

type Contender = Readonly<{
  peer: Peer;
  published: Published;
  used: Readonly<Record<string, string>>;
  rounds: Round[];
}>;

async function compare(pair: Pair): Promise<void> {
  const contenders: Contender[] = [];
  for (const peer of chosen) {
    stop.signal.throwIfAborted();
    const ready = await prepare(peer, pair);
    if (ready) contenders.push(ready);
  }
  if (values['publish-only']) return;
  for (let round = 1; round <= Number(values.rounds); round++)
    for (const contender of contenders) {
      stop.signal.throwIfAborted();
      await take(contender, pair, round);
    }
  const measuredOnes = contenders.filter(({ rounds }) => rounds.length > 0);
  const yardstick = median(
    measuredOnes.find(({ peer }) => peer.id === YARDSTICK)?.rounds.map(({ seconds }) => seconds) ?? [],
  );
  const rows = measuredOnes.map((contender) => rowOf(contender, pair, yardstick));
  console.log(`\n${pair.from} → ${pair.to}\n${aligned(rows, TRANSFER)}\n`);
  if (!values['no-record']) record(rows);
}

async function prepare(peer: Peer, pair: Pair): Promise<Contender | undefined> {
  try {
    const ready = await published(peer, pair, programs, !peer.slow || values.slow);
    if (!ready) {
      console.log(`${peer.id}: not published yet; --slow --only ${peer.id} does it once`);
      return undefined;
    }
    const used = await usedBy(peer, pair, programs);
    console.log(
      `${peer.id} ${pair.from}→${pair.to}: published in ${ready.cost.seconds.toFixed(1)} s, ${(ready.bytes / 1e6).toFixed(2)} MB`,
    );
    return { peer, published: ready, used, rounds: [] };
  } catch (error) {
    console.log(`${peer.id} cannot publish here: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** One update in one round; a method that fails says so and is left out of the tables. */
async function take(contender: Contender, pair: Pair, round: number): Promise<void> {
  const { peer, rounds } = contender;
  const work = mkdtempSync(join(tmpdir(), 'tandem-bench-'));
  try {
    const image = await imageOf(pair.to, peer.format);
    const { size } = statSync(image);
    using target = slot(join(work, 'slot.disk'), size);
    wipe(target);
    using server = await serveDirectory(contender.published.dir);
    const env = {
      ...places(programs),
      ...contender.used,
      OLD: await imageOf(pair.from, peer.format),
      TARGET: target.device,
      URL: server.url,
      PUBLISHED: contender.published.dir,
      WORK: work,
    };
    if (peer.before !== undefined) await measured(peer.before, env, work);
    const cost = await measured(peer.apply, env, work).finally(() => measured(peer.after ?? 'true', env, work));
    const { bytes, requests } = await server.traffic();
    if (!holds(target, image, size)) throw new Error('the slot does not hold the release afterwards');
    rounds.push({ ...cost, bytes, requests });
    console.log(
      `round ${round}, ${peer.id} ${pair.from}→${pair.to}: ${(bytes / 1e6).toFixed(2)} MB in ${requests} requests, ${cost.seconds.toFixed(2)} s, CPU ${cost.cpuSeconds.toFixed(2)} s, RSS ${(cost.peakRssBytes / 1e6).toFixed(0)} MB`,
    );
  } catch (error) {
    console.log(`${peer.id} cannot install here: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function rowOf({ peer, published: { cost, bytes }, rounds }: Contender, pair: Pair, yardstick: number): Row {
  const { id, name, format, serves, checks } = peer;
  const about = { id, name, format, serves, checks, pair: `${pair.from}-${pair.to}` };
  const date = new Date().toISOString().slice(0, 16);
  return { ...about, date, load: loadavg()[0] ?? 0, yardstick, publish: { ...cost, bytes }, rounds };
}
