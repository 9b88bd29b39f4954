/** A channel that has offered 2.0 to everybody since a moment that never was. */

import type { Version } from '../../src/model.ts';
import type { ServerLimits } from '../../src/rollout/document.ts';
import type { ChannelState } from '../../src/server/fleet/fleet.ts';

/** When it begins, in milliseconds. */
export const START = Date.parse('2030-01-01T00:00:00Z');

export const virtualChannel = (limits: ServerLimits): ChannelState => ({
  id: '2.0',
  version: '2.0',
  offered: {
    policy: {
      release: { version: '2.0' as Version, counter: 2 },
      start: START,
      canaries: { groups: [], soakMs: 0 },
      ramp: { durationMs: 0, steps: 0 },
      groups: new Map(),
      barriers: [],
      deadEnds: [],
      urgent: false,
      allowDowngrade: false,
    },
    limits,
  },
});
