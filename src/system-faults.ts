/** The meaning of a failed system call for an operator. */

type Errno = keyof typeof SYSTEM_FAULTS;

/** The code and sentence of a failed system call; undefined for anything else, and for calls on the network. */
export function systemFault(
  error: unknown,
): Readonly<{ code: (typeof SYSTEM_FAULTS)[Errno][0]; message: string }> | undefined {
  if (!isSystemError(error)) return undefined;
  const [code, meaning] = SYSTEM_FAULTS[error.code];
  if (code === 'address-unavailable' && error.hostname !== undefined)
    return { code, message: `${error.hostname}: ${meaning} (${error.syscall}, ${error.code}).` };
  const isListening = error.syscall === 'listen' || error.syscall === 'bind';
  if (isListening && code === 'file-denied')
    return { code: 'address-unavailable', message: `${placeOf(error)}: this user may not listen there.` };
  return { code, message: `${placeOf(error)}: ${meaning} (${error.syscall}, ${error.code}).` };
}

type SystemError = Error &
  Readonly<{
    code: Errno;
    syscall: string;
    path?: string;
    dest?: string;
    address?: string;
    port?: number;
    hostname?: string;
  }>;

/** By errno(3). */
const SYSTEM_FAULTS = {
  ENOSPC: ['file-system-full', 'there is no space left on its file system'],
  EDQUOT: ['file-system-full', 'the quota of its file system is used up'],
  EROFS: ['file-system-read-only', 'its file system is read-only'],
  EACCES: ['file-denied', 'this user has no permission to use it'],
  EPERM: ['file-denied', 'this user has no permission to do that'],
  ENOENT: ['file-absent', 'it does not exist'],
  EISDIR: ['file-unsuitable', 'it is a folder'],
  ENOTDIR: ['file-unsuitable', 'a part of the path is not a folder'],
  EEXIST: ['file-unsuitable', 'it already exists'],
  ENOTEMPTY: ['file-unsuitable', 'the folder is not empty'],
  ELOOP: ['file-unsuitable', 'it is a link, which is not followed here'],
  ENAMETOOLONG: ['file-unsuitable', 'its name is too long'],
  EXDEV: ['file-unsuitable', 'it is on another file system'],
  EBUSY: ['file-unsuitable', 'another program uses it'],
  ETXTBSY: ['file-unsuitable', 'it is a running program'],
  EFBIG: ['file-unsuitable', 'its file system does not support files of this size'],
  ENXIO: ['file-unsuitable', 'it is a pipe, socket or device without a peer'],
  EINVAL: ['file-unsuitable', 'its file system does not support this'],
  EOPNOTSUPP: ['file-unsuitable', 'its file system does not support this'],
  EIO: ['disk-read-error', 'the disk failed'],
  ESTALE: ['disk-read-error', 'the network file system has lost it'],
  EMFILE: ['files-exhausted', 'this process has too many files open'],
  ENFILE: ['files-exhausted', 'this machine has too many files open'],
  EADDRINUSE: ['address-unavailable', 'another program listens there'],
  EADDRNOTAVAIL: ['address-unavailable', 'this machine does not have the address'],
  ENOTFOUND: ['address-unavailable', 'no address is known for this name'],
  EAI_AGAIN: ['address-unavailable', 'no name server answers'],
} as const satisfies Readonly<Record<string, readonly [code: string, meaning: string]>>;

const isSystemError = (error: unknown): error is SystemError =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  Object.hasOwn(SYSTEM_FAULTS, error.code) &&
  'syscall' in error &&
  typeof error.syscall === 'string' &&
  error.syscall !== 'connect';

const placeOf = ({ path, dest, address, port }: SystemError): string => {
  if (path !== undefined) return dest === undefined ? path : `${path} → ${dest}`;
  return address === undefined ? 'A file' : `${address}${port === undefined ? '' : ` port ${port}`}`;
};
