/**
 * A host with large images is updated by one way after another: all of it, then blocks or a patch. By hand: a release of 7 GiB needs 25 GiB of
 * disk while it is made, and the blocks of one half an hour.
 */

import { parseArgs } from 'node:util';
import { inLab, type Lab } from './lab.ts';

const { values } = parseArgs({
  options: { gib: { type: 'string', default: '7' }, delta: { type: 'string', default: 'patch' } },
});
const MIB = Math.round(Number(values.gib) * 1024);
const PATIENCE_MS = 3 * 3_600_000;

const disk = { rootMib: MIB + 256, verityMib: Math.ceil(MIB / 100), varMib: 256 };
await inLab(disk, async (lab) => {
  await update(lab, 'all of it', '2', 'b', {});
  await update(lab, values.delta, '3', 'a', values.delta === 'blocks' ? { blocks: true } : { patchFrom: 1 });
});

type Deltas = Readonly<{ blocks?: boolean; patchFrom?: number }>;

async function update(lab: Lab, way: string, version: string, slot: 'a' | 'b', deltas: Deltas): Promise<void> {
  const { box, web } = lab;
  let begun = performance.now();
  await lab.release({ version, contentMib: MIB, ...deltas });
  console.log(`${way}: built and added in ${seconds(begun)}`);
  begun = performance.now();
  const [starts, asked] = [box.boots.length, web.requests.length];
  await lab.offer(version);
  await box.until('it has restarted', () => box.boots.length > starts, PATIENCE_MS);
  await box.settled(slot, version);
  const paths = web.requests.slice(asked).map((one) => JSON.stringify(one));
  console.log(`${way}: ${values.gib} GiB proven in slot ${slot} ${seconds(begun)} after the offer`);
  console.log([...new Set(paths.filter((path) => path.includes('targets')))].slice(0, 12).join('\n'));
}

function seconds(begun: number): string {
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
}
