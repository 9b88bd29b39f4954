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
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Cost, measured } from './measured.ts';
import { imageOf, type Release } from './pairs.ts';
import { PEERS, type Peer } from './peers.ts';

export type Pair = Readonly<{ from: Release; to: Release }>;
export type Published = Readonly<{ dir: string; cost: Cost; bytes: number }>;

/** The artifacts of a release, or undefined when they are not kept and `make` is false. `programs` is the folder with Tandem as single files. */
export async function published(peer: Peer, pair: Pair, programs: string, make = true): Promise<Published | undefined> {
  const inputs = {
    NEW: await imageOf(pair.to, peer.format),
    ...(peer.serves === 'everyone' ? {} : { OLD: await imageOf(pair.from, peer.format) }),
  };
  const dir = join(cacheFolder(), keyOf(peer, inputs, programs));
  const account = join(dir, '.cost.json');
  if (!existsSync(account)) {
    if (!make) return undefined;
    const used = peer.uses === undefined || peer.uses === peer.id ? {} : await usedBy(peer, pair, programs);
    await publish(peer, { ...inputs, ...used, ...places(programs) }, dir);
  }
  const cost = JSON.parse(readFileSync(account, 'utf8')) as Cost;
  return { dir, cost, bytes: folderSize(dir) };
}

/** The artifacts that the peer builds upon, as USES and USES_OLD. */
export async function usedBy(peer: Peer, pair: Pair, programs: string): Promise<Record<string, string>> {
  const base = PEERS.find(({ id }) => id === peer.uses);
  if (!base) return {};
  const newer = await published(base, pair, programs);
  const older = await published(base, { from: pair.from, to: pair.from }, programs);
  return { USES: newer?.dir ?? '', USES_OLD: older?.dir ?? '' };
}

/** Where the scripts that peers.ts calls find things. */
export const places = (programs: string): Record<string, string> => ({
  PEERS: PEER_SCRIPTS,
  PROGRAMS: programs,
  NODE: process.execPath,
});

const PEER_SCRIPTS = join(import.meta.dirname, 'peers');
async function publish(peer: Peer, env: Readonly<Record<string, string>>, dir: string): Promise<void> {
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), '.work-'));
  try {
    const cost = await measured(peer.publish, env, work);
    writeFileSync(join(work, '.cost.json'), JSON.stringify(cost));
    renameSync(work, dir);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Beside the trees, wherever those are kept. */
function cacheFolder(): string {
  const root = process.env['TANDEM_CACHE'] ?? '/var/cache/tandem';
  return join(root, 'bench-artifacts');
}

/** Made of all that decides the bytes of the artifacts, Tandem's own code among it. */
function keyOf(peer: Peer, inputs: Readonly<Record<string, string>>, programs: string): string {
  const hash = createHash('sha256').update(peer.publish);
  const parts = ['tandem', 'rauc', 'swupdate']
    .filter((name) => peer.publish.includes(`/${name}"`))
    .map((name) => join(PEER_SCRIPTS, name));
  if (peer.id.startsWith('tandem-')) parts.push(join(programs, 'tandem-once.js'));
  for (const part of parts) hash.update(readFileSync(part));
  // Other methods make the same artifact whatever the old release was.
  const images =
    peer.serves === 'any' && !peer.id.startsWith('tandem-') ? [inputs['NEW'] ?? ''] : Object.values(inputs);
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

/** A link leads to what another method is charged for. */
function folderSize(dir: string): number {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name !== '.cost.json')
    .map((name) => lstatSync(join(dir, name)))
    .reduce((sum, about) => sum + (about.isFile() ? about.size : 0), 0);
}
