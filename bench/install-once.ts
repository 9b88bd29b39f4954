/** Builds the benchmark's bundle, or installs it once and tells its figures as JSON. Run by install.ts in a process of its own, as one file like the released program. */

import { readFileSync } from 'node:fs';
import { installImage, readBackDigest, readBackRoot } from '../src/agent/install/image-install.ts';
import { leavesOn } from '../src/agent/install/leaves.ts';
import { DECODER } from '../src/bundle/decode/decoder.ts';
import { decodePool } from '../src/bundle/decode/pool.ts';
import { packRoot, writeBundle } from '../src/bundle/publish/writer.ts';
import { openBundle } from '../src/bundle/reader.ts';
import { saltFor } from '../src/bundle/verity.ts';
import type { Product, Version } from '../src/model.ts';
import { realClock } from '../src/system/clock.ts';
import { openBlockTarget } from '../src/system/disk/block-device.ts';
import { fileSource } from '../src/system/disk/file-source.ts';
import { createScratch } from '../src/system/disk/scratch.ts';
import { realFiles } from '../src/system/files.ts';
import { createHttp } from '../src/system/http/http.ts';
import { httpSource } from '../src/system/http/source.ts';
import { keepHeapSmall } from '../src/system/process/process.ts';
import { realRandom } from '../src/system/random.ts';

// As the agent does.
keepHeapSmall();
const [command = '', ...args] = process.argv.slice(2);
const signal = new AbortController().signal;
if (command === 'build') await build(args[0] ?? '', args[1] ?? '');
else if (command === 'install')
  console.log(JSON.stringify(await install(args[0] ?? '', args[1] ?? '', args[2] ?? '', Number(args[3]))));

/** The same compression level as the plain pipeline's artifact. */
async function build(image: string, output: string): Promise<void> {
  await using scratch = await createScratch(output);
  await using source = await fileSource(image);
  const product = 'bench' as Product;
  const { root, verity } = await packRoot(source, saltFor(product), { scratch, level: 3, signal });
  const about = { product, version: '1' as Version, counter: 1, architecture: 'x86-64', minAgent: '0.1.0' } as const;
  await writeBundle(output, about, [verity, root], { files: realFiles, scratch, signal });
}

async function install(url: string, rootDevice: string, verityDevice: string, workers: number): Promise<unknown> {
  const start = performance.now();
  const http = createHttp({ connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'bench', clock: realClock });
  const size = Number((await fetch(url, { method: 'HEAD' })).headers.get('content-length'));
  const source = httpSource(http, url, size, { clock: realClock, random: realRandom, attempts: 3 });
  const bundle = await openBundle(source, undefined, signal);
  await using pool = decodePool({ workers, entry: DECODER });
  const open = { writable: true, exclusive: true } as const;
  await using root = await openBlockTarget(rootDevice, open);
  await using verity = await openBlockTarget(verityDevice, open);
  const tree = { bundle, image: bundle.image('verity'), target: verity, pool, signal };
  await installImage(tree);
  const leaves = leavesOn(verity, bundle.image('root'));
  const system = { bundle, image: bundle.image('root'), target: root, pool, leaves, signal };
  const kept = await installImage(system);
  const streamed = performance.now();
  await readBackDigest(tree);
  await readBackRoot(system);
  const done = performance.now();
  return {
    cpu: process.cpuUsage(),
    streamSeconds: (streamed - start) / 1000,
    readBackSeconds: (done - streamed) / 1000,
    peakRssBytes: peakRss(),
    kept,
  };
}

/** VmHWM rather than getrusage: the latter begins with the figure of the process that started us. */
function peakRss(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}
