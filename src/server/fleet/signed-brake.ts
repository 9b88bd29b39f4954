/** The brake, signed: where a server has the keys for it, a rollout that is stopped here is paused in the channel itself, for every host wherever it asks. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import type { RolloutDocument } from '../../rollout/document.ts';
import { type Offer, paused, resumed } from '../../rollout/operate.ts';
import type { Log } from '../../system/log.ts';
import type { Channels } from './channels.ts';
import type { ChannelState, Fleet } from './fleet.ts';

export type SignedBrakeWorld = Readonly<{
  fleet: Pick<Fleet, 'ledger'>;
  channels(): Promise<Channels>;
  /** Signs what a channel says of its rollout, given what it says now. */
  revise(channel: string, change: (offer: Offer) => RolloutDocument): Promise<unknown>;
  now(): Date;
  log: Log;
}>;

/** Each call makes the channels say what the brakes say; it may be called as often as one likes. */
export function createSignedBrake(world: SignedBrakeWorld): () => Promise<void> {
  /** What was done last in each channel, or why it could not be: told once. */
  const told = new Map<string, string>();
  const tell = (channel: string, what: string, say: () => void): void => {
    if (told.get(channel) !== what) say();
    told.set(channel, what);
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
        // An operator has been quicker, and means it.
        if (code !== 'rollout-state') tell(channel, code, () => world.log.error({ channel, code }, message));
      }
    }
  };
}

type SignedChange = Readonly<{ what: string; sign(offer: Offer): RolloutDocument }>;

/** Undefined where channel and brake agree, and where an operator has paused with his own keys. */
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
    throw new UpdateError('rollout-state', `The channel ${channel} offers another release by now.`);
  };
  if (braked && !pause)
    return {
      what: 'the pause is signed',
      sign: (offer) => paused(notResumedSince(same(offer), braked.at), sayable(`${SAID}${braked.reason}`), now()),
    };
  if (!braked && pause && isOfServer(pause))
    return { what: 'the end of the pause is signed', sign: (offer) => resumed(pausedHere(same(offer)), now()) };
  return undefined;
}

/** So that a pause of the server's is told from one of an operator's. */
const SAID = 'the fleet server: ';

/** Whether a server has signed this pause, and none of the operators. */
export const isOfServer = ({ reason }: Readonly<{ reason: string }>): boolean => reason.startsWith(SAID);

/** As much as a channel has room for. */
const sayable = (text: string): string => [...text].slice(0, 200).join('');

/** Who resumes by hand what the brake has paused is not contradicted. */
function notResumedSince(offer: Offer, at: number): Offer {
  const last = offer.rollout?.history?.findLast(({ what }) => what === 'resumed');
  if (last && Date.parse(last.at) + 1000 > at)
    throw new UpdateError('rollout-state', 'It was resumed by hand after the brake was pulled.');
  return offer;
}

function pausedHere(offer: Offer): Offer {
  if (offer.rollout?.pause && isOfServer(offer.rollout.pause)) return offer;
  throw new UpdateError('rollout-state', 'It is paused by somebody else.');
}
