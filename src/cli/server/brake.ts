/** The keys that sign a fleet server's brake, and the loop that signs it. */

import { UpdateError } from '../../errors.ts';
import { type RolloutDocument, writeRollout } from '../../rollout/document.ts';
import { aborted, type Offer } from '../../rollout/operate.ts';
import type { Step } from '../../rollout/rollout.ts';
import { createSignedBrake, type SignedBrakeWorld } from '../../server/fleet/signed-brake.ts';
import type { Signer } from '../../verify/keys.ts';
import { reviseRollout } from '../../verify/publish/channels.ts';
import { holdersOf, readRepository } from '../../verify/publish/repository.ts';
import { signersFor } from '../../verify/signed-file.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { SIGNER_OPTIONS, signersFrom } from '../publish/key-files.ts';
import { locked } from '../publish/publishing.ts';
import { offerOf } from '../rollout/channel.ts';
import { untilStopped } from '../until-stopped.ts';

export const BRAKE_OPTIONS: readonly OptionSpec[] = SIGNER_OPTIONS.map((option) =>
  option.flags.startsWith('--key')
    ? { ...option, summary: `${option.summary}, to sign the brake: channels, snapshot and timestamp` }
    : option,
);

/** Empty if none were given. Unsuitable keys are refused now, not when the brake needs them. */
export async function brakeSigners(context: Context, input: Input, dir: string): Promise<readonly Signer[]> {
  const signers = await signersFrom(context, input);
  if (signers.length === 0) return signers;
  const repository = await readRepository(context.files, dir);
  for (const role of ['channels', 'snapshot', 'timestamp'] as const)
    signersFor(role, holdersOf(repository, role), signers);
  return signers;
}

/** Signs a change to the rollout of a channel. */
export type Revise = (channel: string, change: (offer: Offer) => Revised) => Promise<unknown>;
type Revised = Readonly<{ step?: Step; rollout: RolloutDocument }>;

export const signingIn =
  (context: Context, dir: string, signers: readonly Signer[]): Revise =>
  (channel, change) =>
    locked(context, dir, () =>
      reviseRollout(
        { files: context.files, dir, now: context.clock.now(), signers, lifetimeDays: {} },
        channel,
        (before) => {
          const { step, rollout } = change(offerOf(before));
          return { ...step, rollout: writeRollout(rollout) };
        },
      ),
    );

/** Aborts only the version that the operator saw. */
export const aborting =
  (revise: Revise, now: () => Date) =>
  (channel: string, version: string, reason: string): Promise<unknown> =>
    revise(channel, (offer) => {
      if (offer.step.version === version) return aborted(offer, reason, false, now());
      throw new UpdateError('rollout-state', `The channel ${channel} now offers ${offer.step.version}.`);
    });

/** Until the server stops. */
export function signUntilStopped(
  context: Context,
  { revise, ...world }: Pick<SignedBrakeWorld, 'fleet' | 'channels'> & Readonly<{ revise: Revise }>,
): Promise<void> {
  const { clock, log } = context;
  const settle = createSignedBrake({
    ...world,
    now: () => clock.now(),
    log,
    revise: (channel, change) => revise(channel, (offer) => ({ rollout: change(offer) })),
  });
  return untilStopped(context, EVERY_MS, settle, ({ code, message }) => log.error({ code }, message));
}

const EVERY_MS = 5_000;
