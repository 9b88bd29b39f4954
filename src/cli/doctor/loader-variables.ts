/** Firmware variables that boot loader and system share, in systemd's namespace. */

import { join } from 'node:path';
import { cleanLine } from '../../clean-text.ts';
import { VARIABLE_ATTRIBUTES, variableFile } from '../../system/efi-variable-files.ts';
import type { Reading } from './reading.ts';

/** The text of a variable, cleaned for display; undefined where it is missing. */
export async function loaderVariable({ readHead }: Reading, name: string): Promise<string | undefined> {
  const bytes = await readHead(join(VARIABLES, variableFile(name, LOADER)), MOST_BYTES);
  const [text] = new TextDecoder('utf-16le').decode(bytes?.subarray(VARIABLE_ATTRIBUTES)).split('\0', 1);
  return bytes && cleanLine(text ?? '');
}

const VARIABLES = '/sys/firmware/efi/efivars';
const LOADER = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
const MOST_BYTES = 1024;
