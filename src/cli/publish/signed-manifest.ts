/** Asks a repository whether it has signed a bundle. */

import { join } from 'node:path';
import type { ByteSource } from '../../bundle/byte-source.ts';
import { type ExpectedManifest, manifestIdentity } from '../../bundle/reader.ts';
import { UpdateError } from '../../errors.ts';
import { silentLog } from '../../system/log.ts';
import { acceptBundle, createTrust } from '../../verify/client.ts';
import { memoryFiles } from '../../verify/memory-files.ts';
import { dirMetadata } from '../../verify/metadata-fetch.ts';
import { metadataPath } from '../../verify/names.ts';
import type { Context } from '../command.ts';

/** The bundle's manifest, if the repository names it. Its metadata is verified from `trustRoot`, by default its own first root. */
export async function signedManifest(
  { files, clock, signal }: Pick<Context, 'files' | 'clock' | 'signal'>,
  dir: string,
  source: ByteSource,
  trustRoot?: Uint8Array,
): Promise<ExpectedManifest> {
  const embeddedRoot = trustRoot ?? (await files.read(join(dir, metadataPath('root', 1))));
  if (embeddedRoot === undefined) throw new UpdateError('usage', `${dir} is not a repository: it has no 1.root.json.`);
  const store = { files: memoryFiles(), metadataDir: '/metadata', floorsPath: '/floors.json' };
  const trust = createTrust({ ...store, embeddedRoot, mirrors: [dirMetadata(dir)], log: silentLog });
  const { sha256 } = await manifestIdentity(source, signal);
  return acceptBundle(await trust.refresh(clock.now(), signal), sha256).manifest;
}
