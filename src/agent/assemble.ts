/** Assembles the agent of this host from the configuration and the outside world. */

import { join } from 'node:path';
import { decodePool } from '../bundle/decode/pool.ts';
import { type Config, requireSetting } from '../config/config.ts';
import { UpdateError } from '../errors.ts';
import { osReleaseValue } from '../formats/pe.ts';
import { type Product, type Release, type SlotName, VERSION_PATTERN, type Version } from '../model.ts';
import type { BootBackend } from '../reboot/bootloaders/bootloader.ts';
import { deadMan } from '../reboot/dead-man.ts';
import type { Kernels } from '../reboot/kernels/kernels.ts';
import { rebootByFirmware } from '../reboot/methods/firmware.ts';
import { startSchedule } from '../system/cron.ts';
import { type Files, readText } from '../system/files.ts';
import { createHttp, type Http } from '../system/http/http.ts';
import { fetchRanges } from '../system/http/ranges.ts';
import { createRateLimit } from '../system/http/rate-limit.ts';
import { readMachineId } from '../system/machine-id.ts';
import { createTrust, type Trust } from '../verify/client.ts';
import { httpMetadata, type MetadataMirror } from '../verify/metadata-fetch.ts';
import { type Agent, createAgent } from './agent.ts';
import { openBootLoader, triesToArm } from './boot-loader.ts';
import { withFleetServer } from './find/fleet-client.ts';
import { fleetServer } from './find/fleet-server.ts';
import { createIdentity } from './find/host-identity.ts';
import { createReleases, type Releases } from './find/releases.ts';
import { hookGate } from './gates/hook-gate.ts';
import { createGates } from './gates/host-gates.ts';
import { rebootNotice } from './gates/notice.ts';
import { openLock } from './gates/open-lock.ts';
import { createDeltaCache } from './install/delta/cache.ts';
import { loadRate, saveRate } from './install/delta/rate.ts';
import { createTransfer, type Transfer } from './install/delta/transfer.ts';
import type { DeltaWorld } from './install/delta/world.ts';
import { findHost, type Host, realDoors, slotLabels } from './install/host.ts';
import { type InstallerWorld, prepareInstall } from './install/installer.ts';
import { scrubSlot } from './install/scrub.ts';
import { excused } from './loop/failed-before.ts';
import { lookAtHealth, noteFailed, proveHealth } from './loop/health.ts';
import { openJournal } from './loop/journal.ts';
import { journeyFrom } from './restart/journey.ts';
import { freeSlot } from './restart/preparation.ts';
import { configuredRestart, onlyFirmware } from './restart/restart.ts';
import type { AgentWorld } from './running.ts';
import { liveGates, withFleetSettings } from './settings/live.ts';
import type { Surroundings } from './surroundings.ts';

/** The agent of this host, not yet running. */
export async function assembleAgent(config: Config, world: Surroundings): Promise<Agent> {
  const { files, log } = world;
  const product = requireSetting(config, 'host.product') as Product;
  const { stateDir } = config.agent;
  await files.makeDir(stateDir);
  const disk = config.slots.disk === 'auto' ? undefined : config.slots.disk;
  const host = await findHost(slotLabels(config), world.doors ?? realDoors(disk, (sentence) => log.warn(sentence)));
  const { backend: boot, kernels } = openBootLoader(config, world, { ...host, product });
  const journal = openJournal(files, stateDir, log);
  const repository = await repositoryOf(config, world, product);
  const situation = async () => ({
    saved: await journal.load(),
    confirmed: (await boot.read()).slots[host.booted].confirmed,
    last: await journal.lastEnded(),
  });
  const identity = createIdentity(config.fleet.url, stateDir, world);
  const fleet = await fleetServer(config, world, repository.http, situation, identity, journal);
  const releases = fleet ? withFleetServer(repository.releases, fleet) : repository.releases;
  const schedule = startSchedule(config.poll.schedule, () => {}, world.signal);
  const bootId = world.bootId ?? (await readText(files, '/proc/sys/kernel/random/boot_id'));
  const member = await memberOf(config, files);
  const agentWorld: AgentWorld = {
    product,
    architecture: config.host.architecture ?? world.architecture,
    version: world.version,
    member,
    booted: host.booted,
    bootId,
    systemVersion: await systemVersion(files),
    tries: triesToArm(config, boot, log),
    journal,
    boot,
    deadMan: deadMan(files, config.agent, boot.name, kernels.rootHash),
    releases,
    ...installing(config, world, { host, kernels, releases }),
    scrub: (slot, told, stop) => scrub(host, kernels, slot, told, stop),
    gates: liveGates(world.settings?.current ?? (() => config), (now) =>
      createGates(now, { ...world, probe: () => lookAtHealth(config, world, world.signal) }, member.machine),
    ),
    notice: rebootNotice(files, config.agent.runtimeDir, log),
    hooks: hookGate({ ...world, ...hookSettings(config) }),
    lock: await openLock(config, { ...world, identity }),
    probe: (stop) => proveHealth(config, world, host.booted, stop),
    noteFailed: () => noteFailed(config, world, host.booted, world.signal),
    excused: () => excused(files, stateDir, host.booted),
    ...waysOut(config, world, { kernels, bootId, booted: host.booted, boot }),
    proven: repository.proven,
    waiveClock: repository.waiveClock,
    limits: limitsOf(config),
    scheduled: () => schedule.next(),
    clock: world.clock,
    random: world.random,
    log,
  };
  return withFleetSettings(await createAgent(agentWorld, world.signal), world.settings);
}

