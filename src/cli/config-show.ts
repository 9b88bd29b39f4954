/** `updatectl config show`. */

import { CONFIG_DIRS, explainConfig, readLayers, type Setting } from '../config.ts';
import type { Command } from './command.ts';

export const configShow: Command = {
  name: 'config show',
  summary: 'every setting and where it came from',
  description:
    'Reads the drop-ins as the agent does, and what the agent last heard from etcd. Logins within addresses are not shown.',
  examples: ['updatectl config show', 'updatectl config show --dir ./config.d --json'],
  options: [{ flags: '--dir <folder>', summary: 'read this folder instead; may be repeated', repeat: true }],
  run: async ({ files, out }, input) => {
    const dirs = input.list('dir');
    const { fragments, cache, faults } = await readLayers(files, dirs.length > 0 ? dirs : CONFIG_DIRS);
    const settings = explainConfig(fragments, cache?.latest).map(withoutLogin);
    out.document({ schema: 1, settings, ...(faults.length > 0 ? { faults } : {}) });
    out.table([['SETTING', 'VALUE', 'FROM'], ...settings.map((one) => [one.path, shown(one), one.origin ?? ''])]);
    for (const { code, message } of faults) out.warn(`${message} [${code}]`);
    return undefined;
  },
};

const shown = ({ value, unit }: Setting): string =>
  value === undefined ? '(not set)' : `${JSON.stringify(value)}${unit === undefined ? '' : ` ${unit}`}`;

/** The output of this command ends up in tickets. */
function withoutLogin(setting: Setting): Setting {
  if (typeof setting.value !== 'string' || !/^https?:/i.test(setting.value)) return setting;
  const url = new URL(setting.value);
  if (url.username === '' && url.password === '') return setting;
  url.username = '***';
  url.password = '';
  return { ...setting, value: url.href };
}
