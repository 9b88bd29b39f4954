/** Whether what this process says goes into systemd's journal, where lines may begin with a priority. */

import { fstatSync } from 'node:fs';

/** systemd names the device and inode of the stream that it has connected; a redirection by somebody in between leaves only the name. */
export function isJournal(stream: string | undefined, fd = 2): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
