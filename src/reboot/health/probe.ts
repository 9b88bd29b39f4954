/** A question put to a system on trial. */

export type ProbeResult = Readonly<{ ok: true } | { ok: false; reason: string }>;

export interface Probe {
  readonly name: string;
  /** A wanted probe only warns; a required one condemns. */
  readonly required: boolean;
  run(signal: AbortSignal): Promise<ProbeResult>;
}