/** The configured repository, and the stored metadata about it. */
async function repositoryOf(config: Config, world: Surroundings, product: Product) {
  const trust = await trustOf(config, world);
  const http = await httpOf(config, world);
  const urls = [requireSetting(config, 'repository.url'), ...config.repository.mirrors] as const;
  const ofServer = () => trust(httpMetadata(http, urls));
  const releases = createReleases({
    product,
    channel: config.repository.channel,
    group: config.host.group,
    machine: () => readMachineId(world.files),
    urls,
    http,
    resumption: { clock: world.clock, random: world.random },
    trust,
  });
  return {
    http,
    releases,
    proven: async ({ counter }: Release): Promise<void> => {
      if (counter !== undefined) await ofServer().raiseCounter(product, counter);
    },
    waiveClock: () => ofServer().waiveClock(),
  };
}

/** The installer, and its progress. */
function installing(
  config: Config,
  world: Surroundings,
  { host, kernels, releases }: Readonly<{ host: Host; kernels: Kernels; releases: Releases }>,
): Pick<AgentWorld, 'prepare' | 'transfer'> {
  const { files, clock, log } = world;
  const { stateDir } = config.agent;
  const installer: Omit<InstallerWorld, 'told'> = {
    find: (release, stop) => releases.open(release, clock.now(), stop),
    openSlot: host.openSlot,
    kernels,
    runningRootHash: () => kernels.rootHash(host.booted),
    pool: () => decodePool({ workers: config.download.threads, entry: world.entry }),
    delta: deltaWorld(config, world, host, kernels),
    log,
  };
  let transfer: Transfer | undefined;
  return {
    prepare: async (release, target, told, stop) => {
      const counting = createTransfer(clock, await loadRate(files, stateDir));
      transfer = counting;
      await freeSlot(config, world, host, target);
      const prepared = await prepareInstall({ ...installer, transfer: counting, told }, release, target, stop);
      const keepRate = (): Promise<void> => keptRate(files, stateDir, counting);
      return { ...prepared, write: () => prepared.write().finally(keepRate) };
    },
    transfer: () => transfer?.status(),
  };
}

/** A simulated machine has its own way to restart. */
function waysOut(
  config: Config,
  world: Surroundings,
  { boot, ...here }: Readonly<{ kernels: Kernels; bootId: string; booted: SlotName; boot: BootBackend }>,
): Pick<AgentWorld, 'reboot' | 'restart' | 'journey'> {
  if (world.reboot) return { reboot: world.reboot, restart: onlyFirmware(here.bootId, world.clock) };
  return {
    reboot: () => rebootByFirmware(world.exec, boot.rebootArgument),
    restart: configuredRestart(config, world, here),
    journey: (departure) => journeyFrom(departure, here.bootId, world),
  };
}

const limitsOf = ({ poll }: Config): AgentWorld['limits'] => ({
  jitterMs: poll.jitterMinutes * MINUTE,
  backoffMs: poll.backoffMinutes * MINUTE,
  backoffLimitMs: poll.backoffLimitMinutes * MINUTE,
});

