/** What this host shows to its fleet server with every request: a secret that it made itself, and which machine it is. */

import { join } from 'node:path';
import { asUpdateError } from '../../errors.ts';
import { HARDWARE_HEADER, MACHINE_HEADER, SECRET_HEADER, SECRET_PATTERN } from '../../protocol.ts';
import { type Files, readText, replaceFile } from '../../system/files.ts';
import { readHardwareId } from '../../system/hardware-id.ts';
import type { Log } from '../../system/log.ts';
import { readMachineId } from '../../system/machine-id.ts';
import type { Random } from '../../system/random.ts';

export type IdentityWorld = Readonly<{ files: Files; random: Random; log: Pick<Log, 'warn'> }>;

/** The headers for a request to `url`; empty for whoever is not the fleet server: the secret is told nobody else. */
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

/** Without a login or a slash at its end. */
function addressOf(text: string): string | undefined {
  const url = URL.parse(text);
  return url ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : undefined;
}

const NAME = 'host-secret';
const OWNER_ONLY = 0o600;

/**
 * The secret of this host, made where there is none. It is on the medium before anybody is told: a server holds the host to the first one that
 * it hears. Undefined while it cannot be kept.
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
    // Whoever wrote it may have lost its power before it was there for good.
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
        log.warn({ err: message }, 'this host cannot keep a secret, so it shows its fleet server none');
      told = message;
      return undefined;
    }
  };
}

const BYTES = 32;
