/** What a gate says of a reboot: nothing against it, or who objects, why, since when and until when. Pure. */

import type { Verdict } from '../../model.ts';

/** Every objection has a name. */
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
  /** A soft gate gives way to the deadline and to `updatectl apply`. */
  strength: 'soft' | 'hard';
  since?: Date;
  /** The earliest moment at which the answer may be another; absent when nobody can say. */
  next?: Date;
  /** What an operator can do about it. */
  command?: string;
}>;

/** The reason is one clause that names the holder, without a full stop: `ana is logged in on tty1`. */
export type GateVerdict = Verdict<Objection>;
export type Closed = Extract<GateVerdict, { ok: false }>;

export const OPEN: GateVerdict = { ok: true };

/** An objection. */
export const closed = (
  code: GateCode,
  strength: Closed['strength'],
  reason: string,
  more: Partial<Pick<Closed, 'since' | 'next' | 'command'>> = {},
): Closed => ({ ok: false, code, strength, reason, ...more });
