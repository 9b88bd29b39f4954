/** The headers that this host sends to its fleet server: a secret that it created itself, and its hardware. */

import { join } from 'node:path';
import { asUpdateError } from '../../errors.ts';
import { HARDWARE_HEADER, MACHINE_HEADER, SECRET_HEADER, SECRET_PATTERN } from '../../protocol.ts';
import { type Files, readText, replaceFile } from '../../system/files.ts';
import { readHardwareId } from '../../system/hardware-id.ts';
import type { Log } from '../../system/log.ts';
import { readMachineId } from '../../system/machine-id.ts';
import type { Random } from '../../system/random.ts';

export type IdentityWorld = Readonly<{ files: Files; random: Random; log: Pick<Log, 'warn'> }>;

/** The headers for a request to `url`; empty for any other server: only the fleet server gets the secret. */
export type Identity = (url: string) => Promise<Readonly<Record<string, string>>>;

export function createIdentity(
  fleetUrl: string | undefined,
  stateDir: string,
  { files, random, log }: IdentityWorld,
): Identity {
  const secret = createSecret(stateDir, files, random, log);
  return async (url) => {
    if (fleetUrl === undefined || addressOf(url) !== addressOf(fleetUrl)) return {};
    const [known, hardware] = [await secret(), await readHardwareId(files)];
    return {
      [MACHINE_HEADER]: await readMachineId(files),
      ...(known === undefined ? {} : { [SECRET_HEADER]: known }),
      ...(hardware === '' ? {} : { [HARDWARE_HEADER]: hardware }),
    };
  };
}

/** Without a login or a trailing slash. */
function addressOf(text: string): string | undefined {
  const url = URL.parse(text);
  return url ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : undefined;
}

const NAME = 'host-secret';
const OWNER_ONLY = 0o600;

/**
 * The secret of this host, created if missing. It is on the medium before any server gets it: a server binds the host to the first one that
 * it receives. Undefined while it cannot be stored.
 */
function createSecret(
  stateDir: string,
  files: Files,
  random: Random,
  log: Pick<Log, 'warn'>,
): () => Promise<string | undefined> {
  const path = join(stateDir, NAME);
  let durable: string | undefined;
  let told = '';
  const find = async (): Promise<string> => {
    const found = await readText(files, path);
    if (!SECRET_PATTERN.test(found)) {
      const made = Buffer.from(random.bytes(BYTES)).toString('base64url');
      await replaceFile(files, path, Buffer.from(`${made}\n`), OWNER_ONLY);
      return made;
    }
    // The agent that wrote it may have lost power before it was durable.
    await files.syncFile(path);
    await files.syncDir(stateDir);
    return found;
  };
  return async () => {
    try {
      durable ??= await find();
      return durable;
    } catch (error) {
      const { message } = asUpdateError(error);
      if (message !== told)
        log.warn({ err: message }, 'this host cannot store a secret, so it sends its fleet server none');
      told = message;
      return undefined;
    }
  };
}

const BYTES = 32;
