/** The conditions for a host to update itself, one read-only check each. */

import { type Config, readLayers, requireSetting, resolveConfig } from '../../config/config.ts';
import { asUpdateError } from '../../errors.ts';
import { isClockSynchronised } from '../../system/clock-sync.ts';
import { freeSpace, type ReadHead, readHead, statOf } from '../../system/files.ts';
import { readFloors } from '../../verify/floors.ts';
import type { Context } from '../command.ts';
import { agentClient, isAbsent } from '../host/agent-client.ts';
import { bytes, duration } from '../units.ts';
import { bootEntries, hasPriorities, partitions } from './boot.ts';
import { backendFits } from './boot-facts.ts';
import { kernelPartitions } from './esp.ts';
import { etcdHealth } from './etcd.ts';
import { type Finding, fail, ok, unknown, warn } from './finding.ts';
import { fileSystemCheck } from './fsck.ts';
import { loaderSettings } from './loaders.ts';
import { mountOf } from './mount-table.ts';
import { deadMansTime, failedUnitsCheck, healthCheck, hookPrograms } from './programs.ts';
import type { Reading } from './reading.ts';
import { restartMethods } from './restart.ts';
import { sandbox } from './sandbox.ts';
import { ENABLED_UNITS } from './tandem-units.ts';

type DoctorWorld = Context & Readonly<{ files: Reading }>;
export type DoctorCheck = Readonly<{ name: string; run(world: DoctorWorld, config: Config): Promise<Finding> }>;

export const CHECKS: readonly DoctorCheck[] = [
  { name: 'configuration', run: (context) => configuration(context) },
  { name: 'partitions', run: partitions },
  { name: 'sandbox', run: sandbox },
  { name: 'root file system', run: (context) => rootFileSystem(context) },
  { name: 'state directory', run: (context, config) => stateDirectory(context, config) },
  { name: 'EFI partition', run: kernelPartitions },
  { name: 'file system check', run: fileSystemCheck },
  { name: 'boot backend', run: ({ files }, config) => backendFits(files, config, () => hasPriorities(config)) },
  { name: 'boot loader', run: ({ files }, config) => loaderSettings(files, config) },
  { name: 'boot entries', run: bootEntries },
  { name: 'restart', run: restartMethods },
  { name: 'health', run: ({ files }, config) => healthCheck(files, config) },
  { name: 'failed units', run: failedUnitsCheck },
  { name: 'dead man', run: ({ exec }, config) => deadMansTime(exec, config) },
  { name: 'pre-reboot', run: ({ files }, config) => hookPrograms(files, config) },
  { name: 'trust root', run: (context, config) => trustRoot(context, config) },
  { name: 'metadata', run: (context, config) => metadata(context, config) },
  { name: 'clock', run: clock },
  { name: 'units', run: (context) => units(context) },
  { name: 'etcd', run: etcdHealth },
  { name: 'agent', run: (context, config) => agent(context, config) },
];

/** Runs every check; an error that one throws becomes its finding. */
export async function runChecks(
  context: Context,
  config: Config,
  head: ReadHead = readHead,
): Promise<readonly (Finding & { name: string })[]> {
  const world: DoctorWorld = { ...context, files: { ...context.files, readHead: head } };
  const findings: (Finding & { name: string })[] = [];
  for (const { name, run } of CHECKS) {
    findings.push({ name, ...(await run(world, config).catch(findingOf)) });
    context.signal.throwIfAborted();
  }
  return findings;
}

const MOST_BYTES = 1024 * 1024;
const SOON_MS = 30 * 86_400_000;

function findingOf(error: unknown): Finding {
  const { message, entry, cause } = asUpdateError(error);
  const codes = [error, cause].map((one) => (one instanceof Error && 'code' in one ? one.code : undefined));
  const isDenied = codes.some((code) => code === 'EACCES' || code === 'EPERM') || /EACCES|EPERM/.test(message);
  if (isDenied) return unknown(`Not checked: ${message}`, 'Run it as root.');
  // The first check reports it; this one has nothing to check.
  if (codes.includes('config-invalid'))
    return unknown('Not checked: the configuration has an error.', 'Correct it first; the first check names it.');
  return codes.includes('tool-missing') ? unknown(message, entry.next) : fail(message, entry.next);
}

async function configuration({ files }: Context): Promise<Finding> {
  try {
    const layers = await readLayers(files);
    const config = resolveConfig(layers.fragments, layers.cache?.started);
    const product = requireSetting(config, 'host.product');
    const place = new URL(requireSetting(config, 'repository.url')).host;
    const [unknown] = layers.unknown;
    if (unknown) return warn(`Ignored: ${unknown.message}`, 'Correct or remove it, unless it is for a newer version.');
    return ok(`Installs ${product} from ${place}.`);
  } catch (error) {
    const { message, entry } = asUpdateError(error);
    return fail(message, entry.next);
  }
}

async function rootFileSystem({ files }: DoctorWorld): Promise<Finding> {
  const mount = await mountOf(files, '/');
  if (!mount) return unknown('The mount table has no root.', 'Check /proc/self/mountinfo.');
  if (mount.readOnly) return ok(`Read-only ${mount.type}.`);
  return fail('The running root is mounted writable.', 'Add `ro` to the kernel command line; state belongs in /var.');
}

