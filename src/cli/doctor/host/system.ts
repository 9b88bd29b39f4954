/** The configuration of this host, its file systems, its units and its agent. */

import { type Config, readLayers, requireSetting, resolveConfig } from '../../../config/config.ts';
import { asUpdateError } from '../../../errors.ts';
import { freeSpace, statOf } from '../../../system/files.ts';
import type { Context } from '../../command.ts';
import { agentClient, isAbsent } from '../../host/agent-client.ts';
import { bytes } from '../../units.ts';
import { type Finding, fail, ok, unknown, warn } from '../finding.ts';
import { mountOf } from '../mount-table.ts';
import { ENABLED_UNITS } from '../tandem-units.ts';
import type { DoctorWorld } from '../world.ts';

export async function configuration({ files }: Context): Promise<Finding> {
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

export async function rootFileSystem({ files }: DoctorWorld): Promise<Finding> {
  const mount = await mountOf(files, '/');
  if (!mount) return unknown('The mount table has no root.', 'Check /proc/self/mountinfo.');
  if (mount.readOnly) return ok(`Read-only ${mount.type}.`);
  return fail('The running root is mounted writable.', 'Add `ro` to the kernel command line; state belongs in /var.');
}

export async function stateDirectory({ files }: DoctorWorld, { agent }: Config): Promise<Finding> {
  if (!(await statOf(agent.stateDir))?.isDirectory())
    return fail(`${agent.stateDir} does not exist.`, 'Run `systemd-tmpfiles --create`.');
  const mount = await mountOf(files, agent.stateDir);
  if (mount?.readOnly) return fail(`${agent.stateDir} is on a read-only mount.`, `Mount ${mount.path} writable.`);
  if (mount?.type === 'tmpfs')
    return fail(`${agent.stateDir} is in memory and lost at every reboot.`, 'Put it on its own partition.');
  return ok(`${bytes(await freeSpace(agent.stateDir))} free in ${agent.stateDir}.`);
}

export async function units({ exec }: Context): Promise<Finding> {
  const { stdout } = await exec('systemctl', ['is-enabled', ...ENABLED_UNITS]);
  const states = stdout.trim().split('\n');
  if (states.length !== ENABLED_UNITS.length)
    return unknown('systemd does not report which units are enabled.', 'Check that systemd is running.');
  const off = ENABLED_UNITS.filter((_, index) => states[index] !== 'enabled');
  if (off.length === 0) return ok('All enabled.');
  return fail(`Not enabled: ${off.join(', ')}.`, `Run \`systemctl enable ${off.join(' ')}\` in the image.`);
}

export async function agent({ signal }: Context, config: Config): Promise<Finding> {
  try {
    const { agent: version, lastError } = await agentClient(config, signal).status();
    if (lastError) return warn(`${version} runs, with an error: ${lastError.message}`, lastError.next);
    return ok(`${version} answers.`);
  } catch (error) {
    if (isAbsent(error)) return fail('The agent is not running.', 'Start it: `systemctl start tandem-agent`.');
    throw error;
  }
}
