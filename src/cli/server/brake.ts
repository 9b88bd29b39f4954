/** The keys with which a fleet server signs its brake, and the loop that does. */

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

/** Empty when none were given; keys that would not do are refused now, and not when they are needed. */
export async function brakeSigners(context: Context, input: Input, dir: string): Promise<readonly Signer[]> {
  const signers = await signersFrom(context, input);
  if (signers.length === 0) return signers;
  const repository = await readRepository(context.files, dir);
  for (const role of ['channels', 'snapshot', 'timestamp'] as const)
    signersFor(role, holdersOf(repository, role), signers);
  return signers;
}

/** Signs what a channel says of its rollout, given what it says now. */
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

/** Only what the operator has seen is aborted. */
export const aborting =
  (revise: Revise, now: () => Date) =>
  (channel: string, version: string, reason: string): Promise<unknown> =>
    revise(channel, (offer) => {
      if (offer.step.version === version) return aborted(offer, reason, false, now());
      throw new UpdateError('rollout-state', `The channel ${channel} offers ${offer.step.version} by now.`);
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
