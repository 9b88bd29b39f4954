/** The outside world of the agent. */

import type { Decoder } from '../bundle/decode/decoder.ts';
import type { Clock } from '../system/clock.ts';
import type { Files, ReadPart, WritePart } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Exec } from '../system/process/exec.ts';
import type { Random } from '../system/random.ts';
import type { DiskDoors } from './install/host.ts';
import type { FleetSettings } from './settings/settings.ts';

export type Surroundings = Readonly<{
  files: Files;
  readPart: ReadPart;
  writePart: WritePart;
  writableSpace(dir: string): Promise<number>;
  /** The address from which this host reaches `url`; without it, no server learns the address. */
  addressTowards?(url: string): Promise<string | undefined>;
  clock: Clock;
  random: Random;
  exec: Exec;
  log: Log;
  version: string;
  architecture: 'x86-64' | 'arm64';
  /** The entry point of a decoding thread. */
  entry: Decoder;
  signal: AbortSignal;
  /** The fleet settings, some of which apply at once. */
  settings?: FleetSettings;
  /** Other doors to the disk and another way to reboot, for a simulated machine. */
  doors?: DiskDoors;
  reboot?: () => Promise<void>;
  bootId?: string;
}>;
