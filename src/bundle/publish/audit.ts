/** Verifies every byte of a bundle: for `bundle verify`, and for publishers before signing. */

import { createHash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import type { Role } from '../../model.ts';
import type { DecodeJob } from '../decode/batch.ts';
import type { PlainRun } from '../decode/pool.ts';
import { checkUkiTexts } from '../image/uki.ts';
import { rootOf } from '../manifest.ts';
import type { Bundle } from '../reader.ts';
import { createTreeAudit, type TreeAudit } from './tree-audit.ts';
import { createUkiAudit, type UkiAudit } from './uki-audit.ts';

export type AuditOptions = Readonly<{
  decode: (jobs: AsyncIterable<DecodeJob>) => AsyncIterable<PlainRun>;
  signal: AbortSignal;
  /** Called with the plain bytes done since the last call. */
  progress?: (bytes: number) => void;
  /** Receives the bytes of each image in order, valid until its promise resolves. The image as a whole is verified only at its end. */
  sink?: (role: Role, offset: number, bytes: Uint8Array) => Promise<void>;
}>;

/** Throws the error of the first fault. */
export async function auditBundle(bundle: Bundle, options: AuditOptions): Promise<void> {
  const root = rootOf(bundle.manifest);
  const tree = createTreeAudit(root.verity);
  const uki = createUkiAudit();
  const roles = new Set(bundle.manifest.images.map((image) => image.role));
  // The root first: the tree must match its blocks.
  await auditImage(bundle, 'root', tree.addRoot, options);
  tree.finishRoot();
  if (roles.has('verity')) await auditImage(bundle, 'verity', tree.addTree, options);
  tree.finish();
  if (roles.has('uki')) await auditUki(bundle, uki, options);
}

async function auditUki(bundle: Bundle, uki: UkiAudit, options: AuditOptions): Promise<void> {
  await auditImage(bundle, 'uki', (offset, bytes) => uki.add(offset, bytes, bundle.image('uki').size), options);
  const { product, version } = bundle.manifest;
  checkUkiTexts('The UKI', uki.texts(), { product, version, rootHash: rootOf(bundle.manifest).verity.rootHash });
}

async function auditImage(bundle: Bundle, role: Role, see: TreeAudit['addRoot'], options: AuditOptions): Promise<void> {
  const image = bundle.image(role);
  const digest = createHash('sha256');
  for await (const { offset, bytes } of options.decode(jobsOf(bundle, role, options.signal))) {
    digest.update(bytes);
    see(offset, bytes);
    await options.sink?.(role, offset, bytes);
    options.progress?.(bytes.length);
  }
  const found = digest.digest('hex');
  if (found !== image.sha256)
    throw new UpdateError('image-mismatch', `The ${role} image has SHA-256 ${found}, not ${image.sha256}.`);
}

async function* jobsOf(bundle: Bundle, role: Role, signal: AbortSignal): AsyncGenerator<DecodeJob> {
  const table = await bundle.frameTable(role, signal);
  for await (const frame of bundle.compressedFrames(role, table, signal)) yield { frame };
}
