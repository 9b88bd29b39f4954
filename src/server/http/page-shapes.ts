/** Schemas of the dashboard's pages: parameters, queries and forms. */

import {
  type Described,
  type JsonSchema,
  literal,
  object,
  optional,
  saying,
  text,
  upTo,
  words,
} from '../../formats/shape.ts';
import { machineId } from '../../formats/wire-words.ts';
import { STATE_KINDS } from '../../model.ts';
import { type Answer, bare, page, raw, withHeaders } from './answers.ts';
import { CHANNEL, SEARCH as FOR } from './fleet-shapes.ts';
import { HELD, lockGroup } from './lock-shapes.ts';

const sentence = words();
const MACHINE = object({ id: upTo(64, text(/^[0-9a-f]+$/)) }).schema;
const SEARCH = object({
  ...FOR,
  state: optional(literal('', ...STATE_KINDS)),
  failed: optional(saying('only machines whose last attempt failed', literal('', 'yes'))),
  code: optional(saying('the failure’s code', upTo(500, sentence))),
  attempted: optional(saying('the version that failed', upTo(64, text(/^[0-9A-Za-z.~^-]*$/)))),
  reason: optional(saying('the exact reason the machine gave', upTo(500, sentence))),
  after: optional(machineId),
}).schema;

const toThere = { location: 'the next page' };
const elsewhere = withHeaders(bare('Redirect to the sign-in page, or to the page that shows the result'), toThere);
const dashboard = (summary: string, response: Readonly<Record<number, Answer>>, rest: object = {}) => ({
  summary,
  tags: ['dashboard'],
  consumes: 'application/x-www-form-urlencoded',
  refusedAs: 'page' as const,
  ...rest,
  response,
});
const shown = (summary: string, rest: object = {}) =>
  dashboard(
    summary,
    { 200: page('The page'), 303: elsewhere, 304: bare('Unchanged since `If-None-Match`'), ...NONE },
    rest,
  );
const NONE = { 404: page('Not found') };

/** The schema only documents a form's fields: handlers read them one by one, and treat a missing one as empty. */
const form = (fields: Fields): JsonSchema =>
  object({
    form: optional(saying('the hidden form token', sentence)),
    ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, optional(field)])),
  }).schema;

type Fields = Readonly<Record<string, Described<string>>>;

const done = (summary: string, fields: Fields, rest: object = {}, more: Readonly<Record<number, Answer>> = {}) =>
  dashboard(
    summary,
    { 303: elsewhere, 403: page('The form did not come from this server, or the token is wrong'), ...NONE, ...more },
    { body: form(fields), ...rest },
  );

export const PAGES = {
  overview: shown('Overview of the fleet'),
  rollouts: shown('All rollouts'),
  rollout: shown('One rollout against its plan', { params: CHANNEL }),
  rolloutHosts: shown('Failed machines of a rollout, or those under way', {
    params: CHANNEL,
    querystring: object({ after: optional(machineId) }).schema,
  }),
  askReadmit: shown('Confirmation: readmit machines', {
    params: CHANNEL,
    querystring: object({ machine: optional(machineId) }).schema,
  }),
  readmit: done('Readmits machines on which the release failed', { machine: sentence }, { params: CHANNEL }),
  locks: shown('Reboot locks', { querystring: object({ after: optional(lockGroup) }).schema }),
  failures: shown('Failures, grouped by reason'),
  audit: shown('Audit log'),
  machines: shown('Machine search', { querystring: SEARCH }),
  machine: shown('One machine: blockers, last report, history', { params: MACHINE }),
  askAct: shown('Confirmation: pause, resume or abort a rollout', { params: CHANNEL }),
  act: done('Pauses or resumes a rollout', { reason: sentence }, { params: CHANNEL }),
  abort: done(
    'Aborts a rollout, if the server holds the keys to sign that',
    { reason: sentence, version: sentence },
    { params: CHANNEL },
    { 409: page('No keys, or nothing to abort') },
  ),
  askMachine: shown('Confirmation: forget a machine, or reset its secret', { params: MACHINE }),
  forget: done('Forgets a machine that will not come back', {}, { params: MACHINE }),
  reset: done('Resets the secret of a reinstalled machine', {}, { params: MACHINE }),
  askFree: shown('Confirmation: free a lock', { params: HELD.schema }),
  free: done('Frees the lock of a host that will not come back', {}, { params: HELD.schema }),
  askIn: shown('Sign-in page'),
  signIn: done('Signs in and sets the session cookie', { token: sentence }),
  signOut: done('Signs out', {}),
  asset: (type: string) => dashboard('Style sheet, script and icon of the pages', { 200: raw('The file', type) }),
};
