/** Chooses the restart method into the armed slot: the fastest safe one, and the reasons against faster ones. Pure. */

import type { Method } from '../../model.ts';
import type { Kernel } from './kernel.ts';

/** The methods that skip the boot loader, fastest first. */
export const JUMPS = ['soft', 'kexec'] as const;
export type Jump = (typeof JUMPS)[number];

/** `ruledOut` lists each faster method that was not wanted or not safe. */
export type Choice = Readonly<{
  method: Method;
  reason: string;
  ruledOut: readonly Readonly<{ method: Jump; reason: string }>[];
}>;

/** A fact, or why it is unknown. */
export type Known<T> = T | Readonly<{ unknown: string }>;

export type MethodFacts = Readonly<{
  /** The configured method. */
  wanted: Method | 'auto';
  /** The methods already used in this attempt. */
  tried: readonly Method[];
  /** Methods that failed since the agent started, with their errors. */
  failed: Readonly<Partial<Record<Jump, string>>>;
  /** The file or variable that requests the firmware, if any. */
  firmwareFlag?: string;
  /** The number of kexec starts since the last start by the firmware. */
  kexecs: number;
  mostKexecs: number;
  /** This host's objection to a method. */
  barred: Readonly<Partial<Record<Jump, string>>>;
  running: Known<Kernel>;
  target: Known<Kernel>;
}>;

/** `firmware` when in doubt; it is never ruled out. */
export function chooseMethod(facts: MethodFacts): Choice {
  const { wanted } = facts;
  if (wanted === 'firmware') return { method: 'firmware', reason: 'as configured', ruledOut: [] };
  const ruledOut = JUMPS.filter((jump) => wanted === 'auto' || wanted === jump).flatMap((method) => {
    const reason = against(method, facts);
    return reason === undefined ? [] : [{ method, reason }];
  });
  const method = JUMPS.find(
    (jump) => (wanted === 'auto' || wanted === jump) && !ruledOut.some((one) => one.method === jump),
  );
  if (method === undefined) return { method: 'firmware', reason: reasonOf(ruledOut), ruledOut };
  return { method, reason: wanted === method ? 'as configured' : FASTEST[method], ruledOut };
}

/** Falls back to the firmware after a failed method. */
export const insteadOf = (choice: Choice & Readonly<{ method: Jump }>, why: string): Choice => {
  const ruledOut = [...choice.ruledOut, { method: choice.method, reason: why }];
  return { method: 'firmware', reason: reasonOf(ruledOut), ruledOut };
};

const FASTEST = {
  soft: 'kernel, initrd and command line stay the same',
  kexec: 'the kernel can be started without the firmware',
} as const;

const reasonOf = (ruledOut: Choice['ruledOut']): string =>
  ruledOut.map(({ method, reason }) => `no ${method}: ${reason}`).join('; ');

function against(jump: Jump, facts: MethodFacts): string | undefined {
  const { tried, firmwareFlag, running, target } = facts;
  if (tried.length > 0) return `${tried.at(-1)} was already tried and did not get there`;
  if (firmwareFlag !== undefined) return `${firmwareFlag} asks for a restart through the firmware`;
  if (facts.failed[jump] !== undefined) return facts.failed[jump];
  if (facts.barred[jump] !== undefined) return facts.barred[jump];
  if ('unknown' in running) return running.unknown;
  if ('unknown' in target) return target.unknown;
  return jump === 'soft' ? difference(running, target) : obstacle(facts, target);
}

function difference(running: Kernel, target: Kernel): string | undefined {
  if (running.linux !== target.linux) return 'the kernel differs';
  if (running.initrd !== target.initrd) return 'the initrd differs';
  if (running.others !== target.others) return 'the device tree, or another file next to the kernel, differs';
  return running.commandLine === target.commandLine ? undefined : 'the command line differs';
}

function obstacle({ kexecs, mostKexecs }: MethodFacts, { beyondKexec }: Kernel): string | undefined {
  if (kexecs >= mostKexecs) return `${kexecs} in a row; at most ${mostKexecs} are allowed`;
  return beyondKexec && `the boot image has a section ${beyondKexec}, which only the boot loader can use`;
}
