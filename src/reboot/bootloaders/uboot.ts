/** U-Boot: flags are variables of its environment, which libubootenv reads and changes atomically. */

import { UpdateError } from '../../errors.ts';
import { otherSlot, SLOT_NAMES, type SlotName } from '../../model.ts';
import { type Exec, type ExecResult, run } from '../../system/process/exec.ts';
import type { FlagStore } from './flags-backend.ts';
import { NEVER, PROVEN, type SlotFlag, type SlotFlags } from './slot-flags.ts';

/** `environment`: the fw_env.config that locates the environment. */
export function ubootFlags(exec: Exec, environment: string): FlagStore {
  return {
    name: 'U-Boot',
    mostTries: MOST_TRIES,
    load: async () => parseUboot(readable(environment, await exec('fw_printenv', ['-c', environment], LIMITS))),
    save: async (flags) => {
      // One call writes the inactive copy once. It takes a script, because the command line sets only one variable.
      const input = Buffer.from(formatUboot(flags));
      await run(exec, 'fw_setenv', ['-c', environment, '-s', '-'], { ...LIMITS, input });
    },
  };
}

/** The flags among all variables, one `name=value` per line. Missing or invalid ones do not make a slot bootable. */
export function parseUboot(text: string): SlotFlags {
  const value = (name: string): string => variableIn(text, name);
  const order = value('BOOT_ORDER')
    .split(/\s+/)
    .map(slotNamed)
    .filter((slot) => slot !== undefined);
  const flag = (slot: SlotName): SlotFlag => {
    if (!order.includes(slot)) return NEVER;
    if (value(OK[slot]) === '1') return PROVEN;
    const left = value(LEFT[slot]);
    return { bootable: true, successful: false, tries: /^[0-9]$/.test(left) ? Number(left) : 0 };
  };
  return { first: order[0] ?? 'a', slots: { a: flag('a'), b: flag('b') } };
}

/** The script for `fw_setenv`; a variable without a value is deleted. */
export function formatUboot({ first, slots }: SlotFlags): string {
  const order = [first, otherSlot(first)].filter((slot) => slots[slot].bootable).map((slot) => slot.toUpperCase());
  const lines = SLOT_NAMES.flatMap((slot) => {
    const { successful, tries } = slots[slot];
    // Boot scripts that do not know confirmed slots start slots with tries left.
    return [`${OK[slot]}=${successful ? '1' : ''}`, `${LEFT[slot]}=${successful ? CUSTOMARY : tries}`];
  });
  return `${[`BOOT_ORDER=${order.join(' ')}`, ...lines].join('\n')}\n`;
}

/** The number of environment copies in fw_env.config; only with two can a torn write be detected and undone. */
export function environmentCopies(config: string): number {
  const isYaml = /^\s*devices\s*:/m.test(config);
  const oneCopy = isYaml ? /^\s*-?\s*path\s*:/ : /^[^#\s]\S*\s+\S+\s+\S+/;
  return config.split('\n').filter((line) => oneCopy.test(line)).length;
}

// RAUC's names, except the last.
const LEFT: Readonly<Record<SlotName, string>> = { a: 'BOOT_A_LEFT', b: 'BOOT_B_LEFT' };
const OK: Readonly<Record<SlotName, string>> = { a: 'BOOT_A_OK', b: 'BOOT_B_OK' };

// One digit, because U-Boot's arithmetic is hexadecimal.
const MOST_TRIES = 9;
const CUSTOMARY = 3;

const LIMITS = { package: 'libubootenv-tool', timeoutMs: 30_000 };

/** libubootenv's tool and U-Boot's own print a built-in default instead of failing. No variable starts like this. */
const LOST = /^(cannot read environment|warning: bad crc)/im;

/** A lost environment must not be treated as empty: the next save would erase all of U-Boot's own variables. */
function readable(environment: string, { exitCode, stdout, stderr }: ExecResult): string {
  if (exitCode === 0 && !LOST.test(stderr) && !LOST.test(stdout)) return stdout;
  const why = stderr.trim().slice(-512) || `fw_printenv ended with status ${exitCode}`;
  throw new UpdateError('boot-environment', `The environment that ${environment} names: ${why}.`);
}

const variableIn = (text: string, name: string): string =>
  text
    .split('\n')
    .find((line) => line.startsWith(`${name}=`))
    ?.slice(name.length + 1)
    .trim() ?? '';

const slotNamed = (letter: string): SlotName | undefined => SLOT_NAMES.find((slot) => slot.toUpperCase() === letter);
