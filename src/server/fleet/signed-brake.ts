/** The signed brake: a server with the keys for it pauses a stopped rollout in the channel itself, for every host, whatever server it uses. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import type { RolloutDocument } from '../../rollout/document.ts';
import { type Offer, paused, resumed } from '../../rollout/operate.ts';
import type { Log } from '../../system/log.ts';
import type { Channels } from './channels.ts';
import type { ChannelState, Fleet } from './fleet.ts';

export type SignedBrakeWorld = Readonly<{
  fleet: Pick<Fleet, 'ledger'>;
  channels(): Promise<Channels>;
  /** Signs a channel's rollout, computed from its current one. */
  revise(channel: string, change: (offer: Offer) => RolloutDocument): Promise<unknown>;
  now(): Date;
  log: Log;
}>;

/** Makes the signed channels match the brakes. Idempotent. */
export function createSignedBrake(world: SignedBrakeWorld): () => Promise<void> {
  /** The last action or error per channel; each is logged once. */
  const logged = new Map<string, string>();
  const tell = (channel: string, what: string, say: () => void): void => {
    if (logged.get(channel) !== what) say();
    logged.set(channel, what);
  };
  return async () => {
    for (const [channel, state] of await world.channels()) {
      const change = await changeOf(world, channel, state);
      if (!change) continue;
      try {
        await world.revise(channel, change.sign);
        tell(channel, change.what, () => world.log.info({ channel }, change.what));
      } catch (error) {
        const { code, message } = asUpdateError(error);
        // An operator was faster, and takes precedence.
        if (code !== 'rollout-state') tell(channel, code, () => world.log.error({ channel, code }, message));
      }
    }
  };
}

type SignedChange = Readonly<{ what: string; sign(offer: Offer): RolloutDocument }>;

/** Undefined if channel and brake agree, or if an operator has paused with their own keys. */
async function changeOf(
  { fleet, now }: SignedBrakeWorld,
  channel: string,
  { version, offered }: ChannelState,
): Promise<SignedChange | undefined> {
  if (!offered) return undefined;
  const { braked } = await fleet.ledger(channel, now());
  const { pause } = offered.policy;
  const same = (offer: Offer): Offer => {
    if (offer.step.version === version) return offer;
    throw new UpdateError('rollout-state', `The channel ${channel} now offers another release.`);
  };
  if (braked && !pause)
    return {
      what: 'the pause is signed',
      sign: (offer) => paused(notResumedSince(same(offer), braked.at), sayable(`${PREFIX}${braked.reason}`), now()),
    };
  if (!braked && pause && isOfServer(pause))
    return { what: 'the end of the pause is signed', sign: (offer) => resumed(pausedHere(same(offer)), now()) };
  return undefined;
}

/** Distinguishes the server's pauses from operators'. */
const PREFIX = 'the fleet server: ';

/** Whether a server, rather than an operator, signed this pause. */
export const isOfServer = ({ reason }: Readonly<{ reason: string }>): boolean => reason.startsWith(PREFIX);

/** The limit of a channel's text. */
const sayable = (text: string): string => [...text].slice(0, 200).join('');

/** An operator's manual resume after the brake takes precedence. */
function notResumedSince(offer: Offer, at: number): Offer {
  const last = offer.rollout?.history?.findLast(({ what }) => what === 'resumed');
  if (last && Date.parse(last.at) + 1000 > at)
    throw new UpdateError('rollout-state', 'The rollout was resumed by hand after the brake was pulled.');
  return offer;
}

function pausedHere(offer: Offer): Offer {
  if (offer.rollout?.pause && isOfServer(offer.rollout.pause)) return offer;
  throw new UpdateError('rollout-state', 'The rollout is paused by someone else.');
}
