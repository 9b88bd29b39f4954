/** The Range header of a request (RFC 9110 §14). Pure. */

/** Both bounds are inclusive. */
export type ByteSpan = Readonly<{ start: number; end: number }>;

/** `whole` without a range, or with one that may be ignored (several ranges, other units); `beyond` if the range lies outside the file. */
export function spanOf(header: string | undefined, size: number): ByteSpan | 'whole' | 'beyond' {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return 'whole';
  if (first === '')
    return Number(last) === 0 || size === 0 ? 'beyond' : { start: Math.max(0, size - Number(last)), end: size - 1 };
  if (last !== '' && Number(last) < Number(first)) return 'whole';
  if (Number(first) >= size) return 'beyond';
  return { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}
