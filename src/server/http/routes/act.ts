/** Operators' actions on the pages: confirm, act, redirect to the page that shows the result. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { cleanLine } from '../../../clean-text.ts';
import { asUpdateError } from '../../../errors.ts';
import { type AuditEntry, noted } from '../../fleet/audit.ts';
import { placeOf } from '../../fleet/names.ts';
import { ACTS, type Act, confirmFreeing, confirmMachine, confirmRollout, MACHINE_ACTS } from '../../pages/confirm.ts';
import { noSuchMachine } from '../../pages/machine.ts';
import { messagePage } from '../../pages/sign-in.ts';
import { entryOf } from '../entries.ts';
import { fieldOf } from '../forms.ts';
import { PAGES } from '../page-shapes.ts';
import type { AppWorld, ShowPage, ViewerOf, ViewWorld } from '../world.ts';
import { noSuchChannel, shownOf } from './view.ts';

type ChannelOf = { Params: { channel: string } };
type OneMachine = { Params: { id: string } };
type Held = { Params: { group: string; holder: string } };

/** Actions are idempotent. */
export function actRoutes(app: FastifyInstance, world: ViewWorld & AppWorld, show: ShowPage, viewerOf: ViewerOf): void {
  rolloutActs(app, world, show, viewerOf);
  machineActs(app, world, show, viewerOf);
  lockActs(app, world, show, viewerOf);
}

function rolloutActs(app: FastifyInstance, world: ViewWorld & AppWorld, show: ShowPage, viewerOf: ViewerOf): void {
  const { fleet, now } = world;
  for (const act of ACTS)
    app.get<ChannelOf>(`/rollouts/:channel/${act}`, { schema: PAGES.askAct }, async (request, reply) => {
      const { channel } = request.params;
      const shown = await shownOf(world, channel);
      if (!shown) return show(request, reply.code(404), noSuchChannel(channel));
      return show(request, reply, confirmRollout(act, shown, viewerOf(request), world.abort !== undefined));
    });
  const deeds: Record<
    Exclude<Act, 'abort'>,
    (channel: string, reason: string, entry: AuditEntry) => Promise<unknown>
  > = {
    pause: (channel, reason, entry) => fleet.pullBrake(channel, `paused by an operator: ${reason}`, now(), entry),
    resume: (channel, _reason, entry) => fleet.releaseBrake(channel, entry),
  };
  for (const [act, deed] of Object.entries(deeds))
    app.post<ChannelOf>(`/rollouts/:channel/${act}`, { schema: PAGES.act }, async (request, reply) => {
      const { channel } = request.params;
      const state = (await world.channels()).get(channel);
      if (!state) return show(request, reply.code(404), noSuchChannel(channel));
      const reason = reasonOf(request);
      if (act === 'pause' && reason === '') return show(request, reply.code(400), noReason(channel, act));
      const what = act === 'pause' ? 'rollout-paused' : 'rollout-resumed';
      const about = `${state.version} in ${channel}`;
      await deed(channel, reason, entryOf(request, now(), what, { about, ...(reason === '' ? {} : { reason }) }));
      return reply.redirect(`/rollouts/${channel}`, 303);
    });
  app.post<ChannelOf>('/rollouts/:channel/abort', { schema: PAGES.abort }, async (request, reply) => {
    const { channel } = request.params;
    const [version, reason] = [fieldOf(request, 'version'), reasonOf(request)];
    if (!world.abort) return show(request, reply.code(409), noKeys(channel));
    if (reason === '') return show(request, reply.code(400), noReason(channel, 'abort'));
    try {
      await world.abort(channel, version, reason);
    } catch (error) {
      const { code, message } = asUpdateError(error);
      if (code !== 'rollout-state' && code !== 'channel-unknown') throw error;
      return show(request, reply.code(409), notDone(channel, message));
    }
    const entry = entryOf(request, now(), 'rollout-aborted', { about: `${version} in ${channel}`, reason });
    // The channel's own signed history records the abort, even if the audit entry is lost.
    entry.kept();
    const { kept: _, ...kept } = entry;
    await noted(world.store, kept);
    return reply.redirect(`/rollouts/${channel}`, 303);
  });
}

function machineActs(app: FastifyInstance, world: ViewWorld, show: ShowPage, viewerOf: ViewerOf): void {
  const { fleet, locks, now } = world;
  for (const act of MACHINE_ACTS)
    app.get<OneMachine>(`/machines/:id/${act}`, { schema: PAGES.askMachine }, async (request, reply) => {
      const { id } = request.params;
      const machine = await fleet.machine(id);
      if (!machine) return show(request, reply.code(404), noSuchMachine(id));
      const { holders } = await locks.show(machine.group, now());
      const held = (await placeOf(fleet, holders, id)) ? machine.group : undefined;
      return show(request, reply, confirmMachine(act, machine, held, viewerOf(request)));
    });
  app.post<OneMachine>('/machines/:id/forget', { schema: PAGES.forget }, async (request, reply) => {
    const { id } = request.params;
    await fleet.forget(id, entryOf(request, now(), 'machine-forgotten', { about: id }));
    return reply.redirect('/machines', 303);
  });
  app.post<OneMachine>('/machines/:id/reset', { schema: PAGES.reset }, async (request, reply) => {
    const { id } = request.params;
    await fleet.resetSecret(id, entryOf(request, now(), 'machine-reset', { about: id }));
    return reply.redirect(`/machines/${id}`, 303);
  });
}

function lockActs(app: FastifyInstance, { locks, now }: ViewWorld, show: ShowPage, viewerOf: ViewerOf): void {
  app.get<Held>('/locks/:group/:holder', { schema: PAGES.askFree }, async (request, reply) => {
    const { group, holder } = request.params;
    return show(request, reply, confirmFreeing(group, holder, viewerOf(request)));
  });
  app.post<Held>('/locks/:group/:holder', { schema: PAGES.free }, async (request, reply) => {
    const { group, holder } = request.params;
    await locks.release(group, holder, entryOf(request, now(), 'lock-freed', { about: `${holder} in ${group}` }));
    return reply.redirect('/locks', 303);
  });
}

/** One clean line, since it is shown to hosts. */
const reasonOf = (request: FastifyRequest): string => cleanLine(fieldOf(request, 'reason'), 200);

const noReason = (channel: string, act: Act) =>
  messagePage('Nothing changed', 'A reason is required. It is shown to machines and other operators.', {
    path: `/rollouts/${channel}/${act}`,
    name: 'Give one',
  });

const notDone = (channel: string, sentence: string) =>
  messagePage('Nothing changed', sentence, { path: `/rollouts/${channel}`, name: 'Back to the rollout' });

const noKeys = (channel: string) =>
  notDone(channel, 'An abort must be signed, and this server does not hold the keys.');
