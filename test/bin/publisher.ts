/** A publisher in a process of its own: takes deeds as lines of JSON, tells what became of each, and kills itself where a deed says so. */

import { createPrivateKey } from 'node:crypto';
import { readFileSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { asUpdateError } from '../../src/errors.ts';
import { takeLock } from '../../src/system/process/lock-file.ts';
import { localSigner } from '../../src/verify/keys.ts';
import type { Alone } from '../../src/verify/publish/publish.ts';
import { type Deed, perform, slowFiles, taken } from '../support/publishing-deeds.ts';
import { NOW } from '../support/tuf-repository.ts';

const keys = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as string[];
const signers = keys.map((pem) => localSigner(createPrivateKey(pem)));

/** Said before anything else is done: whoever is killed has said it. */
const say = (what: object): void => void writeSync(1, `${JSON.stringify(what)}\n`);

const versionIn = (dir: string): number =>
  JSON.parse(readFileSync(join(dir, 'metadata/timestamp.json'), 'utf8')).signed.version;

async function work(dir: string, deed: Deed): Promise<void> {
  const die = async (): Promise<never> => {
    process.kill(process.pid, 'SIGKILL');
    return new Promise<never>(() => {});
  };
  const site = { files: slowFiles(deed, die), dir, now: NOW, signers, insists: new Set(['channel-new'] as const) };
  let after = 0;
  const alone: Alone = async (task) => {
    await using _ = await taken(takeLock, join(dir, '.publisher.lock'));
    say({ began: versionIn(dir) });
    const result = await task(site);
    after = versionIn(dir);
    return result;
  };
  const ended = await perform(deed, site, alone).then(
    () => 'done',
    (error: unknown) => asUpdateError(error).code,
  );
  say({ ended, after });
}

say({ pid: process.pid, namespace: readlinkSync('/proc/self/ns/pid') });
for await (const line of createInterface({ input: process.stdin })) {
  const { dir, deed } = JSON.parse(line) as { dir: string; deed: Deed & { dies: number | null } };
  await work(dir, { ...deed, dies: deed.dies ?? Number.POSITIVE_INFINITY });
}
