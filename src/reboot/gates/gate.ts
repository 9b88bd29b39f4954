/** A gate's verdict on a reboot: open, or closed with the reason, since when and until when. Pure. */

import type { Verdict } from '../../model.ts';

export const GATE_CODES = [
  'apply-awaited',
  'offer-unknown',
  'offer-held',
  'window-closed',
  'black-out',
  'inhibited',
  'app-lock',
  'users-logged-in',
  'host-unhealthy',
  'hook-later',
  'hook-failed',
  'lock-full',
  'lock-turn',
  'lock-failures',
  'lock-contended',
  'lock-etcd-ill',
  'lock-refused',
  'lock-identity',
  'lock-document-invalid',
  'lock-unreachable',
  'lock-foreign',
] as const;
export type GateCode = (typeof GATE_CODES)[number];

type Objection = Readonly<{
  code: GateCode;
  /** A soft gate is overridden by the deadline and by `updatectl apply`. */
  strength: 'soft' | 'hard';
  since?: Date;
  /** The earliest time at which the verdict may change; absent if unknown. */
  next?: Date;
  /** The command with which an operator can resolve it. */
  command?: string;
}>;

/** The reason is one clause that names the holder, without a full stop: `ana is logged in on tty1`. */
export type GateVerdict = Verdict<Objection>;
export type Closed = Extract<GateVerdict, { ok: false }>;

export const OPEN: GateVerdict = { ok: true };

export const closed = (
  code: GateCode,
  strength: Closed['strength'],
  reason: string,
  more: Partial<Pick<Closed, 'since' | 'next' | 'command'>> = {},
): Closed => ({ ok: false, code, strength, reason, ...more });
