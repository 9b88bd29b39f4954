/** A tiny UKI that belongs to a root image. */

import { BLOCK, createTreeBuilder, saltFor } from '../../src/bundle/verity.ts';
import { about } from './bundles.ts';
import { peFile } from './pe.ts';

/** Names the root hash of `root`, and the product and version that test bundles have. */
export function demoUki(root: Uint8Array, version: string = about.version): Uint8Array {
  const builder = createTreeBuilder(saltFor(about.product), root.length / BLOCK);
  builder.addBlocks(root);
  return peFile([
    ['.osrel', `ID=${about.product}\nVERSION_ID=${version}\n`],
    ['.cmdline', `quiet roothash=${builder.finish()}`],
    ['.linux', new Uint8Array(2000).fill(7)],
  ]);
}
