/** What happens to the trust of a host when its disk is full: on a real, tiny file system. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { realFiles } from '../../src/system/files.ts';
import { renewRole } from '../../src/verify/publish/rotate-key.ts';
import { TestRepository } from '../support/tuf-repository.ts';

test('a full disk stops a poll, and the next one works when there is room again', async () => {
  assert.equal(process.getuid?.(), 0, 'this test mounts a tmpfs and must run as root');
  using repository = await new TestRepository().init();
  await repository.add('1.0');
  const mount = mkdtempSync(join(tmpdir(), 'tandem-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mount]);
  try {
    const paths = { metadataDir: join(mount, 'metadata'), floorsPath: join(mount, 'floors.json'), files: realFiles };
    const host = repository.host('full', paths);
    await host.poll();
    await renewRole(repository.publisher(), 'root');
    await repository.add('2.0');
    for (let room = 0; room <= 3; room++) {
      fill(mount, room);
      await host.poll().catch((error: NodeJS.ErrnoException) => assert.equal(error.code, 'ENOSPC'));
    }
    rmSync(join(mount, 'ballast'));
    assert.equal(await host.refused(), 'accepted');
    assert.equal((await host.poll()).releases().length, 2);
  } finally {
    execFileSync('umount', [mount]);
    rmSync(mount, { recursive: true });
  }
});

/** Leaves room for that many pages. */
function fill(mount: string, pages: number): void {
  rmSync(join(mount, 'ballast'), { force: true });
  for (let size = 64; size > 0; size--)
    try {
      writeFileSync(join(mount, 'ballast'), Buffer.alloc(size * 1024));
      rmSync(join(mount, 'ballast'));
      writeFileSync(join(mount, 'ballast'), Buffer.alloc(Math.max(0, size - 4 * pages) * 1024));
      return;
    } catch {}
}
