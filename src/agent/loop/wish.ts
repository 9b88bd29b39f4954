/** An operator's request, until it is done. */

import type { InstallRequest } from '../../protocol.ts';

export type Wish = Readonly<{ kind: 'offer' } | ({ kind: 'install' } & InstallRequest) | { kind: 'rollback' }>;

/** Whether the channel decides, not a named release. */
export const asksChannel = (wish: Wish | undefined): boolean =>
  wish === undefined || wish.kind === 'offer' || (wish.kind === 'install' && !isNamed(wish));

/** Whether an operator named the release, by its version or its place. */
export const isNamed = ({ version, from }: InstallRequest): boolean => version !== undefined || from !== undefined;

export interface Wishes {
  ask(wish: Wish): void;
  isAny(): boolean;
  /** The latest request, for the check that begins now. */
  take(): Wish | undefined;
  inHand(): Wish | undefined;
  /** That check is over. A later request is still to be done. */
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
