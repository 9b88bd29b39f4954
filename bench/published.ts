/** The artifacts of a method, made once from the same images and kept with what making them cost. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Cost, measured } from './measured.ts';
import { imageOf, type Release } from './pairs.ts';
import type { Peer } from './peers.ts';

export type Pair = Readonly<{ from: Release; to: Release }>;
export type Published = Readonly<{ dir: string; cost: Cost; bytes: number }>;

/** The cached artifacts of a release, or undefined when they are not there and `make` is false. */
export async function published(peer: Peer, pair: Pair, make: boolean): Promise<Published | undefined> {
  const images = { NEW: await imageOf(pair.to, peer.format), ...(await oldFor(peer, pair)) };
  const dir = join(cacheFolder(), keyOf(peer, Object.values(images)));
  const account = join(dir, '.cost.json');
  if (!existsSync(account)) {
    if (!make) return undefined;
    await publish(peer, images, dir);
  }
  const cost = JSON.parse(readFileSync(account, 'utf8')) as Cost;
  return { dir, cost, bytes: folderSize(dir) };
}

/** The scripts that peers.ts calls. */
export const PEER_SCRIPTS = join(import.meta.dirname, 'peers');

async function publish(peer: Peer, images: Readonly<Record<string, string>>, dir: string): Promise<void> {
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), '.work-'));
  try {
    const cost = await measured(peer.publish, { ...images, PEERS: PEER_SCRIPTS }, work);
    writeFileSync(join(work, '.cost.json'), JSON.stringify(cost));
    renameSync(work, dir);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Only what is made for a pair may look at the old image. */
const oldFor = async (peer: Peer, pair: Pair): Promise<Record<string, string>> =>
  peer.serves === 'pair' ? { OLD: await imageOf(pair.from, peer.format) } : {};

/** Beside the trees, wherever those are kept. */
function cacheFolder(): string {
  const root = process.env['TANDEM_CACHE'] ?? '/var/cache/tandem';
  return join(root, 'bench-artifacts');
}

function keyOf(peer: Peer, images: readonly string[]): string {
  const hash = createHash('sha256').update(peer.publish);
  const script = join(PEER_SCRIPTS, peer.id);
  if (existsSync(script)) hash.update(readFileSync(script));
  for (const image of images) hash.update(digestOf(image));
  return `${peer.id}-${hash.digest('hex').slice(0, 16)}`;
}

/** Kept beside the image, which nobody changes. */
function digestOf(image: string): string {
  const kept = `${image}.sha256`;
  if (!existsSync(kept))
    writeFileSync(kept, execFileSync('openssl', ['dgst', '-sha256', '-r', image]).toString().slice(0, 64));
  return readFileSync(kept, 'utf8');
}

/** Links count as what they lead to: that is what would lie on the server. */
function folderSize(dir: string): number {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name !== '.cost.json')
    .map((name) => join(dir, name))
    .filter((path) => !lstatSync(path).isDirectory())
    .reduce((sum, path) => sum + statSync(path).size, 0);
}
