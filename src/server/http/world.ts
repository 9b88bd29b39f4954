/** What the server is made of, as its routes see it. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Metric } from '../../formats/metrics-text.ts';
import type { Serve } from '../../system/http/served-file.ts';
import type { Log } from '../../system/log.ts';
import type { Access } from '../access/access.ts';
import type { Limits } from '../access/rate-limits.ts';
import type { Sessions } from '../access/sessions.ts';
import type { Figures } from '../figures/figures.ts';
import type { Census } from '../fleet/census.ts';
import type { Channels } from '../fleet/channels.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { RebootLocks } from '../fleet/reboot-locks.ts';
import type { Page } from '../pages/layout.ts';
import type { Store } from '../store/store.ts';
import type { LastWrite } from '../store/watched.ts';
import type { FailureLog } from './failure-log.ts';
import type { Patience } from './patience.ts';

export type AppWorld = Readonly<{
  fleet: Fleet;
  locks: RebootLocks;
  /** The folder of the repository. */
  repository: string;
  serve: Serve;
  access: Access;
  /** Where the audit log is. */
  store: Store;
  channels(): Promise<Channels>;
  /** When the metadata of the repository expires, by role. */
  expires?(): Promise<ReadonlyMap<string, Date>>;
  now(): Date;
  log: Log;
  /** How often somebody may ask; without them, as often as he likes. */
  limits?: Limits;
  /** Proxies before this server, which say for whom they ask. */
  proxies?: readonly string[];
  /** Signs that a channel offers again what it offered before this version; only where the server has the keys. */
  abort?(channel: string, version: string, reason: string): Promise<unknown>;
  /** What the pages need besides; without it there are none. */
  pages?: Pick<PageWorld, 'census' | 'pause' | 'sessions'>;
  /** How the last write to the store ended, where somebody keeps an eye on it. */
  lastWrite?(): LastWrite | undefined;
  /** Figures of what else this server keeps an eye on. */
  more?(): readonly Metric[];
  /** Counted elsewhere as well; without it, the server begins its own. */
  figures?: Figures;
  /** How long clients may take, where that is not as documented. */
  patience?: Partial<Patience>;
  /** Without it, HTTP is spoken in the clear. */
  tls?: Readonly<{ key: Uint8Array; cert: Uint8Array }>;
}>;

/** `pause` lets others have their turn during a long search. */
export type ViewWorld = Pick<AppWorld, 'fleet' | 'locks' | 'channels' | 'now' | 'store'> &
  Readonly<{ census: Census; pause(): Promise<void> }>;

export type PageWorld = ViewWorld & AppWorld & Readonly<{ sessions: Sessions; failed: FailureLog }>;

/** Sends a page, drawn for whoever asks. */
export type ShowPage = (request: FastifyRequest, reply: FastifyReply, page: Page) => FastifyReply;
