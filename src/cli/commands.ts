/** The table of commands; each is only a name until it runs. */

import type { Command } from './command.ts';

export type CommandEntry = Readonly<{ name: string; summary: string; load: () => Promise<Command> }>;

const entry = (name: string, summary: string, load: () => Promise<Command>): CommandEntry => ({ name, summary, load });

/** Loaded only when they run: a host often asks for its status, and never for the publisher's tools. */
export const COMMANDS: readonly CommandEntry[] = [
  entry(
    'status',
    'show what runs, the current step, and what it waits for',
    async () => (await import('./host/status.ts')).status,
  ),
  entry(
    'explain',
    'show whether this host is up to date, and if not, why',
    async () => (await import('./host/explain.ts')).explain,
  ),
  entry('check', 'check the repository now', async () => (await import('./host/check.ts')).check),
  entry('install', 'write a release to the free slot', async () => (await import('./host/install.ts')).install),
  entry('apply', 'reboot into the staged release', async () => (await import('./host/apply.ts')).apply),
  entry(
    'inhibit',
    'keep this host from rebooting while a command runs, or for a set time',
    async () => (await import('./host/inhibit.ts')).inhibit,
  ),
  entry(
    'rollback',
    'return to the release in the other slot',
    async () => (await import('./host/rollback.ts')).rollback,
  ),
  entry(
    'forget',
    'lift refusals, or forget the recorded signing time',
    async () => (await import('./host/forget.ts')).forget,
  ),
  entry('history', 'list past attempts and how they ended', async () => (await import('./host/history.ts')).history),
  entry(
    'metrics',
    'print metrics of this host for Prometheus',
    async () => (await import('./host/metrics.ts')).metrics,
  ),
  entry(
    'config show',
    'list every setting and its source',
    async () => (await import('./host/config-show.ts')).configShow,
  ),
  entry(
    'doctor',
    'check the setup of this host, or a file tree before it starts',
    async () => (await import('./doctor/doctor.ts')).doctor,
  ),
  entry('agent', 'run the daemon', async () => (await import('./host/agent.ts')).agent),
  entry(
    'server',
    'serve a repository, and limit and watch its rollouts',
    async () => (await import('./server/server.ts')).server,
  ),
  entry(
    'server token add',
    'create a token for a viewer, an operator or hosts, and show it once',
    async () => (await import('./server/token.ts')).serverTokenAdd,
  ),
  entry(
    'server token list',
    'list the tokens and their roles',
    async () => (await import('./server/token.ts')).serverTokenList,
  ),
  entry('server token revoke', 'revoke a token', async () => (await import('./server/token.ts')).serverTokenRevoke),
  entry(
    'server machine forget',
    'forget a machine that will not come back',
    async () => (await import('./server/machine.ts')).serverMachineForget,
  ),
  entry(
    'server machine reset',
    'accept a new secret from a reinstalled machine',
    async () => (await import('./server/machine.ts')).serverMachineReset,
  ),
  entry(
    'wait-confirmed',
    'wait until the running system is confirmed',
    async () => (await import('./host/wait-confirmed.ts')).waitConfirmed,
  ),
  entry('jump', 'prepare a slot to start without the boot loader', async () => (await import('./host/jump.ts')).jump),
  entry(
    'bundle build',
    'build a bundle from a root file system and a kernel',
    async () => (await import('./publish/bundle-build.ts')).bundleBuild,
  ),
  entry(
    'bundle inspect',
    'show what the manifest of a bundle lists',
    async () => (await import('./publish/bundle-inspect.ts')).bundleInspect,
  ),
  entry(
    'bundle patch',
    'make patches to a release from older ones, and publish them',
    async () => (await import('./publish/bundle-patch.ts')).bundlePatch,
  ),
  entry(
    'bundle verify',
    'read and check every byte of a bundle',
    async () => (await import('./publish/bundle-verify.ts')).bundleVerify,
  ),
  entry(
    'image build',
    'make a bootable disk image from a bundle, or write it to a disk',
    async () => (await import('./image/build.ts')).imageBuild,
  ),
  entry(
    'image inspect',
    'show the partitions, slots, boot entries and settings on a disk or disk image',
    async () => (await import('./image/inspect.ts')).imageInspect,
  ),
  entry('key generate', 'create a signing key', async () => (await import('./publish/key-generate.ts')).keyGenerate),
  entry(
    'key show',
    'show the id of a key and what it signs',
    async () => (await import('./publish/key-show.ts')).keyShow,
  ),
  entry(
    'repo init',
    'create an empty repository and its keys',
    async () => (await import('./publish/repo-init.ts')).repoInit,
  ),
  entry(
    'repo add',
    'check a bundle and publish it as a release',
    async () => (await import('./publish/repo-add.ts')).repoAdd,
  ),
  entry(
    'repo promote',
    'offer a release to the hosts of a channel',
    async () => (await import('./publish/repo-promote.ts')).repoPromote,
  ),
  entry(
    'repo remove',
    'remove a release from the repository and delete its file',
    async () => (await import('./publish/repo-remove.ts')).repoRemove,
  ),
  entry(
    'repo refresh',
    'renew the timestamp, and the snapshot once half its lifetime is over',
    async () => (await import('./publish/repo-refresh.ts')).repoRefresh,
  ),
  entry(
    'repo recover',
    'restore metadata that was signed and then lost, above all what hosts have seen',
    async () => (await import('./publish/repo-recover.ts')).repoRecover,
  ),
  entry(
    'repo list',
    'list the releases of a repository, and what its channels offer',
    async () => (await import('./publish/repo-list.ts')).repoList,
  ),
  entry(
    'repo rotate-key',
    'replace a key of a role',
    async () => (await import('./publish/repo-rotate-key.ts')).repoRotateKey,
  ),
  entry(
    'repo verify',
    'check all metadata and every file, and show expiry times',
    async () => (await import('./publish/repo-verify.ts')).repoVerify,
  ),
  entry(
    'rollout start',
    'offer a release to the hosts of a channel gradually',
    async () => (await import('./rollout/start.ts')).rolloutStart,
  ),
  entry(
    'rollout status',
    'show what a channel offers, and to which hosts so far',
    async () => (await import('./rollout/status.ts')).rolloutStatus,
  ),
  entry(
    'rollout machines',
    'list or search the machines of a fleet: names, addresses, versions',
    async () => (await import('./rollout/machines.ts')).rolloutMachines,
  ),
  entry(
    'rollout readmit',
    'let machines retry a release that failed on them',
    async () => (await import('./rollout/readmit.ts')).rolloutReadmit,
  ),
  entry(
    'rollout pause',
    'stop offering the release to more hosts',
    async () => (await import('./rollout/pause.ts')).rolloutPause,
  ),
  entry('rollout resume', 'resume a paused rollout', async () => (await import('./rollout/resume.ts')).rolloutResume),
  entry(
    'rollout abort',
    'offer the previous release of the channel again',
    async () => (await import('./rollout/abort.ts')).rolloutAbort,
  ),
  entry(
    'rollout history',
    'list the changes to the rollouts of a channel',
    async () => (await import('./rollout/history.ts')).rolloutHistory,
  ),
  entry(
    'rollout plan',
    'show which hosts get the release of a channel, and when',
    async () => (await import('./rollout/plan.ts')).rolloutPlan,
  ),
  entry(
    'rollout simulate',
    'simulate a rollout on an imaginary fleet',
    async () => (await import('./rollout/simulate.ts')).rolloutSimulate,
  ),
  entry(
    'lock status',
    'show the holders of the reboot lock, and the hosts waiting for it',
    async () => (await import('./lock/lock-status.ts')).lockStatus,
  ),
  entry(
    'lock release',
    'free the reboot lock of a host that will not come back',
    async () => (await import('./lock/lock-release.ts')).lockRelease,
  ),
  entry(
    'lock set-max',
    'set how many hosts may reboot at once',
    async () => (await import('./lock/lock-set-max.ts')).lockSetMax,
  ),
  entry(
    'completion',
    'print a completion script for bash, zsh or fish',
    async () => (await import('./completion.ts')).completion,
  ),
];

/** The first words that several commands share. */
export const GROUPS: Readonly<Record<string, string>> = {
  config: 'settings of this host',
  bundle: 'build and inspect releases',
  image: 'disks of new machines',
  key: 'signing keys',
  repo: 'publish releases',
  lock: 'the fleet’s reboot lock',
  rollout: 'roll a release out to a fleet gradually',
  token: 'tokens of a fleet server',
  machine: 'machines known to a fleet server',
};
