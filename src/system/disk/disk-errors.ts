/** Maps failed system calls on disks to error codes. */

import { UpdateError } from '../../errors.ts';

const errno = (cause: unknown): string => (cause as NodeJS.ErrnoException)?.code ?? String(cause);

export function openFailure(cause: unknown, path: string): UpdateError {
  const code = errno(cause);
  const options = { cause };
  if (code === 'EBUSY')
    return new UpdateError('slot-in-use', `${path} is mounted or in use by another program.`, options);
  if (READ_ONLY.has(code)) return new UpdateError('slot-read-only', `${path} cannot be opened (${code}).`, options);
  if (MISSING.has(code)) return new UpdateError('partition-missing', `${path} does not exist (${code}).`, options);
  return new UpdateError('disk-read-error', `${path} cannot be opened (${code}).`, options);
}

export function readFailure(cause: unknown, name: string, offset: number): UpdateError {
  return new UpdateError('disk-read-error', `${name}: reading at byte ${offset} failed (${errno(cause)}).`, {
    cause,
    details: { offset },
  });
}

export function writeFailure(cause: unknown, name: string, offset: number): UpdateError {
  const code = errno(cause);
  const options = { cause, details: { offset } };
  if (READ_ONLY.has(code))
    return new UpdateError('slot-read-only', `${name} refuses to be written (${code}).`, options);
  return new UpdateError('disk-write-error', `${name}: writing at byte ${offset} failed (${code}).`, options);
}

const READ_ONLY = new Set(['EROFS', 'EPERM', 'EACCES']);
const MISSING = new Set(['ENOENT', 'ENXIO', 'ENODEV', 'ENOMEDIUM', 'ENOTDIR']);
