/**
 * Full install of one image over loopback HTTP, against the unchecked pipeline `curl | zstd -d | dd oflag=direct conv=fsync`, in turn.
 * usage: node bench/install.ts [--size MiB] [--rounds N] [--workers N]   (as root: it needs loop devices)
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleInto } from '../packaging/single-file.ts';
import { type Figures, median, range } from './figures.ts';
import { makeImage } from './image.ts';
import { serveDirectory } from './nginx.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    workers: { type: 'string', default: '2' },
  },
});
/** What systemd/tandem-agent.service sets. */
const AS_IN_THE_UNIT = {
  NODE_OPTIONS: '--max-semi-space-size=1',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
};
const MiB = 1024 * 1024;
const size = Number(values.size) * MiB;

const dir = mkdtempSync(join(tmpdir(), 'tandem-bench-'));
const program = join(dir, 'install-once.js');
const loops: string[] = [];
try {
  console.log(`image: ${values.size} MiB, ${values.rounds} rounds in turn, ${values.workers} decoding threads`);
  await bundleInto(join(import.meta.dirname, 'install-once.ts'), program);
  const image = join(dir, 'root.img');
  makeImage(image, size);
  sh(`zstd -q -3 -T2 ${image} -o ${dir}/root.img.zst`);
  const bundle = join(dir, 'bench.bundle');
  node('build', image, bundle);
  console.log(
    `plain pipeline: ${mb(statSync(`${dir}/root.img.zst`).size)} MB to fetch; bundle: ${mb(statSync(bundle).size)} MB`,
  );

  const root = loop('root', size + MiB);
  const verity = loop('verity', Math.ceil(size / 100) + MiB);
  using server = await serveDirectory(dir);
  const url = `${server.url}/bench.bundle`;

  const rounds = { pipeline: [] as number[], stream: [] as number[], checked: [] as number[], rss: [] as number[] };
  for (let round = 0; round < Number(values.rounds); round++) {
    rounds.pipeline.push(timed(() => pipeline(`${server.url}/root.img.zst`, root)));
    const once = install(url, root, verity);
    rounds.stream.push(once.streamSeconds);
    rounds.checked.push(once.streamSeconds + once.readBackSeconds);
    rounds.rss.push(once.peakRssBytes);
    console.log(
      `round ${round + 1}: pipeline ${rounds.pipeline.at(-1)?.toFixed(2)} s, installed ${once.streamSeconds.toFixed(2)} s, ` +
        `read back ${once.readBackSeconds.toFixed(2)} s, peak RSS ${mb(once.peakRssBytes)} MB`,
    );
  }
  const ratios = (seconds: readonly number[]): number[] =>
    seconds.map((one, i) => one / (rounds.pipeline[i] ?? Number.NaN));
  const rows: readonly (readonly [string, Figures, string])[] = [
    ['curl | zstd -d | dd oflag=direct conv=fsync', range(rounds.pipeline), 's'],
    ['install, every digest checked in the stream', range(ratios(rounds.stream)), '× the pipeline'],
    ['… and read back past the page cache', range(ratios(rounds.checked)), '× the pipeline'],
    ['peak RSS of the installing process', range(rounds.rss.map((bytes) => bytes / 1e6)), 'MB'],
  ];
  for (const [name, { least, middle, most }, unit] of rows)
    console.log(`${name.padEnd(48)} ${middle.toFixed(2)} ${unit} (${least.toFixed(2)} to ${most.toFixed(2)})`);
  console.log(`temporary disk space: 0 (median RSS ${median(rounds.rss.map((bytes) => bytes / 1e6)).toFixed(0)} MB)`);
} finally {
  for (const device of loops) spawnSync('losetup', ['-d', device]);
  rmSync(dir, { recursive: true, force: true });
}

type Once = Readonly<{ streamSeconds: number; readBackSeconds: number; peakRssBytes: number }>;

/** One install in a process of its own, which tells its own figures. */
function install(url: string, root: string, verity: string): Once {
  return JSON.parse(node('install', url, root, verity, String(values.workers))) as Once;
}

function node(...args: readonly string[]): string {
  const result = spawnSync(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * MiB,
    env: { ...process.env, ...AS_IN_THE_UNIT },
  });
  if (result.status !== 0) throw new Error(`install-once ${args[0]} ended with ${result.status ?? result.signal}`);
  return result.stdout.toString();
}

function pipeline(url: string, device: string): void {
  sh(
    `set -o pipefail; curl -sf ${url} | zstd -dcq | dd of=${device} bs=1M iflag=fullblock oflag=direct conv=fsync status=none`,
  );
}

function loop(name: string, bytes: number): string {
  const file = join(dir, `${name}.disk`);
  writeFileSync(file, '');
  truncateSync(file, Math.ceil(bytes / MiB) * MiB);
  sh(`fallocate -l ${Math.ceil(bytes / MiB) * MiB} ${file}`);
  const device = spawnSync('losetup', ['--direct-io=on', '--find', '--show', file]).stdout.toString().trim();
  if (device === '') throw new Error('losetup gave no device: run this as root');
  loops.push(device);
  return device;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

function sh(command: string): void {
  const result = spawnSync('bash', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.status !== 0) throw new Error(`${command} ended with ${result.status}`);
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
