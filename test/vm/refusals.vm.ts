/** Scenario 5: what must not be installed is refused by name, before the first byte is written to the free slot. */

import assert from 'node:assert/strict';
import { copyFile, cp, glob, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Status } from '../../src/protocol.ts';
import { entries, statusOf } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine } from './machine.ts';
import { PRODUCT } from './releases.ts';
import { CHANNEL, promote, servedBy } from './repository.ts';

const BALLAST = 'ballast.bin';
const PATIENCE_MS = 5 * 60_000;

test('tampered, foreign, outdated, oversized and ill-timed releases are refused before the first write', (t) =>
  inLab('refusals', { patient: true }, async (lab) => {
    await t.test('a release of another product', async () => {
      await promote(lab.repository, '8', 'another', 'foreign');
      await useChannel(lab, 'foreign');
      // The others go on, whatever became of this one.
      await refused(lab, ['wrong-product']).finally(() => useChannel(lab, CHANNEL));
    });

    await t.test('an image larger than the partition', async () => {
      await lab.offer('9');
      await refused(lab, ['slot-too-small', 'image-too-large']);
    });

    await t.test('a full ESP', async () => {
      await lab.machine.run(`dd if=/dev/zero of=/efi/${BALLAST} bs=1M status=none || true; sync -f /efi`);
      await lab.offer('2');
      await refused(lab, ['esp-full']);
      await lab.machine.run(`rm /efi/${BALLAST}; sync -f /efi`);
    });

    await t.test('a slot that something else uses', async () => {
      // The running root again, so that it can be mounted.
      await lab.machine.run('dd if=/dev/dm-0 of=/dev/disk/by-partlabel/root-b bs=1M conv=fsync status=none');
      await lab.machine.run('mkdir /run/held && mount -t erofs -o ro /dev/disk/by-partlabel/root-b /run/held');
      await refused(lab, ['slot-in-use']);
      await lab.machine.run('umount /run/held');
    });

    await t.test('a manifest that was tampered with', async () => {
      const undo = await tamper(lab.repository, '2', 600);
      await refused(lab, ['manifest-mismatch']);
      await undo();
    });

    await t.test('metadata older than what was seen before', async () => {
      const metadata = join(servedBy(lab.repository), 'metadata');
      await cp(metadata, join(lab.dir, 'older'), { recursive: true });
      await lab.offer('9');
      await refused(lab, ['slot-too-small', 'image-too-large']);
      await rename(metadata, join(lab.dir, 'newer'));
      await rename(join(lab.dir, 'older'), metadata);
      await refused(lab, ['metadata-rollback']);
      await rm(metadata, { recursive: true });
      await rename(join(lab.dir, 'newer'), metadata);
    });

    await t.test('metadata that has expired', async () => {
      await lab.machine.run('date -s "+4 days"');
      await lab.offer('2');
      await refused(lab, ['metadata-expired']);
      await lab.machine.run('date -s "-4 days"');
    });

    await t.test(
      'a blob that was tampered with is given up at the first wrong frame, and nothing leads to the slot',
      async () => {
        await lab.offer('3');
        await tamper(lab.repository, '3', 4 * 1024 * 1024);
        // What lies in the slot already would not be fetched: the copy of the running root has to go.
        await lab.machine.run(
          'dd if=/dev/urandom of=/dev/disk/by-partlabel/root-b bs=1M count=32 conv=fsync status=none',
        );
        const { lastError, refused: known } = await checkAndFail(lab.machine);
        assert.equal(lastError?.code, 'frame-mismatch');
        // The server is to blame, not the release: once it serves the right bytes, they are taken.
        assert.ok(!known.some((refusal) => refusal.version === '3'));
        assert.deepEqual(await entries(lab.machine), [`${PRODUCT}_1.efi`]);
      },
    );
  }));

/** One check: ends with one of these codes, at rest, on version 1, with nothing written to the free slot. */
async function refused({ machine }: Lab, codes: readonly string[]): Promise<void> {
  const before = await sectorsWritten(machine);
  const status = await checkAndFail(machine);
  assert.ok(codes.includes(status.lastError?.code ?? ''), `${JSON.stringify(status.lastError)} is one of ${codes}`);
  assert.deepEqual([status.booted, status.running?.version], ['a', '1']);
  assert.equal(await sectorsWritten(machine), before, 'sectors written to slot b');
}

/** Another channel in the machine's configuration. The agent goes when it is asked to, not when systemd has lost patience. */
async function useChannel({ machine }: Lab, channel: string): Promise<void> {
  const file = '/run/tandem/config.d/20-machine.toml';
  await machine.run(`sed -i 's/^channel = .*/channel = "${channel}"/' ${file}; systemctl stop tandem-agent.service`);
  assert.equal((await machine.run('systemctl show --property Result tandem-agent.service')).trim(), 'Result=success');
  await machine.run('systemctl start tandem-agent.service');
}

async function checkAndFail(machine: Machine): Promise<Status> {
  const before = (await statusOf(machine)).lastError?.at;
  await machine.attempt('updatectl check');
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const status = await statusOf(machine);
    if (status.state.kind === 'idle' && status.lastError !== undefined && status.lastError.at !== before) return status;
    if (performance.now() > end) throw new Error(`no failure was reported: ${JSON.stringify(status)}`);
    await sleep(1_000);
  }
}

/** Sectors that have been written to the free slot since the start, as the kernel counts them. */
const sectorsWritten = (machine: Machine): Promise<string> =>
  machine.run("cat /sys/class/block/vda4/stat /sys/class/block/vda5/stat | awk '{ print $7 }'");

/** Changes one byte of a published bundle; returns how to take it back. */
async function tamper(repository: string, version: string, at: number): Promise<() => Promise<void>> {
  const pattern = `targets/releases/${PRODUCT}/*.${version}.bundle`;
  let file: string | undefined;
  for await (const found of glob(pattern, { cwd: servedBy(repository) })) file = found;
  if (file === undefined) throw new Error(`the bundle of ${version} is not in the repository`);
  const path = join(servedBy(repository), file);
  await rename(path, `${path}.good`);
  // A copy, since the repository's files may be links to those of other scenarios.
  await copyFile(`${path}.good`, path);
  await using handle = await open(path, 'r+');
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at);
  await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
  return () => rename(`${path}.good`, path);
}
