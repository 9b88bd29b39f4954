/** A socket opened by the service manager before it started this program, and kept open across restarts (sd_listen_fds(3)). */

import { readFileSync, readlinkSync } from 'node:fs';
import { UpdateError } from '../../errors.ts';

/** As in `process`. */
export type Started = Readonly<{ pid: number; env: Record<string, string | undefined> }>;

/** The file descriptor of a TCP socket; undefined if none was passed. Not inherited by children. */
export function takePassedSocket({ pid, env }: Started = process, isTcp = isTcpSocket): number | undefined {
  const { LISTEN_PID: meant, LISTEN_FDS: count } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  // A socket passed to our parent is not ours.
  if (meant !== String(pid) || count === undefined || count === '0') return undefined;
  if (count === '1' && isTcp(FIRST_FD)) return FIRST_FD;
  const passed = count === '1' ? 'something else' : `${count} sockets`;
  throw new UpdateError(
    'usage',
    `This program takes one TCP socket from the service manager, which passes ${passed}: give its socket unit one ListenStream=address:port.`,
  );
}

/** SD_LISTEN_FDS_START. */
const FIRST_FD = 3;

/** Node.js crashes when told to listen on anything else. */
function isTcpSocket(fd: number): boolean {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/self/fd/${fd}`)) ?? [];
  const holds = (line: string): boolean => line.trim().split(/\s+/)[INODE_COLUMN] === inode;
  return inode !== undefined && ['tcp', 'tcp6'].some((kind) => linesOf(`/proc/self/net/${kind}`).some(holds));
}

/** proc_pid_net(5): the tenth column of /proc/net/tcp. */
const INODE_COLUMN = 9;

function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** The file is missing if the kernel lacks the address family. */
function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}
