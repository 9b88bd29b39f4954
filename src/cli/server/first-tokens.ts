/** The tokens that the first start of a server creates: shown once, since only their digests are kept. */

import { resolve } from 'node:path';
import type { Access } from '../../server/access/access.ts';
import { removeFile, replaceFile } from '../../system/files.ts';
import type { Context, Input, OptionSpec } from '../command.ts';

export const FIRST_TOKENS_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--new-operator-token',
    summary: 'replace the first operator’s token; the old one is revoked',
  },
  {
    flags: '--first-tokens <file>',
    summary: 'write the tokens that a start creates to this file, for its owner only, instead of showing them',
  },
];

/** A server that fails before serving has created, shown and revoked none. */
export async function showFirstTokens(context: Context, input: Input, access: Access): Promise<void> {
  const { out, files } = context;
  const given = input.text('first-tokens');
  const path = given === undefined ? undefined : resolve(context.cwd(), given);
  if (path !== undefined) await mustBeWritable(context, path);
  const { operator, machine } = await access.begin({ renew: input.flag('new-operator-token') });
  const lines = [
    ...(operator === undefined ? [] : [`The operator's token, shown only once: ${operator}`]),
    ...(machine === undefined ? [] : [`The hosts' token, shown only once: ${machine}`]),
  ];
  if (lines.length === 0) return;
  if (path === undefined) return out.line(lines.join('\n'));
  await replaceFile(files, path, Buffer.from(`${lines.join('\n')}\n`), FOR_OWNER);
  out.line(`New tokens are in ${path}. Keep them elsewhere, and delete the file.`);
}

/** Before there are tokens, because nobody could read them afterwards. */
async function mustBeWritable({ files }: Context, path: string): Promise<void> {
  const trial = `${path}.trial`;
  await replaceFile(files, trial, new Uint8Array(0), FOR_OWNER);
  await removeFile(files, trial);
}

const FOR_OWNER = 0o600;
