/** A user's program in place of an unknown boot loader. */

import { UpdateError } from '../../errors.ts';
import type { SlotName } from '../../model.ts';
import type { Exec, ExecResult } from '../../system/process/exec.ts';
import type { ActionStore, Deed } from './flags-backend.ts';
import { NEVER, PROVEN, type SlotFlag, type SlotFlags } from './slot-flags.ts';

export type BootProgram = Readonly<{ exec: Exec; path: string; mostTries: number }>;

export const programStore = (program: BootProgram): ActionStore => ({
  name: 'program',
  mostTries: program.mostTries,
  load: async () => parseAnswer(program, await call(program, { verb: 'read' })),
  save: async (_flags, deed) => {
    const output = await call(program, deed);
    if (output !== '') throw failed(program, deed.verb, `wrote to standard output: ${shown(output)}`);
  },
});

const TIMEOUT_MS = 30_000;
const ANSWER_LIMIT = 4096;

async function call(program: BootProgram, request: Deed | Readonly<{ verb: 'read' }>): Promise<string> {
  const { verb } = request;
  const input = Buffer.from(`${JSON.stringify({ schema: 1, ...request })}\n`);
  const result = await program.exec(program.path, [verb], { input, timeoutMs: TIMEOUT_MS });
  const why = faultOf(result);
  if (why === undefined) return result.stdout.trim();
  throw failed(program, verb, why);
}

function faultOf({ exitCode, timedOut, stdout, stderr }: ExecResult): string | undefined {
  if (timedOut) return `did not end within ${TIMEOUT_MS / 1000} seconds`;
  if (exitCode !== 0) return `ended with status ${exitCode}: ${shown(stderr)}`;
  return stdout.length > ANSWER_LIMIT ? `answered more than ${ANSWER_LIMIT} bytes` : undefined;
}

/** Exactly the fields of the contract, so that a misspelt field does not pass as an omitted one. */
function parseAnswer(program: BootProgram, text: string): SlotFlags {
  const answer = members(parseJson(text), ['schema', 'first', 'slots']);
  const slots = members(answer?.['slots'], ['a', 'b']);
  const [a, b] = [parseSlot(slots?.['a']), parseSlot(slots?.['b'])];
  const first = answer?.['first'];
  if (answer?.['schema'] === 1 && (first === 'a' || first === 'b') && a && b)
    return { first: first satisfies SlotName, slots: { a, b } };
  throw failed(program, 'read', `gave an invalid answer: ${shown(text)}`);
}

function parseSlot(value: unknown): SlotFlag | undefined {
  const state = members(value, ['state'])?.['state'];
  if (state === 'proven') return PROVEN;
  if (state === 'disabled') return NEVER;
  const trying = members(value, ['state', 'tries']);
  const tries = trying?.['tries'];
  const isCount = typeof tries === 'number' && Number.isInteger(tries) && tries >= 0 && tries <= 99;
  return trying?.['state'] === 'trying' && isCount ? { bootable: true, successful: false, tries } : undefined;
}

function members(value: unknown, names: readonly string[]): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.keys(value).sort().join() === names.toSorted().join() ? { ...value } : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const failed = ({ path }: BootProgram, verb: string, what: string): UpdateError =>
  new UpdateError('boot-program-failed', `“${path} ${verb}” ${what}`);

const shown = (text: string): string => JSON.stringify(text.trim().slice(-512));
