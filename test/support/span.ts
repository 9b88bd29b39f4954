/** A window or a black-out of an hour in UTC, but for what is said of it. */

import type { Span } from '../../src/reboot/gates/windows.ts';

export const span = (more: Partial<Span>): Span => ({
  name: 'nights',
  zone: 'Etc/UTC',
  start: '00:00',
  minutes: 60,
  spreadMinutes: 0,
  ...more,
});
