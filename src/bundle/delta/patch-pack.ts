/** Compresses a patch segment against similar old bytes. */

import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import { roomFor } from '../publish/compress.ts';
import type { Aligner } from './alignment.ts';
import { type Difference, differenceOf } from './difference.ts';
import { ADDED, ADDED_PREFIX, REFERRED } from './patch-decode.ts';

/** A segment to be packed into one of the two forms that `unpackSegment` reads. */
export type Form =
  | Readonly<{ kind: 'added'; difference: Difference }>
  | Readonly<{ kind: 'referred'; plain: Uint8Array; dictionary: Uint8Array }>;

/** Rebuilt code is nearly the old code, number for number, so its difference is small. Everything else refers to the old bytes. */
export function formOf(align: Aligner, plain: Uint8Array, dictionary: Uint8Array): Form {
  if (dictionary.length > 0) {
    const difference = differenceOf(dictionary, plain, align(dictionary, plain));
    if (difference.equal >= plain.length * ALIKE && difference.layout.length <= plain.length * SIMPLE)
      return { kind: 'added', difference };
  }
  return { kind: 'referred', plain, dictionary };
}

/** The packed form; deterministic. */
export async function packForm(form: Form, level: number): Promise<Uint8Array> {
  if (form.kind === 'referred')
    return Buffer.concat([Uint8Array.of(REFERRED), await packed(form.plain, form.dictionary, level)]);
  const { bytes, layout } = form.difference;
  const prefix = Buffer.alloc(ADDED_PREFIX, ADDED);
  prefix.writeUInt32LE(layout.length, 1);
  return Buffer.concat([prefix, await packed(Buffer.concat([bytes, layout]), new Uint8Array(0), level)]);
}

/** Whether zstd would take these bytes for a trained dictionary. */
export const looksTrained = (bytes: Uint8Array): boolean => TRAINED.every((byte, at) => bytes[at] === byte);

/** The share of equal bytes above which a difference compresses better than references. */
const ALIKE = 0.6;
/** Bytes of layout per plain byte, above which a layout is too detailed. */
const SIMPLE = 0.25;
const TRAINED = [0x37, 0xa4, 0x30, 0xec];

const zstd = promisify(zstdCompress);

const packed = (plain: Uint8Array, dictionary: Uint8Array, level: number): Promise<Uint8Array> =>
  zstd(plain, {
    ...(dictionary.length > 0 && { dictionary }),
    pledgedSrcSize: plain.length,
    chunkSize: roomFor(plain),
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_contentSizeFlag]: 1,
      [constants.ZSTD_c_checksumFlag]: 0,
    },
  });
