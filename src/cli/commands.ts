/** The table of commands: each is a name until it is called. */

import type { Command } from './command.ts';

export type Entry = Readonly<{ name: string; summary: string; load: () => Promise<Command> }>;

const entry = (name: string, summary: string, load: () => Promise<Command>): Entry => ({ name, summary, load });

/** Loaded only when they are called: a host asks for its status often, and for the publisher's tools never. */
export const COMMANDS: readonly Entry[] = [
  entry(
    'status',
    'what runs, what is being done, what it waits for',
    async () => (await import('./host/status.ts')).status,
  ),
  entry(
    'explain',
    'is this host up to date, and if not, what stands in the way',
    async () => (await import('./host/explain.ts')).explain,
  ),
  entry('check', 'ask the repository now', async () => (await import('./host/check.ts')).check),
  entry('install', 'write a release to the free slot', async () => (await import('./host/install.ts')).install),
  entry('apply', 'reboot into what is staged', async () => (await import('./host/apply.ts')).apply),
  entry(
    'inhibit',
    'keep this host from rebooting, while a command runs or for a time',
    async () => (await import('./host/inhibit.ts')).inhibit,
  ),
  entry(
    'rollback',
    'go back to the release in the other slot',
    async () => (await import('./host/rollback.ts')).rollback,
  ),
  entry(
    'forget',
    'lift a refusal, or what is known of the time',
    async () => (await import('./host/forget.ts')).forget,
  ),
  entry('history', 'how every attempt ended, or was disarmed', async () => (await import('./host/history.ts')).history),
  entry('metrics', 'figures of this host for Prometheus', async () => (await import('./host/metrics.ts')).metrics),
  entry(
    'config show',
    'every setting and where it came from',
    async () => (await import('./host/config-show.ts')).configShow,
  ),
  entry('doctor', 'is this host set up right', async () => (await import('./doctor/doctor.ts')).doctor),
  entry('agent', 'run the daemon', async () => (await import('./host/agent.ts')).agent),
  entry(
    'server',
    'serve a repository, and bound and watch its rollouts',
    async () => (await import('./server/server.ts')).server,
  ),
  entry(
    'server token add',
    'make a token for a viewer, an operator or hosts, and show it this once',
    async () => (await import('./server/token.ts')).serverTokenAdd,
  ),
  entry(
    'server token list',
    'who has a token, and what for',
    async () => (await import('./server/token.ts')).serverTokenList,
  ),
  entry(
    'server token revoke',
    'make a token good no longer',
    async () => (await import('./server/token.ts')).serverTokenRevoke,
  ),
  entry(
    'server machine forget',
    'forget a machine that will not come back',
    async () => (await import('./server/machine.ts')).serverMachineForget,
  ),
  entry(
    'server machine reset',
    'let a machine that was reinstalled show another secret',
    async () => (await import('./server/machine.ts')).serverMachineReset,
  ),
  entry(
    'wait-confirmed',
    'wait until the running system is proven',
    async () => (await import('./host/wait-confirmed.ts')).waitConfirmed,
  ),
  entry(
    'jump',
    'make a slot ready to be started without the boot loader',
    async () => (await import('./host/jump.ts')).jump,
  ),
  entry(
    'bundle build',
    'make a bundle from a root file system and a kernel',
    async () => (await import('./publish/bundle-build.ts')).bundleBuild,
  ),
  entry(
    'bundle inspect',
    'show what a bundle says it holds',
    async () => (await import('./publish/bundle-inspect.ts')).bundleInspect,
  ),
  entry(
    'bundle patch',
    'make patches to a release from older ones and publish them',
    async () => (await import('./publish/bundle-patch.ts')).bundlePatch,
  ),
  entry(
    'bundle verify',
    'read every byte of a bundle and check it',
    async () => (await import('./publish/bundle-verify.ts')).bundleVerify,
  ),
  entry('key generate', 'make a signing key', async () => (await import('./publish/key-generate.ts')).keyGenerate),
  entry(
    'key show',
    'show the id of a key and what it signs',
    async () => (await import('./publish/key-show.ts')).keyShow,
  ),
  entry(
    'repo init',
    'make an empty repository and its keys',
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
    'take a release out of the repository and delete its file',
    async () => (await import('./publish/repo-remove.ts')).repoRemove,
  ),
  entry(
    'repo refresh',
    'sign the timestamp again, and the snapshot when it is half-way to its expiry',
    async () => (await import('./publish/repo-refresh.ts')).repoRefresh,
  ),
  entry(
    'repo recover',
    'put into use what was signed and lost, above all that hosts have seen',
    async () => (await import('./publish/repo-recover.ts')).repoRecover,
  ),
  entry(
    'repo list',
    'show the releases of a repository, and what its channels offer',
    async () => (await import('./publish/repo-list.ts')).repoList,
  ),
  entry(
    'repo rotate-key',
    'replace a key of a role',
    async () => (await import('./publish/repo-rotate-key.ts')).repoRotateKey,
  ),
  entry(
    'repo verify',
    'check all metadata and every file, and show what expires when',
    async () => (await import('./publish/repo-verify.ts')).repoVerify,
  ),
  entry(
    'rollout start',
    'offer a release to the hosts of a channel little by little',
    async () => (await import('./rollout/start.ts')).rolloutStart,
  ),
  entry(
    'rollout status',
    'what a channel offers, and to whom so far',
    async () => (await import('./rollout/status.ts')).rolloutStatus,
  ),
  entry(
    'rollout machines',
    'the machines of a fleet, or those that are looked for: names, addresses, versions',
    async () => (await import('./rollout/machines.ts')).rolloutMachines,
  ),
  entry(
    'rollout readmit',
    'let machines try a release again that has failed on them',
    async () => (await import('./rollout/readmit.ts')).rolloutReadmit,
  ),
  entry(
    'rollout pause',
    'let nobody new have the release',
    async () => (await import('./rollout/pause.ts')).rolloutPause,
  ),
  entry(
    'rollout resume',
    'let a paused rollout go on',
    async () => (await import('./rollout/resume.ts')).rolloutResume,
  ),
  entry(
    'rollout abort',
    'offer again what the channel offered before',
    async () => (await import('./rollout/abort.ts')).rolloutAbort,
  ),
  entry(
    'rollout history',
    'what has been done to the rollouts of a channel',
    async () => (await import('./rollout/history.ts')).rolloutHistory,
  ),
  entry(
    'rollout plan',
    'who gets the release of a channel when',
    async () => (await import('./rollout/plan.ts')).rolloutPlan,
  ),
  entry(
    'rollout simulate',
    'play a rollout against a fleet that does not exist',
    async () => (await import('./rollout/simulate.ts')).rolloutSimulate,
  ),
  entry(
    'lock status',
    'who holds the lock on rebooting, and who waits for it',
    async () => (await import('./lock/lock-status.ts')).lockStatus,
  ),
  entry(
    'lock release',
    'free what a host holds that will not come back',
    async () => (await import('./lock/lock-release.ts')).lockRelease,
  ),
  entry(
    'lock set-max',
    'how many hosts may reboot at once',
    async () => (await import('./lock/lock-set-max.ts')).lockSetMax,
  ),
  entry('completion', 'completion for bash, zsh or fish', async () => (await import('./completion.ts')).completion),
];

/** What the words are that begin several commands. */
export const GROUPS: Readonly<Record<string, string>> = {
  config: 'the settings of this host',
  bundle: 'make a release, look into one',
  key: 'keys that sign',
  repo: 'publish releases',
  lock: 'the fleet’s lock on rebooting',
  rollout: 'bring a release to a fleet little by little',
  token: 'who may do what on a fleet server',
  machine: 'what a fleet server knows of a machine',
};