async function stateDirectory({ files }: DoctorWorld, { agent }: Config): Promise<Finding> {
  if (!(await statOf(agent.stateDir))?.isDirectory())
    return fail(`${agent.stateDir} does not exist.`, 'Run `systemd-tmpfiles --create`.');
  const mount = await mountOf(files, agent.stateDir);
  if (mount?.readOnly) return fail(`${agent.stateDir} is on a read-only mount.`, `Mount ${mount.path} writable.`);
  if (mount?.type === 'tmpfs')
    return fail(`${agent.stateDir} is in memory and lost at every reboot.`, 'Put it on its own partition.');
  return ok(`${bytes(await freeSpace(agent.stateDir))} free in ${agent.stateDir}.`);
}

async function trustRoot({ files, clock: { now } }: DoctorWorld, { trust }: Config): Promise<Finding> {
  const content = await files.readHead(trust.rootFile, MOST_BYTES);
  if (!content) return fail(`${trust.rootFile} is missing.`, 'Put the repository’s root.json into the image.');
  const expires = expiryOf(content);
  if (!expires) return fail(`${trust.rootFile} is not a trust root.`, 'Use the repository’s metadata/1.root.json.');
  const left = expires.getTime() - now().getTime();
  // An expired root still starts the chain to the repository's current one.
  if (left < 0)
    return warn(
      `The trust root expired ${duration(-left)} ago.`,
      'The repository must have a newer root that follows it.',
    );
  if (left < SOON_MS)
    return warn(`The trust root expires in ${duration(left)}.`, 'Sign a newer root: `updatectl repo refresh`.');
  return ok(`Valid for another ${duration(left)}.`);
}

async function metadata({ files, clock: { now } }: DoctorWorld, { agent }: Config): Promise<Finding> {
  const content = await files.readHead(`${agent.stateDir}/metadata/timestamp.json`, MOST_BYTES);
  if (!content) return warn('The repository was never checked.', 'Check it: `updatectl check`.');
  const expires = expiryOf(content);
  if (!expires) return warn('The cached repository metadata is damaged.', 'Fetch it again: `updatectl check`.');
  const left = expires.getTime() - now().getTime();
  if (left >= 0) return ok(`Valid for another ${duration(left)}.`);
  return fail(
    `The cached repository metadata expired ${duration(-left)} ago, so this host installs nothing.`,
    'Run `updatectl check`. If the repository has nothing newer, its publisher runs `updatectl repo refresh`.',
  );
}

function expiryOf(content: Uint8Array): Date | undefined {
  const expires = /"expires"\s*:\s*"([0-9TZ:.-]{10,40})"/.exec(new TextDecoder().decode(content));
  const date = new Date(expires?.[1] ?? '');
  return Number.isNaN(date.getTime()) ? undefined : date;
}

async function clock({ files, exec, clock: { now } }: DoctorWorld, { agent }: Config): Promise<Finding> {
  const floor = floorIn(await files.readHead(`${agent.stateDir}/floors.json`, MOST_BYTES));
  if (floor !== undefined && now() < floor)
    return fail(
      `The clock is behind ${floor.toISOString()}, the signing time of metadata that was accepted here.`,
      'Set the clock; it decides whether metadata has expired.',
    );
  const isSynchronised = await isClockSynchronised(exec);
  if (isSynchronised === undefined)
    return unknown('systemd does not report whether the clock is synchronised.', 'Check `timedatectl`.');
  if (isSynchronised) return ok('Synchronised.');
  return warn(
    'The clock is not synchronised.',
    'Turn on time synchronisation; the clock decides whether metadata has expired.',
  );
}

/** The agent replaces a damaged floors file, and reports it. */
function floorIn(bytes: Uint8Array | undefined): Date | undefined {
  try {
    const { issued, waived = '' } = (bytes && readFloors(bytes)[0]) ?? {};
    return issued !== undefined && issued > waived ? new Date(issued) : undefined;
  } catch {
    return undefined;
  }
}

async function units({ exec }: Context): Promise<Finding> {
  const { stdout } = await exec('systemctl', ['is-enabled', ...ENABLED_UNITS]);
  const states = stdout.trim().split('\n');
  if (states.length !== ENABLED_UNITS.length)
    return unknown('systemd does not report which units are enabled.', 'Check that systemd is running.');
  const off = ENABLED_UNITS.filter((_, index) => states[index] !== 'enabled');
  if (off.length === 0) return ok('All enabled.');
  return fail(`Not enabled: ${off.join(', ')}.`, `Run \`systemctl enable ${off.join(' ')}\` in the image.`);
}

async function agent({ signal }: Context, config: Config): Promise<Finding> {
  try {
    const { agent: version, lastError } = await agentClient(config, signal).status();
    if (lastError) return warn(`${version} runs, with an error: ${lastError.message}`, lastError.next);
    return ok(`${version} answers.`);
  } catch (error) {
    if (isAbsent(error)) return fail('The agent is not running.', 'Start it: `systemctl start tandem-agent`.');
    throw error;
  }
}
