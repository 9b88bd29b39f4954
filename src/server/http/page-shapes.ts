/** The pages of the dashboard, as schemas: what their addresses and forms hold. */

import { STATE_KINDS } from '../../model.ts';
import { type Answer, bare, page, raw, withHeaders } from './answers.ts';
import { CHANNEL, SEARCH as FOR, machineId } from './fleet-shapes.ts';
import { HELD, lockGroup } from './lock-shapes.ts';
import { loose, object, type Shape, saying, sentence, text } from './shapes.ts';

const MACHINE = object({ id: text(/^[0-9a-f]+$/, 64) });
const SEARCH = loose({
  name: FOR.name.schema,
  id: FOR.id.schema,
  version: FOR.version.schema,
  group: FOR.group.schema,
  state: { type: 'string', enum: ['', ...STATE_KINDS] },
  failed: saying('whose last attempt failed', { type: 'string', enum: ['', 'yes'] }),
  code: saying('the name of the failure', { type: 'string', maxLength: 500 }),
  attempted: saying('the release that failed', text(/^[0-9A-Za-z.~^-]*$/, 64)),
  reason: saying('what the machine said of it, to the letter', { type: 'string', maxLength: 500 }),
  after: machineId,
});

const toThere = { location: 'where to go on' };
const elsewhere = withHeaders(bare('To the page to sign in, or to the one that shows what has been done'), toThere);
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
    { 200: page('The page'), 303: elsewhere, 304: bare('It is as `If-None-Match` has it'), ...NONE },
    rest,
  );
const NONE = { 404: page('There is none') };

/** Forms are read field by field, and a field that is missing is an empty one: the schema only names them. */
const form = (fields: Readonly<Record<string, Shape>>): Shape =>
  loose({ form: saying('hidden in the page', sentence), ...fields });
const done = (
  summary: string,
  fields: Readonly<Record<string, Shape>>,
  rest: object = {},
  more: Readonly<Record<number, Answer>> = {},
) =>
  dashboard(
    summary,
    { 303: elsewhere, 403: page('The form is not one of ours, or the token is wrong'), ...NONE, ...more },
    { body: form(fields), ...rest },
  );

export const PAGES = {
  overview: shown('The fleet at a glance'),
  rollouts: shown('All rollouts'),
  rollout: shown('One rollout beside its plan', { params: CHANNEL }),
  rolloutHosts: shown('The machines of a rollout that failed, or are under way', {
    params: CHANNEL,
    querystring: loose({ after: machineId }),
  }),
  askReadmit: shown('Asks before machines are let in again', {
    params: CHANNEL,
    querystring: loose({ machine: machineId }),
  }),
  readmit: done('Lets machines try again on which a release has failed', { machine: sentence }, { params: CHANNEL }),
  locks: shown('The locks on rebooting', { querystring: loose({ after: lockGroup }) }),
  failures: shown('Why updates failed'),
  audit: shown('Who has changed what, when and from where'),
  machines: shown('Machines, and the search among them', { querystring: SEARCH }),
  machine: shown('One machine, its history, and what holds it back', { params: MACHINE }),
  askAct: shown('Asks before a rollout is paused, resumed or aborted', { params: CHANNEL }),
  act: done('Pauses or resumes a rollout', { reason: sentence }, { params: CHANNEL }),
  abort: done(
    'Aborts a rollout, where the server has the keys to sign that',
    { reason: sentence, version: sentence },
    { params: CHANNEL },
    { 409: page('There are no keys, or nothing to abort') },
  ),
  askMachine: shown('Asks before a machine is forgotten, or may show another secret', { params: MACHINE }),
  forget: done('Forgets a machine that will not come back', {}, { params: MACHINE }),
  reset: done('Lets a machine that was reinstalled show another secret', {}, { params: MACHINE }),
  askFree: shown('Asks before a lock is freed', { params: HELD }),
  free: done('Frees what a host holds that will not come back', {}, { params: HELD }),
  askIn: shown('Asks for the token of an operator'),
  signIn: done('Signs in: the answer sets the cookie', { token: sentence }),
  signOut: done('Signs out', {}),
  asset: (type: string) => dashboard('What the pages are made of', { 200: raw('The file', type) }),
};
