/** Packs one segment of a patch: its plain bytes, with the old bytes that resemble them as the dictionary. */

import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';

const zstd = promisify(zstdCompress);

/** The packed form of `plain`; `unpackSegment` takes it back. */
export async function packSegment(plain: Uint8Array, dictionary: Uint8Array, level: number): Promise<Uint8Array> {
  return zstd(plain, {
    ...(dictionary.length > 0 && { dictionary }),
    pledgedSrcSize: plain.length,
    chunkSize: plain.length + SPARE,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_contentSizeFlag]: 1,
      [constants.ZSTD_c_checksumFlag]: 0,
    },
  });
}

/** Whether zstd would take these bytes for a dictionary that was trained. */
export const looksTrained = (bytes: Uint8Array): boolean => TRAINED.every((byte, at) => bytes[at] === byte);

const TRAINED = [0x37, 0xa4, 0x30, 0xec];
const SPARE = 1024;
