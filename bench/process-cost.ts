/** What a running process has cost so far: processor time of all its threads, and the memory it holds. */

import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;
const PAGE = 4096;

/** User and system, in seconds. */
export function cpuSeconds(pid: number): number {
  // The name of the program may hold anything but ends with the last bracket.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export const rssBytes = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE;
