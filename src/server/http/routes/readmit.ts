/** Readmits machines on the pages: confirm, then act. */

import type { FastifyInstance } from 'fastify';
import type { MachineId } from '../../../model.ts';
import { noSuchMachine } from '../../pages/machine.ts';
import { confirmReadmission } from '../../pages/readmit.ts';
import { entryOf } from '../entries.ts';
import { fieldOf } from '../forms.ts';
import { PAGES } from '../page-shapes.ts';
import type { ShowPage, ViewerOf, ViewWorld } from '../world.ts';
import { noSuchChannel, shownOf } from './view.ts';

type ChannelOf = { Params: { channel: string } };

/** `machine`: one machine; if missing, all that failed. */
export function readmitRoutes(app: FastifyInstance, world: ViewWorld, show: ShowPage, viewerOf: ViewerOf): void {
  const { fleet, now } = world;
  app.get<ChannelOf & { Querystring: { machine?: MachineId } }>(
    '/rollouts/:channel/readmit',
    { schema: PAGES.askReadmit },
    async (request, reply) => {
      const { channel } = request.params;
      const shown = await shownOf(world, channel);
      if (!shown?.state.offered) return show(request, reply.code(404), noSuchChannel(channel));
      return show(request, reply, confirmReadmission(shown, request.query.machine, viewerOf(request)));
    },
  );
  app.post<ChannelOf>('/rollouts/:channel/readmit', { schema: PAGES.readmit }, async (request, reply) => {
    const { channel } = request.params;
    const state = (await world.channels()).get(channel);
    const machine = fieldOf(request, 'machine');
    const known = machine === '' ? undefined : await fleet.machine(machine);
    if (!state?.offered) return show(request, reply.code(404), noSuchChannel(channel));
    if (machine !== '' && !known) return show(request, reply.code(404), noSuchMachine(machine.slice(0, 32)));
    const about = `${known?.machine ?? 'all that failed'}: ${state.version} in ${channel}`;
    await fleet.readmit(channel, known?.machine, entryOf(request, now(), 'machine-readmitted', { about }));
    return reply.redirect(`/rollouts/${channel}`, 303);
  });
}
