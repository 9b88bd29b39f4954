/** The read-only pages. */

import type { FastifyInstance } from 'fastify';
import { lastEntries } from '../../fleet/audit.ts';
import { type Search, searchMachines, searchOf } from '../../fleet/machine-search.ts';
import { namesOf, placeOf } from '../../fleet/names.ts';
import { auditPage, MOST_SHOWN } from '../../pages/audit.ts';
import { failuresPage } from '../../pages/failures.ts';
import { locksPage } from '../../pages/locks.ts';
import { machinePage, noSuchMachine } from '../../pages/machine.ts';
import { machinesPage } from '../../pages/machines.ts';
import { overviewPage } from '../../pages/overview.ts';
import { HOST_LISTS, hostsPage } from '../../pages/rollout-hosts.ts';
import type { Shown } from '../../pages/rollout-progress.ts';
import { rolloutPage, rolloutsPage, shownIds } from '../../pages/rollouts.ts';
import { messagePage } from '../../pages/sign-in.ts';
import { PAGES } from '../page-shapes.ts';
import type { ShowPage, ViewerOf, ViewWorld } from '../world.ts';

export function viewRoutes(app: FastifyInstance, world: ViewWorld, show: ShowPage, viewerOf: ViewerOf): void {
  const { census, fleet, locks, now } = world;
  app.get('/', { schema: PAGES.overview }, async (request, reply) => {
    const data = { census: await census.latest(), history: await census.history(), rollouts: await allShown(world) };
    return show(request, reply, overviewPage(data, now()));
  });
  app.get('/rollouts', { schema: PAGES.rollouts }, async (request, reply) =>
    show(request, reply, rolloutsPage(await allShown(world), now())),
  );
  app.get<Channel>('/rollouts/:channel', { schema: PAGES.rollout }, async (request, reply) => {
    const shown = await shownOf(world, request.params.channel);
    if (!shown) return show(request, reply.code(404), noSuchChannel(request.params.channel));
    const named = { ...shown, names: await namesOf(fleet, shownIds(shown.ledger)) };
    return show(request, reply, rolloutPage(named, await census.history(), viewerOf(request), now()));
  });
  for (const which of HOST_LISTS)
    app.get<Channel & { Querystring: { after?: string } }>(
      `/rollouts/:channel/${which}`,
      { schema: PAGES.rolloutHosts },
      async (request, reply) => {
        const { channel } = request.params;
        const shown = await shownOf(world, channel);
        if (!shown) return show(request, reply.code(404), noSuchChannel(channel));
        return show(request, reply, hostsPage(which, shown, request.query.after, viewerOf(request)));
      },
    );
  app.get<{ Querystring: { after?: string } }>('/locks', { schema: PAGES.locks }, async (request, reply) => {
    const page = await locks.all(20, now(), request.query.after);
    const names = await namesOf(
      fleet,
      page.locks.flatMap(({ holders }) => holders.map(({ id }) => id)),
    );
    const data = { ...page, names, census: await census.latest() };
    return show(request, reply, locksPage(data, viewerOf(request), now()));
  });
  app.get('/failures', { schema: PAGES.failures }, async (request, reply) =>
    show(request, reply, failuresPage(await census.latest(), now())),
  );
  app.get('/audit', { schema: PAGES.audit }, async (request, reply) =>
    show(request, reply, auditPage(await lastEntries(world.store, MOST_SHOWN), now())),
  );
  app.get<{ Querystring: Search }>('/machines', { schema: PAGES.machines }, async (request, reply) => {
    const search = searchOf(request.query);
    const found = await searchMachines({ machines: fleet.machines, pause: world.pause }, search);
    return show(request, reply, machinesPage(search, found, now()));
  });
  app.get<{ Params: { id: string } }>('/machines/:id', { schema: PAGES.machine }, async (request, reply) => {
    const machine = await fleet.machine(request.params.id);
    if (!machine) return show(request, reply.code(404), noSuchMachine(request.params.id));
    const rollout = await shownOf(world, machine.channel);
    const lock = await locks.show(machine.group, now());
    const names = await namesOf(
      fleet,
      lock.holders.map(({ id }) => id),
    );
    const place = await placeOf(fleet, lock.holders, machine.machine);
    const data = { machine, lock, names, ...(place ? { place } : {}), ...(rollout ? { rollout } : {}) };
    return show(request, reply, machinePage(data, viewerOf(request), now()));
  });
}

/** A channel with its rollout and machines; undefined if there is no such channel. */
export async function shownOf(
  { channels, fleet, census, now }: ViewWorld,
  channel: string,
): Promise<Shown | undefined> {
  const state = (await channels()).get(channel);
  if (!state) return undefined;
  const tally = (await census.latest()).channels[channel];
  return { channel, state, ledger: await fleet.ledger(channel, now()), ...(tally ? { tally } : {}) };
}

export const noSuchChannel = (channel: string) =>
  messagePage('No such channel', `The repository has no channel ${channel}.`, {
    path: '/rollouts',
    name: 'All rollouts',
  });

async function allShown(world: ViewWorld): Promise<readonly Shown[]> {
  // Channels with a rollout come first.
  const names = [...(await world.channels())]
    .toSorted(([a, one], [b, other]) => Number(!one.offered) - Number(!other.offered) || a.localeCompare(b))
    .map(([name]) => name);
  const all = await Promise.all(names.map((name) => shownOf(world, name)));
  return all.filter((one) => one !== undefined);
}

type Channel = { Params: { channel: string } };
