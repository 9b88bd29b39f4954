/** An obstacle between this host and the release, and how to remove it. Times are ISO 8601 in UTC. */

export type Obstacle = Readonly<{
  what: 'agent' | 'error' | 'gate' | 'lock' | 'operator' | 'refusal' | 'repository' | 'rollout' | 'setting' | 'trial';
  code: string;
  reason: string;
  since?: string;
  /** The next moment at which it may be gone. */
  next?: string;
  command?: string;
}>;
