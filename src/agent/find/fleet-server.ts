/** The configured fleet server of this host. */

import { type Config, requireSetting } from '../../config/config.ts';
import { UpdateError } from '../../errors.ts';
import type { Product } from '../../model.ts';
import { SECRET_HEADER } from '../../protocol.ts';
import { type Files, readText } from '../../system/files.ts';
import type { Http } from '../../system/http/http.ts';
import { readMachineId } from '../../system/machine-id.ts';
import type { FleetServer } from './fleet-client.ts';
import { readFacts } from './host-facts.ts';
import type { Identity } from './host-identity.ts';
import { forgive, type StanceWorld, stanceOf } from './stance.ts';

export type FleetServerWorld = Readonly<{
  files: Files;
  version: string;
  architecture: string;
  addressTowards?(url: string): Promise<string | undefined>;
}>;

/** The server to ask before beginning a rollout, if there is one. */
export async function fleetServer(
  config: Config,
  world: FleetServerWorld,
  http: Http,
  situation: FleetServer['situation'],
  identity: Identity,
  journal: StanceWorld['journal'],
): Promise<FleetServer | undefined> {
  const { files, version, addressTowards = async () => undefined } = world;
  const { url, tokenFile } = config.fleet;
  if (url === undefined) return undefined;
  const product = requireSetting(config, 'host.product') as Product;
  const host = { group: config.host.group, product, channel: config.repository.channel, agent: version };
  const architecture = config.host.architecture ?? world.architecture;
  const stance = { journal, host: { product, architecture, agentVersion: version } };
  // With a proxy, the proxy is what the host reaches.
  const address = () => addressTowards(config.repository.proxy ?? url);
  return {
    http,
    url,
    token: () => readToken(files, tokenFile),
    host,
    machine: () => readMachineId(files),
    // The body already has its id and its hardware.
    identity: async () => {
      const { [SECRET_HEADER]: secret } = await identity(url);
      return secret === undefined ? {} : { [SECRET_HEADER]: secret };
    },
    facts: () => readFacts({ files, architecture, address }),
    situation,
    stance: (...offered) => stanceOf(stance, ...offered),
    forgive: (release) => forgive(stance, release),
  };
}

/** Read for each request, so that a host that gets its token later needs no restart. */
async function readToken(files: Files, path: string): Promise<string | undefined> {
  const token = await readText(files, path);
  if (token === '') return undefined;
  if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new UpdateError(
    'config-invalid',
    `${path} (fleet.token_file) does not hold a token: one line of printable ASCII.`,
  );
}
