/** `updatectl config show`. */

import { CONFIG_DIRS, explainConfig, type Layers, readLayers, type Setting } from '../../config/config.ts';
import { appliesAtStart } from '../../config/fleet-rules.ts';
import { maskUrl } from '../../system/http/shown-address.ts';
import type { Command } from '../command.ts';

export const configShow: Command = {
  name: 'config show',
  summary: 'list every setting and its source',
  description:
    'Reads the drop-ins as the agent does, and the latest settings that the agent received from etcd. Logins and queries in addresses are hidden.',
  examples: ['updatectl config show', 'updatectl config show --dir ./config.d --json'],
  options: [{ flags: '--dir <folder>', summary: 'read this folder instead; may be repeated', repeat: true }],
  run: async ({ files, out }, input) => {
    const dirs = input.list('dir');
    const layers = await readLayers(files, dirs.length > 0 ? dirs : CONFIG_DIRS);
    const settings = settingsOf(layers).map(withoutLogins);
    const faults = [...layers.unknown, ...layers.faults].map(({ code, message }) => ({ code, message }));
    out.document({ schema: 1, settings, ...(faults.length > 0 ? { faults } : {}) });
    out.table([['SETTING', 'VALUE', 'FROM'], ...settings.map((one) => [one.path, shown(one), whence(one)])]);
    for (const { code, message } of faults) out.warn(`${message} [${code}]`);
    return undefined;
  },
};

/** `waits`: the agent started before this came from etcd, and uses another value until it restarts. */
type Shown = Setting & Readonly<{ waits?: true }>;

function settingsOf({ fragments, cache }: Layers): readonly Shown[] {
  const inForce = new Map(explainConfig(fragments, cache?.started).map(({ path, value }) => [path, value]));
  return explainConfig(fragments, cache?.latest).map((one) => {
    const isOther = JSON.stringify(one.value) !== JSON.stringify(inForce.get(one.path));
    return isOther && appliesAtStart(one.path) ? { ...one, waits: true } : one;
  });
}

const shown = ({ value, unit }: Setting): string =>
  value === undefined ? '(not set)' : `${JSON.stringify(value)}${unit === undefined ? '' : ` ${unit}`}`;

const whence = ({ origin = '', waits }: Shown): string => (waits ? `${origin}, when the agent starts` : origin);

/** The output of this command ends up in tickets. */
const withoutLogins = (setting: Shown): Shown => ({ ...setting, value: masked(setting.value) });

/** Addresses, wherever they are in a value. */
function masked(value: unknown): unknown {
  if (typeof value === 'string') return maskUrl(value);
  if (Array.isArray(value)) return value.map(masked);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, masked(one)]));
}
