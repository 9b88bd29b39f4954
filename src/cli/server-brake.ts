/** The keys with which a fleet server signs its brake, and the loop that does. */

import { asUpdateError } from '../errors.ts';
import { writeRollout } from '../rollout/document.ts';
import { createSignedBrake, type SignedBrakeWorld } from '../server/signed-brake.ts';
import { isOutage } from '../server/watched-store.ts';
import { reviseRollout } from '../verify/channels.ts';
import type { Signer } from '../verify/keys.ts';
import { holdersOf, readRepository } from '../verify/repository.ts';
import { signersFor } from '../verify/signed-file.ts';
import type { Context, Input, OptionSpec } from './command.ts';
import { SIGNER_OPTIONS, signersFrom } from './key-files.ts';
import { locked } from './publishing.ts';
import { offerOf } from './rollout-channel.ts';

export const BRAKE_OPTIONS: readonly OptionSpec[] = SIGNER_OPTIONS.map((option) =>
  option.flags.startsWith('--key')
    ? { ...option, summary: `${option.summary}, to sign the brake: channels, snapshot and timestamp` }
    : option,
);

/** Empty when none were given; keys that would not do are refused now, and not when they are needed. */
export async function brakeSigners(context: Context, input: Input, dir: string): Promise<readonly Signer[]> {
  const signers = await signersFrom(context, input);
  if (signers.length === 0) return signers;
  const repository = await readRepository(context.files, dir);
  for (const role of ['channels', 'snapshot', 'timestamp'] as const)
    signersFor(role, holdersOf(repository, role), signers);
  return signers;
}

/** Until the server stops. */
export async function signUntilStopped(
  context: Context,
  world: Pick<SignedBrakeWorld, 'fleet' | 'channels'> & Readonly<{ dir: string; signers: readonly Signer[] }>,
): Promise<void> {
  const { clock, files, log, signal } = context;
  const { dir, signers, fleet, channels } = world;
  const now = () => clock.now();
  const settle = createSignedBrake({
    fleet,
    channels,
    now,
    log,
    revise: (channel, change) =>
      locked(context, dir, () =>
        reviseRollout({ files, dir, now: now(), signers: [...signers], lifetimeDays: {} }, channel, (before) => ({
          rollout: writeRollout(change(offerOf(before))),
        })),
      ),
  });
  while (!signal.aborted) {
    await settle().catch((error: unknown) => {
      const { code, message } = asUpdateError(error);
      if (!isOutage(code)) log.error({ code }, message);
    });
    await clock.sleep(EVERY_MS, signal).catch(() => undefined);
  }
}

const EVERY_MS = 5_000;
