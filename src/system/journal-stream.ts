/** Whether this process logs to systemd's journal, where lines may start with a priority. */

import { fstatSync } from 'node:fs';

/** systemd passes device and inode of the connected stream; after a redirection, only the variable remains. */
export function isJournal(stream: string | undefined, fd = 2): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