const MINUTE = 60_000;

/** The parts needed to assemble a release from the running one. */
function deltaWorld(
  { agent: { stateDir }, download: { connections } }: Config,
  { files, clock, random, log }: Surroundings,
  host: Host,
  kernels: Kernels,
): DeltaWorld {
  return {
    openRunning: async () => {
      const rootHash = await kernels.rootHash(host.booted);
      const uki = await kernels.open(host.booted);
      return rootHash && { rootHash, ...(await host.openForReading(host.booted)), ...(uki ? { uki } : {}) };
    },
    fetchRanges: (mirrors, ranges, options) =>
      fetchRanges(mirrors, ranges, { ...options, connections, resumption: { clock, random } }),
    cache: createDeltaCache(files, join(stateDir, 'delta'), log),
  };
}

const hookSettings = ({
  agent: { stateDir, runtimeDir },
  reboot: { hookDirectories, hookTimeoutMinutes },
}: Config) => ({
  dirs: hookDirectories,
  stateDir,
  runtimeDir,
  timeoutMs: hookTimeoutMinutes * MINUTE,
});

async function keptRate(files: Files, stateDir: string, transfer: Transfer): Promise<void> {
  const rate = transfer.rate();
  if (rate !== undefined) await saveRate(files, stateDir, rate);
}

/** Trust starts at the root file of the image, whatever the state directory contains. */
async function trustOf(
  config: Config,
  { files, log }: Surroundings,
): Promise<(mirrors: readonly MetadataMirror[]) => Trust> {
  const { rootFile } = config.trust;
  const embeddedRoot = await files.read(rootFile);
  if (!embeddedRoot)
    throw new UpdateError('trust-root-missing', `${rootFile} is missing: the repository's root.json belongs there.`);
  const { stateDir } = config.agent;
  return (mirrors) =>
    createTrust({
      files,
      metadataDir: `${stateDir}/metadata`,
      floorsPath: `${stateDir}/floors.json`,
      embeddedRoot,
      mirrors,
      log,
    });
}

async function httpOf(config: Config, { files, clock, version }: Surroundings): Promise<Http> {
  const { proxy, caFile } = config.repository;
  const ca = caFile === undefined ? undefined : await files.read(caFile);
  if (caFile !== undefined && ca === undefined)
    throw new UpdateError('config-invalid', `repository.ca_file names ${caFile}, which does not exist.`);
  const { connectTimeoutSeconds, idleTimeoutSeconds, minimumRateBytes, rateLimitBytes } = config.download;
  return createHttp({
    connectTimeoutMs: connectTimeoutSeconds * 1000,
    idleTimeoutMs: idleTimeoutSeconds * 1000,
    minimumRate: { bytesPerSecond: minimumRateBytes, windowMs: MINUTE },
    rateLimit: createRateLimit({ bytesPerSecond: rateLimitBytes, clock }),
    userAgent: `tandem/${version}`,
    clock,
    ...(proxy === undefined ? {} : { proxy }),
    ...(ca === undefined ? {} : { ca }),
  });
}

async function scrub(
  host: Host,
  kernels: Kernels,
  slot: SlotName,
  ...rest: [told: Parameters<typeof scrubSlot>[2], stop: AbortSignal]
): Promise<void> {
  const rootHash = await kernels.rootHash(slot);
  if (rootHash === undefined) throw new UpdateError('no-way-back');
  await using open = await host.openForReading(slot);
  await scrubSlot(open, rootHash, ...rest);
}

/** A host without an id can do everything except take part in a rollout, which then reports it. */
async function memberOf({ host: { group } }: Config, files: Files): Promise<AgentWorld['member']> {
  const machine = await readMachineId(files).catch(() => undefined);
  return { group, ...(machine === undefined ? {} : { machine }) };
}

async function systemVersion(files: Files): Promise<Version> {
  const release = await readText(files, '/etc/os-release');
  const version = osReleaseValue(release, 'IMAGE_VERSION') ?? osReleaseValue(release, 'VERSION_ID') ?? '';
  return (VERSION_PATTERN.test(version) ? version : '0') as Version;
}
