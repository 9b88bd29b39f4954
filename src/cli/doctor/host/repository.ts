/** Whether the repository answers. Nothing is verified: `updatectl check` does that. */

import { type Config, requireSetting } from '../../../config/config.ts';
import { asUpdateError, ERRORS, UpdateError } from '../../../errors.ts';
import type { Http, HttpOptions } from '../../../system/http/http.ts';
import { LIMITS } from '../../../verify/documents.ts';
import { fileUrl } from '../../../verify/metadata-fetch.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { DoctorWorld } from '../world.ts';

/** The first address must answer; where a mirror does instead, updates continue. */
export async function repository(world: DoctorWorld, config: Config): Promise<Finding> {
  const url = requireSetting(config, 'repository.url');
  const http = world.http(await optionsOf(world, config));
  const fault = await faultOf(world, http, url);
  if (!fault) return ok(`${new URL(url).host} answers.`);
  for (const mirror of config.repository.mirrors)
    if (!(await faultOf(world, http, mirror)))
      return warn(`${fault.sentence} The mirror ${new URL(mirror).host} answers.`, fault.next);
  return fail(fault.sentence, fault.next);
}

/** A person waits for the answer. */
const PATIENCE_MS = 5_000;
const WHOLE_MS = 15_000;

async function optionsOf(
  { files, clock, version }: DoctorWorld,
  { repository: { proxy, caFile } }: Config,
): Promise<HttpOptions> {
  const ca = caFile === undefined ? undefined : await files.readHead(caFile, 1024 * 1024);
  return {
    connectTimeoutMs: PATIENCE_MS,
    idleTimeoutMs: PATIENCE_MS,
    userAgent: `tandem/${version}`,
    clock,
    ...(proxy === undefined ? {} : { proxy }),
    ...(ca === undefined ? {} : { ca }),
  };
}

type Fault = Readonly<{ sentence: string; next: string }>;

async function faultOf(
  { signal }: DoctorWorld,
  http: Pick<Http, 'fetchBytes'>,
  url: string,
): Promise<Fault | undefined> {
  const late = AbortSignal.timeout(WHOLE_MS);
  try {
    const request = { maxBytes: LIMITS.timestamp, signal: AbortSignal.any([signal, late]) };
    const bytes = await http.fetchBytes(fileUrl(url, 'metadata/timestamp.json'), request);
    return isMetadata(bytes)
      ? undefined
      : {
          sentence: `${new URL(url).host} answers with something that is no repository, such as a sign-in page.`,
          next: CHECK_URL,
        };
  } catch (error) {
    signal.throwIfAborted();
    return sentenceFor(late.aborted ? new UpdateError('server-timeout') : asUpdateError(error), new URL(url));
  }
}

const CHECK_URL = 'Check repository.url.';

function isMetadata(bytes: Uint8Array): boolean {
  try {
    const document: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof document === 'object' && document !== null && 'signed' in document;
  } catch {
    return false;
  }
}

/** Which step failed: the name, the connection, the certificate, or the file. */
function sentenceFor({ code, message, entry }: UpdateError, { host, hostname }: URL): Fault {
  if (code === 'server-unreachable') {
    const step = STEPS.find(({ sign }) => sign.test(message));
    if (step) return { sentence: step.sentence(host), next: step.next(hostname) };
  }
  if (code === 'server-timeout')
    return { sentence: `${host} does not answer in time.`, next: 'Check routes, firewalls and the server.' };
  if (code === 'tls-untrusted')
    return { sentence: `The certificate of ${host} is not trusted: ${message}`, next: entry.next };
  if (code === 'not-found-on-server')
    return {
      sentence: `${host} answers, but has no repository at that address: metadata/timestamp.json is missing.`,
      next: CHECK_URL,
    };
  return { sentence: message, next: entry.next };
}

type Step = Readonly<{ sign: RegExp; sentence(host: string): string; next(name: string): string }>;

const STEPS: readonly Step[] = [
  {
    sign: /ENOTFOUND|EAI_FAIL/,
    sentence: (host) => `The name ${host} does not exist.`,
    next: (name) => `Check repository.url, and name resolution: \`getent ahosts ${name}\`.`,
  },
  {
    sign: /EAI_AGAIN/,
    sentence: (host) => `No name server answers, so ${host} is not found.`,
    next: () => 'Check the network and /etc/resolv.conf.',
  },
  {
    sign: /ECONNREFUSED/,
    sentence: (host) => `${host} refuses the connection.`,
    next: () => 'Check that the web server runs, and the port in repository.url.',
  },
  {
    sign: /EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN/,
    sentence: (host) => `There is no route to ${host}.`,
    next: () => ERRORS['server-unreachable'].next,
  },
];
