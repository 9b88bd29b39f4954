/** `updatectl config show`. */

import { CONFIG_DIRS, explainConfig, type Setting } from '../config.ts';
import { readFragments } from '../config-fragments.ts';
import type { Command } from './command.ts';

export const configShow: Command = {
  name: 'config show',
  summary: 'every setting and where it came from',
  description: 'Reads the drop-ins as the agent does. Logins within addresses are not shown.',
  examples: ['updatectl config show', 'updatectl config show --dir ./config.d --json'],
  options: [{ flags: '--dir <folder>', summary: 'read this folder instead; may be repeated', repeat: true }],
  run: async ({ files, out }, input) => {
    const dirs = input.list('dir');
    const fragments = await readFragments(files, dirs.length > 0 ? dirs : CONFIG_DIRS);
    const settings = explainConfig(fragments).map(withoutLogin);
    out.document({ schema: 1, settings });
    out.table([['SETTING', 'VALUE', 'FROM'], ...settings.map((one) => [one.path, shown(one), one.origin ?? ''])]);
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
