/** Which machine this is, told by its hardware: two machines made from one image have one machine id, but not one of these. */

import { createHmac } from 'node:crypto';
import type { Files } from './files.ts';

const PLACES = ['/sys/class/dmi/id/product_uuid', '/proc/device-tree/serial-number'];

/** 32 hex digits that do not tell the number they come from; empty where the hardware has none. */
export async function readHardwareId(files: Pick<Files, 'read'>): Promise<string> {
  for (const place of PLACES) {
    const bytes = await files.read(place).catch(() => undefined);
    const serial = new TextDecoder()
      .decode(bytes)
      .replace(/[\s\0]+$/, '')
      .toLowerCase();
    if (!isFiller(serial)) return createHmac('sha256', 'tandem hardware').update(serial).digest('hex').slice(0, 32);
  }
  return '';
}

/** Vendors leave it empty, or all of one digit. */
const isFiller = (serial: string): boolean => new Set(serial.replaceAll('-', '')).size < 2 || serial === VENDOR_DEFAULT;

const VENDOR_DEFAULT = '03000200-0400-0500-0006-000700080009';
