/** A lock that a host could not give back, as its status has it. */

import type { LockOwed } from '../../src/protocol.ts';

export const LOCK_OWED: LockOwed = {
  place: 'http://lock.example/',
  group: 'web',
  since: '2026-03-01T11:00:00.000Z',
  code: 'server-failed',
  message: 'lock.example: error uncordoning node (internal_error)',
  next: '2026-03-01T12:06:00.000Z',
};
