/** Rate limits: a burst, then a steady rate. Pure: time is an argument, and memory is bounded. */

/** `perSecond` 0 means no limit. */
export type Rate = Readonly<{ atOnce: number; perSecond: number }>;

/** `now` is in milliseconds, from a monotonic clock. */
export type Bucket = Readonly<{
  /** The milliseconds that `who` has to wait; 0 if the request is allowed, and then counted. */
  take(who: string, now: number): number;
}>;

/** One bucket for each of the latest `most` clients; a forgotten client starts with a full one. */
export function createBucket({ atOnce, perSecond }: Rate, most = 20_000): Bucket {
  if (perSecond === 0) return { take: () => 0 };
  const each = 1000 / perSecond;
  /** When each bucket will be full again. */
  const fullAt = new Map<string, number>();
  return {
    take: (who, now) => {
      const full = Math.max(now, fullAt.get(who) ?? now);
      const wait = full + each - now - atOnce * each;
      if (wait > 0.001) return wait;
      fullAt.delete(who);
      fullAt.set(who, full + each);
      const [oldest] = fullAt.size > most ? fullAt.keys() : [];
      if (oldest !== undefined) fullAt.delete(oldest);
      return 0;
    },
  };
}

/** The owner of an address: for IPv6 its network, because one customer has many addresses. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail] = address.replace(/%.*/, '').toLowerCase().split('::');
  const [first, last] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':')));
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - (first?.length ?? 0) - (last?.length ?? 0));
  const groups = [...(first ?? []), ...Array<string>(zeros).fill('0'), ...(last ?? [])];
  const network = groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}

/** The limits of a server; each returns the milliseconds to wait. */
export type Limits = Readonly<{
  /** Hosts, by address. */
  host(address: string): number;
  /** Holders of viewer and operator tokens, by name. */
  holder(name: string): number;
  /** Requests without a valid token, by address. */
  stranger(address: string): number;
}>;

/** `hosts`: requests per second from the hosts of one address; 0 means no limit. */
export function createLimits(hosts: number, elapsedMs: () => number): Limits {
  const [host, holder, stranger] = [
    createBucket({ atOnce: hosts * 5, perSecond: hosts }),
    createBucket({ atOnce: 200, perSecond: 20 }),
    createBucket({ atOnce: 20, perSecond: 0.5 }),
  ];
  return {
    host: (address) => host.take(networkOf(address), elapsedMs()),
    holder: (name) => holder.take(name, elapsedMs()),
    stranger: (address) => stranger.take(networkOf(address), elapsedMs()),
  };
}

/** For tests, and for limits applied elsewhere. */
export const NO_LIMITS: Limits = { host: () => 0, holder: () => 0, stranger: () => 0 };
