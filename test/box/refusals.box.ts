/** What must not be installed is refused by name, before the first byte is written to the free slot. */

import assert from 'node:assert/strict';
import { copyFile, cp, glob, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { repoPromote } from '../../src/cli/publish/repo-promote.ts';
import type { Status } from '../../src/protocol.ts';
import type { Box } from './box.ts';
import { clockAhead } from './clock-ahead.ts';
import { PARTS } from './disk.ts';
import { inLab, type Lab } from './lab.ts';
import { CHANNEL } from './publisher.ts';
import { PRODUCT } from './release.ts';
import { explain } from './report.ts';

/** Nothing is tried again unless it is asked for. */
const PATIENT = '[poll]\nbackoff_minutes = 600\nbackoff_limit_minutes = 600\n';
const MIB = 1024 * 1024;

test('tampered, foreign, outdated, oversized and ill-timed releases are refused before the first write', (t) =>
  inLab({ config: PATIENT }, async (lab) => {
    const { box, publisher, release } = lab;
    const step = steps(t, lab);
    await release({ version: '2' });
    await release({ version: '3', contentMib: 4 });

    await step('a release of another product', async () => {
      await release({ version: '8', product: 'another' });
      await publisher.run(repoPromote, '8', '--product', 'another', '--channel', 'foreign', '--insist', 'channel-new');
      await useChannel(box, 'foreign');
      // The others go on, whatever became of this one.
      await refused(lab, ['wrong-product']).finally(() => useChannel(box, CHANNEL));
    });

    await step('an image larger than the partition', async () => {
      await release({ version: '9', contentMib: 20 });
      await publisher.promote('9');
      await refused(lab, ['slot-too-small', 'image-too-large']);
    });

    await step('a full ESP', async () => {
      await box.run('dd if=/dev/zero of=/efi/ballast bs=64k 2>/dev/null || true; sync -f /efi');
      await publisher.promote('2');
      await refused(lab, ['esp-full']).finally(() => box.run('rm /efi/ballast; sync -f /efi'));
    });

    await step('a slot that something else uses', async () => {
      // The running root again, so that it can be mounted.
      await box.run(`dd if=${box.disk.part(PARTS.a)} of=${slotB(box)} bs=1M conv=fsync status=none`);
      await box.run(`mkdir /run/held && mount -t erofs -o ro ${slotB(box)} /run/held`);
      await refused(lab, ['slot-in-use']).finally(() => box.run('umount /run/held'));
    });

    await step('a manifest that was tampered with', async () => {
      const undo = await tamper(publisher.served, '2', 600);
      await refused(lab, ['manifest-mismatch']).finally(undo);
    });

    await step('metadata older than what was seen before', async () => {
      const metadata = join(publisher.served, 'metadata');
      await cp(metadata, join(box.work, 'older'), { recursive: true });
      await publisher.promote('9');
      await refused(lab, ['slot-too-small', 'image-too-large']);
      await rename(metadata, join(box.work, 'newer'));
      await rename(join(box.work, 'older'), metadata);
      await refused(lab, ['metadata-rollback']).finally(async () => {
        await rm(metadata, { recursive: true });
        await rename(join(box.work, 'newer'), metadata);
      });
    });

    await step('metadata that has expired', async () => {
      await publisher.promote('2');
      await clockAhead(box, 4 * 24);
      await refused(lab, ['metadata-expired']).finally(() => clockAhead(box, 0));
    });

    await step('a blob that was tampered with: nothing leads to the slot, and the release is not blamed', async () => {
      await publisher.promote('3');
      await tamper(publisher.served, '3', 2 * MIB);
      // What lies in the slot already would not be fetched: the copy of the running root has to go.
      await box.run(`dd if=/dev/urandom of=${slotB(box)} bs=1M count=16 conv=fsync status=none`);
      const { lastError, refused: known } = await checkAndFail(box);
      assert.equal(lastError?.code, 'frame-mismatch');
      // The server is to blame, not the release: once it serves the right bytes, they are taken.
      assert.ok(!known.some((refusal) => refusal.version === '3'));
      assert.deepEqual(await readdir(box.esp('EFI/Linux')), [`${PRODUCT}_1.efi`]);
    });
    assert.deepEqual(box.versions, ['1'], 'none of them was started');
  }));

/** Each says for itself why it failed, and the others go on. */
const steps =
  (t: TestContext, { box, web }: Lab) =>
  (name: string, deed: () => Promise<void>): Promise<void> =>
    t.test(name, () =>
      deed().catch(async (error: unknown) => {
        throw await explain(error, box, web);
      }),
    );

const slotB = ({ disk }: Box): string => disk.part(PARTS.b);

/** One check: ends with one of these codes, at rest, on version 1, with nothing written to the free slot. */
async function refused({ box }: Lab, codes: readonly string[]): Promise<void> {
  const before = await sectorsWritten(box);
  const status = await checkAndFail(box);
  assert.ok(codes.includes(status.lastError?.code ?? ''), `${JSON.stringify(status.lastError)} is one of ${codes}`);
  assert.deepEqual([status.booted, status.running?.version], ['a', '1']);
  assert.deepEqual(await sectorsWritten(box), before, 'sectors written to slot b');
}

/** Another channel in the host's configuration. The agent goes when it is asked to, not when systemd has lost patience. */
async function useChannel(box: Box, channel: string): Promise<void> {
  await box.configure('40-channel', `[repository]\nchannel = "${channel}"\n`);
  await box.run('systemctl stop tandem-agent.service');
  assert.equal(await box.run('systemctl show --property Result tandem-agent.service'), 'Result=success');
  await box.run('systemctl start tandem-agent.service');
}

async function checkAndFail(box: Box): Promise<Status> {
  await box.until('the agent rests', ({ state }) => state.kind === 'idle');
  const before = (await box.status()).lastError?.at;
  await box.check();
  return box.until(
    'a failure is reported',
    ({ state, lastError }) => state.kind === 'idle' && lastError !== undefined && lastError.at !== before,
  );
}

/** Sectors that have been written to the free slot, as the kernel counts them. */
const sectorsWritten = (box: Box): Promise<(string | undefined)[]> =>
  Promise.all(
    [PARTS.b, PARTS.b + 1].map(async (part) => {
      const counts = await readFile(`/sys/class/block/${basename(box.disk.part(part))}/stat`, 'utf8');
      return counts.trim().split(/\s+/)[6];
    }),
  );

/** Changes one byte of a published bundle; returns how to take it back. */
async function tamper(served: string, version: string, at: number): Promise<() => Promise<void>> {
  const pattern = `targets/releases/${PRODUCT}/*.${version}.bundle`;
  let file: string | undefined;
  for await (const found of glob(pattern, { cwd: served })) file = found;
  if (file === undefined) throw new Error(`the bundle of ${version} is not in the repository`);
  const path = join(served, file);
  await rename(path, `${path}.good`);
  await copyFile(`${path}.good`, path);
  await using handle = await open(path, 'r+');
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at);
  await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
  return () => rename(`${path}.good`, path);
}
