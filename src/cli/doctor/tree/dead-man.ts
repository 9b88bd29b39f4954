/** Whether the dead man in a tree can end a trial, and gives a release the time that it needs. */

import { unitValues } from '../../../formats/unit-file.ts';
import { DEAD_MAN, DEAD_MAN_CALLS, isShippedDeadMan } from '../../../reboot/health/dead-man-script.ts';
import { spanMs } from '../../../reboot/health/dead-man-timer.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { judgeDeadMansTime } from '../programs.ts';
import { missingPrograms } from './programs.ts';
import type { TreeWorld } from './world.ts';

export async function deadMan({ tree }: TreeWorld): Promise<Finding> {
  const node = await tree.find(DEAD_MAN);
  if (node?.kind !== 'file') return fail(`${DEAD_MAN} is missing: ${WHY}.`, REINSTALL);
  if ((node.mode & 0o111) === 0)
    return fail(`${DEAD_MAN} is not executable: ${WHY}.`, `Run \`chmod 755\` on it in the tree.`);
  const script = (await tree.readHead(DEAD_MAN, MOST_BYTES)) ?? new Uint8Array();
  if (Buffer.from(script).includes('\r\n'))
    return fail(`${DEAD_MAN} has line ends of Windows, so it cannot run: ${WHY}.`, REINSTALL);
  const missing =
    (await tree.find('/bin/sh'))?.kind === 'file' ? await missingPrograms(tree, DEAD_MAN_CALLS) : ['/bin/sh'];
  if (missing.length > 0)
    return fail(
      `${DEAD_MAN} calls ${missing.join(', ')}, which the tree lacks.`,
      'Install coreutils, grep, sed and a shell in the tree.',
    );
  if (isShippedDeadMan(script)) return ok(`${DEAD_MAN} is the one that comes with Tandem.`);
  return warn(`${DEAD_MAN} is not the one that comes with Tandem.`, REINSTALL);
}

export async function deadMansTimer({ units, config }: TreeWorld): Promise<Finding | undefined> {
  const texts = await units.texts('tandem-dead-man.timer');
  if (!texts) return undefined;
  const spans = unitValues(texts, 'Timer', 'OnActiveSec').map((span) => spanMs(/^\d+$/.test(span) ? `${span}s` : span));
  const [first, ...others] = spans.filter((one) => one !== undefined);
  if (first === undefined)
    return fail(
      'tandem-dead-man.timer has no OnActiveSec= that can be read, so it may never fire.',
      'Set one, such as OnActiveSec=10min.',
    );
  return judgeDeadMansTime(Math.min(first, ...others), config);
}

const WHY = 'a release that cannot start the agent would never fall back';
const REINSTALL = 'Install the one from the package tandem (systemd/tandem-dead-man in the sources).';
const MOST_BYTES = 256 * 1024;
