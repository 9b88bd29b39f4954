/** The dashboard: sessions, assets, security headers and form tokens around its pages. */

import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asUpdateError } from '../../../errors.ts';
import { NO_LIMITS } from '../../access/rate-limits.ts';
import { cookieOf, formTokenOf, isOurForm, isSameSite, keyIn } from '../../access/session-cookie.ts';
import { mayAct } from '../../access/tokens.ts';
import { noted } from '../../fleet/audit.ts';
import { below, linksBelow } from '../../pages/below.ts';
import { document } from '../../pages/layout.ts';
import { FOLLOWS, SCRIPT } from '../../pages/script.ts';
import { messagePage, signInPage } from '../../pages/sign-in.ts';
import { ICON, STYLE } from '../../pages/style.ts';
import { entryOf, logEntries } from '../entries.ts';
import { fieldOf, readForms } from '../forms.ts';
import { countHolder } from '../guard.ts';
import { PAGES } from '../page-shapes.ts';
import { setRetryAfter, statusOf } from '../refusals.ts';
import type { PageWorld, ShowPage, ViewerOf } from '../world.ts';
import { actRoutes } from './act.ts';
import { readmitRoutes } from './readmit.ts';
import { viewRoutes } from './view.ts';

export function pageRoutes(app: FastifyInstance, world: PageWorld): void {
  const { sessions, limits = NO_LIMITS } = world;
  const viewerOf: ViewerOf = (request) => ({
    formToken: formTokenOf(keyIn(request.headers.cookie)),
    name: request.holder?.name ?? '',
    mayChange: mayAct(request.holder, 'operator'),
  });
  const show: ShowPage = (request, reply, page) => sendPage(request, reply, document(page, viewerOf(request)));
  readForms(app);
  logEntries(app, world.log);
  app.addHook('onSend', async ({ url }, reply, payload) => {
    reply.headers(HEADERS);
    const to = reply.getHeader('location');
    if (typeof to === 'string') reply.header('location', below(url, to));
    const isPage = String(reply.getHeader('content-type')).startsWith('text/html');
    return isPage && typeof payload === 'string' ? linksBelow(url, payload) : payload;
  });
  answerFailures(app, world);
  assets(app);
  signingIn(app, world);
  app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, security: [{ session: [] }] };
    });
    scope.addHook('onRequest', async (request, reply) => {
      const { cookie, [FOLLOWS]: follows } = request.headers;
      const key = keyIn(cookie);
      request.holder = key === undefined ? undefined : await sessions.holderOf(key, follows === undefined);
      if (key !== undefined) countHolder(request, limits);
      if (mayAct(request.holder, 'viewer')) return;
      // The session in the cookie is no longer valid.
      if (cookie !== undefined) reply.header('set-cookie', cookieOf(undefined, isSecure(request)));
      await reply.redirect('/sign-in', 303);
    });
    scope.addHook('preHandler', async (request, reply) => {
      if (request.method !== 'POST' || isOurs(request)) return;
      await show(request, reply.code(403), NOT_OURS);
    });
    viewRoutes(scope, world, show, viewerOf);
    await scope.register(async (acts) => {
      acts.addHook('preHandler', async (request, reply) => {
        if (!mayAct(request.holder, 'operator')) await show(request, reply.code(403), LOOK_ONLY);
      });
      actRoutes(acts, world, show, viewerOf);
      readmitRoutes(acts, world, show, viewerOf);
    });
    scope.post('/sign-out', { schema: PAGES.signOut }, async (request, reply) => {
      reply.header('set-cookie', cookieOf(undefined, isSecure(request)));
      await sessions.end(keyIn(request.headers.cookie) ?? '');
      return reply.redirect('/sign-in', 303);
    });
  });
}

/** Pages load our own files only, run no inline script, and cannot be framed. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

const NOT_OURS = messagePage(
  'Nothing changed',
  'This form did not come from a page of this server, or it has expired.',
  {
    path: '/',
    name: 'Back to the overview',
  },
);

const LOOK_ONLY = messagePage(
  'Nothing changed',
  'You are signed in with a viewer’s token, which cannot make changes.',
  {
    path: '/',
    name: 'Back to the overview',
  },
);

/** Sends a page with an ETag: scripts poll it every few seconds, and mostly it has not changed. */
function sendPage(request: FastifyRequest, reply: FastifyReply, text: string): FastifyReply {
  const tag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
  reply.headers({ etag: tag, 'cache-control': 'no-cache, private' });
  if (request.headers['if-none-match'] === tag) return reply.code(304).send();
  return reply.type('text/html; charset=utf-8').send(text);
}

function answerFailures(app: FastifyInstance, { failed }: PageWorld): void {
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const { code, message, details } = asUpdateError(error);
    const status = error.statusCode ?? statusOf(code);
    if (status >= 500) failed(code, message, request.url);
    setRetryAfter(reply, details);
    const sentence = status === 429 ? message : SENTENCES[status < 500 ? 'asker' : 'server'];
    const page = messagePage('Request failed', sentence, { path: '/', name: 'Back to the overview' });
    return reply.code(status).type('text/html; charset=utf-8').send(document(page, undefined));
  });
}

const SENTENCES = {
  asker: 'The server could not understand this request.',
  server: 'The server failed to process this request; see its log.',
};

function assets(app: FastifyInstance): void {
  const files = { css: [STYLE, 'text/css'], js: [SCRIPT, 'text/javascript'], svg: [ICON, 'image/svg+xml'] } as const;
  for (const [name, [text, type]] of Object.entries(files))
    app.get(`/assets/dashboard.${name}`, { schema: PAGES.asset(type) }, async (_request, reply) =>
      reply.header('cache-control', 'no-cache').type(`${type}; charset=utf-8`).send(text),
    );
}

function signingIn(app: FastifyInstance, { access, sessions, store, now, limits = NO_LIMITS }: PageWorld): void {
  app.get('/sign-in', { schema: PAGES.askIn }, async (request, reply) => {
    const key = keyIn(request.headers.cookie);
    // A cookie set without a path belongs to this page's folder; pages further down cannot clear it.
    if (key !== undefined && !(await sessions.holderOf(key, false)))
      reply.header('set-cookie', cookieOf(undefined, isSecure(request)));
    return sendPage(request, reply, document(signInPage(false), undefined));
  });
  app.post<{ Body: unknown }>('/sign-in', { schema: PAGES.signIn }, async (request, reply) => {
    const token = fieldOf(request, 'token').trim();
    const isOurs = isSameSite(request.headers);
    request.holder = isOurs ? await access.holderOf(token) : undefined;
    countHolder(request, limits);
    if (!request.holder || !mayAct(request.holder, 'viewer')) {
      await noted(store, entryOf(request, now(), 'sign-in-failed'));
      return sendPage(request, reply.code(403), document(signInPage(true), undefined));
    }
    const key = await sessions.begin(request.holder, token, entryOf(request, now(), 'signed-in'));
    return reply.header('set-cookie', cookieOf(key, isSecure(request))).redirect('/', 303);
  });
}

const isOurs = (request: FastifyRequest): boolean =>
  isSameSite(request.headers) && isOurForm(fieldOf(request, 'form'), keyIn(request.headers.cookie));

/** Also behind a proxy that terminates HTTPS. */
const isSecure = ({ protocol, headers }: FastifyRequest): boolean =>
  protocol === 'https' || headers['x-forwarded-proto'] === 'https';
