/** Something between this host and the release, and what to do about it. Times are ISO 8601 in UTC. */

export type Obstacle = Readonly<{
  what: 'agent' | 'error' | 'gate' | 'lock' | 'operator' | 'refusal' | 'repository' | 'rollout' | 'setting' | 'trial';
  code: string;
  reason: string;
  since?: string;
  /** The next moment at which it may be gone. */
  next?: string;
  command?: string;
}>;
