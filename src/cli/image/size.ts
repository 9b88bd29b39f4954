/** Sizes on the command line: `512M`, `2G`, or bytes; powers of 1024, as `truncate` and `lvcreate` read them. Pure. */

import { UpdateError } from '../../errors.ts';
import type { Input } from '../command.ts';

/** The bytes of an option; undefined if it was not given. */
export function sizeOption(input: Input, option: string): number | undefined {
  const text = input.text(option);
  if (text === undefined) return undefined;
  const [, digits, unit = ''] = /^([1-9]\d{0,14})([KMGT]?)(?:iB)?$/.exec(text) ?? [];
  const size = Number(digits) * 1024 ** UNITS.indexOf(unit);
  if (digits !== undefined && size <= Number.MAX_SAFE_INTEGER) return size;
  throw new UpdateError('usage', `--${option} must be a size such as 512M or 2G, not “${text}”.`);
}

const UNITS = ['', 'K', 'M', 'G', 'T'];
