/** Makes docs/benchmarks.md and its picture from what was measured, and from nothing else. */

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { FORMATS, imageOf, RELEASES, treeOf } from './pairs.ts';
import { ABSENT, PEERS } from './peers.ts';
import { plot } from './plot.ts';
import { markdown, PUBLISHING, type Row, recorded, TRANSFER } from './results.ts';

const DOCS = join(import.meta.dirname, '../docs');
const TOOLS = [
  'zstd',
  'xdelta3',
  'casync',
  'zsync',
  'zchunk',
  'bmap-tools',
  'systemd-container',
  'swupdate',
  'rauc',
  'nginx-light',
  'curl',
  'erofs-utils',
  'squashfs-tools',
];
const PAIRS: Readonly<Record<string, string>> = {
  'v1-v2': 'v1 → v2: months of security updates, a new kernel among them',
  'v2-v3': 'v2 → v3: a hotfix',
};

const rows = recorded();
writeFileSync(
  join(DOCS, 'benchmarks.svg'),
  plot(Object.entries(PAIRS).map(([pair, title]) => ({ title, rows: of(pair) }))),
);
writeFileSync(join(DOCS, 'benchmarks.md'), await document());
console.log('docs/benchmarks.md and docs/benchmarks.svg are written');

async function document(): Promise<string> {
  return `# What an update costs, beside other ways to bring it

Made by \`make bench\` from what it measured; every figure can be had again with it (as root on Debian; \`BENCH=quick make bench\` takes minutes).
The same releases, the same disk, the same web server on the loopback device, all methods in turn. MB are 10⁶ bytes.
Bytes and requests are what the web server counted, headers included. Memory is the peak of the summed RSS of all processes of a method; the web server is not counted.
Time ends when the release is on the slot's block device; “× pipeline” compares it with \`curl | zstd -d | dd oflag=direct conv=fsync\` of the same run, which checks nothing.
Loopback has no latency and no limit: on a real link bytes and requests weigh more than times do.

![bytes of each method](benchmarks.svg)

${Object.entries(PAIRS)
  .map(([pair, title]) => section(title, of(pair)))
  .join('\n\n')}

## Publishing

Made once and kept, on the machine below while it was not always idle. One thread for zstd.
Level 19 is made only when it is asked for (\`--slow\`), and kept.

${markdown(rows, PUBLISHING)}

## Not measured

${ABSENT.map(({ name, why }) => `- ${name}: ${why}.`).join('\n')}
${missing()}
## The data

Three releases of one Debian 12 server, built by \`bench/root\`: v1 has the packages of the point release, v2 the same with every update since, v3 is v2 with one more small package and one more file.
The kernel and its zstd-compressed initrd are inside the image. ${packageFacts()}

| image | ${RELEASES.join(' | ')} |
| --- | --- | --- | --- |
${(await Promise.all(FORMATS.map(imageSizes))).join('\n')}

## The machine

${machine()}

${versions()}
`;
}

function of(pair: string): readonly Row[] {
  return rows.filter((row) => row.pair === pair);
}

function section(title: string, measured: readonly Row[]): string {
  const rounds = Math.min(...measured.map((row) => row.rounds.length));
  const load = Math.max(...measured.map((row) => row.load));
  const days = [...new Set(measured.map(({ date }) => date.slice(0, 10)))].sort().join(', ');
  const busy = load > 3 ? ' The machine was busy with other work: read the times as ratios.' : '';
  const many = rounds === 1 ? 'One round' : `Medians of ${rounds} rounds or more`;
  return `## ${title}\n\n${many}, ${days}.${busy}\n\n${markdown(measured, TRANSFER)}`;
}

/** A method that was left out or failed here is named, too. */
function missing(): string {
  return PEERS.filter(({ id }) => rows.every((row) => row.id !== id))
    .map(({ id, name, slow }) =>
      slow
        ? `- ${name}: publishing takes very long; \`node bench/compare.ts --slow --only ${id}\` does it.\n`
        : `- ${name}: did not run on this machine; \`node bench/compare.ts --only ${id}\` says why.\n`,
    )
    .join('');
}

function packageFacts(): string {
  const [v1 = [], v2 = []] = RELEASES.map((one) =>
    readFileSync(join(treeOf(one), 'packages'), 'utf8')
      .trim()
      .split('\n'),
  );
  const changed = v2.filter((line) => !v1.includes(line)).length;
  return `${v2.length} packages, ${changed} of them other ones in v2 than in v1.`;
}

async function imageSizes(format: (typeof FORMATS)[number]): Promise<string> {
  const sizes = await Promise.all(RELEASES.map(async (one) => statSync(await imageOf(one, format)).size));
  return `| ${format}, bytes | ${sizes.map((size) => size.toLocaleString('en')).join(' | ')} |`;
}

function machine(): string {
  const [processor] = cpus();
  return `${cpus().length} × ${processor?.model.trim()}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory, Linux ${release().split('-')[0]}, ${osName()}, Node.js ${process.version}.`;
}

function osName(): string {
  return /^PRETTY_NAME="(.*)"/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
}

function versions(): string {
  const listed = spawnSync('dpkg-query', ['-W', '-f', `\${Package} \${Version}, `, ...TOOLS]).stdout.toString();
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: DOCS }).toString().trim();
  return `Tandem at ${commit}; ${listed.replace(/, $/, '')}.`;
}
