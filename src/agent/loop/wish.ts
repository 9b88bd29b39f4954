/** What an operator has asked for, until it is done. */

import type { InstallRequest } from '../../protocol.ts';

export type Wish = Readonly<{ kind: 'offer' } | ({ kind: 'install' } & InstallRequest) | { kind: 'rollback' }>;

/** Whether it is the channel that answers, and not a release that was named. */
export const asksChannel = (wish: Wish | undefined): boolean =>
  wish === undefined || wish.kind === 'offer' || (wish.kind === 'install' && !isNamed(wish));

/** An operator has said which release it shall be, by its version or by where it lies. */
export const isNamed = ({ version, from }: InstallRequest): boolean => version !== undefined || from !== undefined;

export interface Wishes {
  ask(wish: Wish): void;
  isAny(): boolean;
  /** The latest, for the check that begins now. */
  take(): Wish | undefined;
  inHand(): Wish | undefined;
  /** That check is over. What was asked meanwhile is still to be done. */
  done(): void;
}

export function createWishes(): Wishes {
  let latest: Wish | undefined;
  let inHand: Wish | undefined;
  return {
    ask: (wish) => {
      latest = wish;
    },
    isAny: () => latest !== undefined,
    take: () => {
      inHand = latest;
      return inHand;
    },
    inHand: () => inHand,
    done: () => {
      if (latest === inHand) latest = undefined;
    },
  };
}
