/** Identifies the machine by its hardware: machines made from one image share a machine id, but not this. */

import { createHmac } from 'node:crypto';
import type { Files } from './files.ts';

const PLACES = ['/sys/class/dmi/id/product_uuid', '/proc/device-tree/serial-number'];

/** 32 hex digits that do not reveal the serial number; empty if the hardware has none. */
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

/** Vendors leave it empty, or fill it with one digit. */
const isFiller = (serial: string): boolean => new Set(serial.replaceAll('-', '')).size < 2 || serial === VENDOR_DEFAULT;

const VENDOR_DEFAULT = '03000200-0400-0500-0006-000700080009';
