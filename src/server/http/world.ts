/** The dependencies of the web server. */

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
import type { Page, Viewer } from '../pages/layout.ts';
import type { Store } from '../store/store.ts';
import type { LastWrite } from '../store/watched.ts';
import type { FailureLog } from './failure-log.ts';
import type { Patience } from './patience.ts';

export type AppWorld = Readonly<{
  fleet: Fleet;
  locks: RebootLocks;
  /** The repository's directory. */
  repository: string;
  serve: Serve;
  access: Access;
  /** Also holds the audit log. */
  store: Store;
  channels(): Promise<Channels>;
  /** The expiry of the repository's metadata, by role. */
  expires?(): Promise<ReadonlyMap<string, Date>>;
  now(): Date;
  log: Log;
  /** Rate limits; none if undefined. */
  limits?: Limits;
  /** Trusted proxies, whose `X-Forwarded-For` is believed. */
  proxies?: readonly string[];
  /** Signs the return of a channel to the release before this version; only if the server holds the keys. */
  abort?(channel: string, version: string, reason: string): Promise<unknown>;
  /** Dependencies of the dashboard; without them there is none. */
  pages?: Pick<PageWorld, 'census' | 'pause' | 'sessions'>;
  /** The result of the last write to the store, if it is watched. */
  lastWrite?(): LastWrite | undefined;
  /** Metrics from other parts of the server. */
  more?(): readonly Metric[];
  /** Counters shared with other parts; the server creates its own by default. */
  figures?: Figures;
  /** Time limits for clients, instead of the defaults. */
  patience?: Partial<Patience>;
  /** Without it the server speaks plain HTTP. */
  tls?: Readonly<{ key: Uint8Array; cert: Uint8Array }>;
}>;

/** `pause` yields to other requests during a long search. */
export type ViewWorld = Pick<AppWorld, 'fleet' | 'locks' | 'channels' | 'now' | 'store'> &
  Readonly<{ census: Census; pause(): Promise<void> }>;

export type PageWorld = ViewWorld & AppWorld & Readonly<{ sessions: Sessions; failed: FailureLog }>;

/** The operator who sends the request, as pages show them. */
export type ViewerOf = (request: FastifyRequest) => Viewer;

/** Renders a page for the request's viewer and sends it. */
export type ShowPage = (request: FastifyRequest, reply: FastifyReply, page: Page) => FastifyReply;
