/** Hosts with the real agent's judgement, the real server, and between them a network that loses what it likes; beside them a plain model. */

import assert from 'node:assert/strict';
import { type FleetServer, withFleetServer } from '../../src/agent/find/fleet-client.ts';
import { createReleases, type Releases } from '../../src/agent/find/releases.ts';
import { forgive, type StanceWorld, stanceOf } from '../../src/agent/find/stance.ts';
import type { EndedEntry } from '../../src/agent/loop/journal.ts';
import type { CheckIn } from '../../src/formats/check-in.ts';
import type { Fault, MachineId, Product, Release, State, StateKind, Version } from '../../src/model.ts';
import { limitsOf, policyOf, type RolloutDocument, readRollout } from '../../src/rollout/document.ts';
import type { Offered } from '../../src/rollout/roll-call.ts';
import type { Fleet } from '../../src/server/fleet/fleet.ts';
import { noSignal } from './bundles.ts';
import { type PlainHost, PlainRollout, type Terms, versionOf } from './plain-rollout.ts';

export const START = Date.UTC(2030, 0, 1);
const MINUTE = 60_000;
const PRODUCT = 'acme' as Product;

/** The signed document that means these terms. */
export function documentOf(terms: Terms, isPaused: boolean): RolloutDocument {
  const step = (release: number) => ({ version: versionOf(release), counter: release });
  const groups = [...Object.keys(terms.pins), ...terms.held].map((group) => [
    group,
    {
      ...(terms.pins[group] === undefined ? {} : { pin: step(terms.pins[group]) }),
      ...(terms.held.includes(group) ? { hold: 'exam week' } : {}),
    },
  ]);
  return readRollout(
    {
      schema: 1,
      start: new Date(terms.start).toISOString().replace('.000', ''),
      canaries: { groups: terms.canaries, soakMinutes: terms.soak / MINUTE },
      ramp: { minutes: terms.duration / MINUTE, steps: 0 },
      groups: Object.fromEntries(groups),
      barriers: terms.barriers.map((one) => ({ ...step(one), reason: 'moves the state' })),
      deadEnds: terms.deadEnds.map((one) => ({ version: versionOf(one), reason: 'no way on' })),
      limits: { inFlight: terms.inFlight, failures: terms.failures, patienceMinutes: terms.patience / MINUTE },
      ...(isPaused ? { pause: { since: '2030-01-01T00:00:00Z', reason: 'lunch' } } : {}),
    },
    'stable',
  );
}

export function offeredBy(terms: Terms, isPaused: boolean): Offered {
  const document = documentOf(terms, isPaused);
  const release = { version: versionOf(terms.release), counter: terms.release };
  return { policy: policyOf(document, release), limits: limitsOf(document) };
}

export type Deed =
  | Readonly<{ do: 'poll'; host: number; net: 'whole' | 'request lost' | 'answer lost' }>
  | Readonly<{ do: 'go on' | 'give up'; host: number }>
  | Readonly<{ do: 'fail'; host: number; fault: Fault }>
  | Readonly<{ do: 'let in'; host: number }>
  | Readonly<{ do: 'let all in' }>
  | Readonly<{ do: 'by hand'; host: number; release: number }>
  | Readonly<{ do: 'pause' | 'resume' | 'pull' | 'release' }>
  | Readonly<{ do: 'wait'; minutes: number }>;

type Host = PlainHost & {
  state: StateKind;
  /** What it is about, and what it left for it. */
  to?: number;
  from?: number;
  last?: EndedEntry;
  /** No release is for its architecture. */
  readonly isUnfit: boolean;
  /** What it refuses, and how often each release took it down. */
  readonly refused: Set<number>;
  readonly falls: EndedEntry[];
};

export type GivenHost = Readonly<{ group: string; running: number; isUnfit: boolean }>;

/** How often something happened that the test is about. */
export type Seen = Record<(typeof THINGS)[number], number>;
const THINGS = [
  'begun',
  'begunOnTheWay',
  'askedOnUnderWay',
  'failed',
  'hindered',
  'doubtful',
  'samplesWithBrake',
  'releasedBrakes',
  'letIn',
  'begunAgain',
  'refusedItself',
  'unfit',
] as const;

export class RolloutWorld {
  now = START;
  readonly model: PlainRollout;
  readonly seen = Object.fromEntries(THINGS.map((one) => [one, 0])) as Seen;
  private readonly terms: Terms;
  private readonly hosts: readonly Host[];
  private readonly fleet: Fleet;
  private ended = 0;

  /** `fleet` is the server, whose channel is what `offered` says. */
  constructor(terms: Terms, hosts: readonly GivenHost[], makeFleet: (offered: () => Offered) => Fleet) {
    this.terms = terms;
    this.model = new PlainRollout(terms);
    this.hosts = hosts.map((given, at) => ({
      ...{ ...given, confirmed: true, state: 'idle', refused: new Set(), falls: [] },
      id: (at + 1).toString(16).padStart(32, '0') as MachineId,
    }));
    this.fleet = makeFleet(() => offeredBy(terms, this.model.paused));
  }

  /** Does it, and finds the server's ledger to be as the model has it. */
  async play(deed: Deed): Promise<void> {
    const host = 'host' in deed ? this.hosts[deed.host % this.hosts.length] : undefined;
    if (deed.do === 'poll' && host) await this.poll(host, deed.net);
    else if (deed.do === 'by hand' && host) this.settle(host, deed.release, undefined);
    else if (deed.do === 'let in' && host) await this.letIn(host);
    else if (deed.do === 'fail' && host) this.fail(host, deed.fault);
    else if (host) this.proceed(host, deed.do);
    else if (deed.do === 'wait') this.now += deed.minutes * MINUTE;
    else await this.operate(deed.do);
    this.model.pass(this.now);
    await this.compare();
  }

  private async operate(what: string): Promise<void> {
    const { model, fleet } = this;
    if (what === 'pause' || what === 'resume') model.paused = what === 'pause';
    if (what === 'let all in') {
      for (const { id } of [...model.failed]) model.letIn(id);
      this.seen.letIn += await fleet.readmit('stable', undefined);
    }
    if (what === 'pull') {
      model.brakeByHand();
      await fleet.pullBrake('stable', 'lunch', new Date(this.now));
    }
    if (what === 'release') {
      if (model.braked === 'by failures') this.seen.releasedBrakes += 1;
      model.release();
      await fleet.releaseBrake('stable');
    }
  }

  private async letIn({ id }: Host): Promise<void> {
    const known = await this.fleet.machine(id);
    const goal = this.model.goalOf({ id, group: known?.group ?? 'default', running: 0, confirmed: true });
    const isDone = known?.confirmed === true && known.running.version === versionOf(goal);
    if (!isDone) this.model.letIn(id);
    this.seen.letIn += await this.fleet.readmit('stable', id);
  }

  private fail(host: Host, fault: Fault): void {
    const { to, from, running, state } = host;
    if (to === undefined) return;
    if (fault === 'release') host.refused.add(to);
    if (state === 'trial') this.settle(host, from ?? running, 'rolled-back', fault);
    else this.settle(host, running, 'failed', fault);
    if (host.last?.result === 'rolled-back') host.falls.push(host.last);
    this.seen[fault === 'release' ? 'failed' : fault === 'doubt' ? 'doubtful' : 'hindered'] += 1;
  }

  /** Of what a host has begun: it is written, booted on trial, proven; or it is given up. */
  private proceed(host: Host, how: string): void {
    const { to } = host;
    if (to === undefined) return;
    if (host.state === 'trial') {
      if (how === 'go on') this.settle(host, to, 'updated');
    } else if (how === 'give up') this.settle(host, host.running, 'withdrawn');
    else if (host.state === 'staging') host.state = 'staged';
    else Object.assign(host, { state: 'trial', from: host.running, running: to, confirmed: false });
  }

  private settle(host: Host, running: number, result: EndedEntry['result'] | undefined, fault?: Fault): void {
    const at = new Date(START + this.ended++).toISOString();
    if (result !== undefined && host.to !== undefined)
      host.last = { at, result, version: versionOf(host.to), ...(fault ? { fault } : {}) } as EndedEntry;
    Object.assign(host, { running, confirmed: true, state: 'idle', to: undefined, from: undefined });
  }

  private async poll(host: Host, net: string): Promise<void> {
    const wasBraked = this.model.braked !== 'no';
    const before = this.model.underWay.find(({ id }) => id === host.id)?.to;
    let said: string | undefined;
    const post = async (_url: string, { body }: { body: string }) => {
      if (net === 'request lost') throw new Error('the network is away');
      said = await this.check(host, JSON.parse(body) as CheckIn);
      if (net === 'answer lost') throw new Error('the network is away');
      return { status: 200, body: Buffer.from(said) };
    };
    const found = await this.agentOf(host, post).catch((error: unknown) => {
      if (error instanceof assert.AssertionError) throw error;
      return undefined;
    });
    if (!found) {
      assert.notEqual(net, 'whole', 'the agent has failed by itself');
      return;
    }
    if ('hold' in found) {
      if (host.state === 'staged' && STOPPED.has(found.hold.code)) this.settle(host, host.running, 'withdrawn');
      return;
    }
    const to = found.trusted.release.counter;
    if (to === host.running) return;
    // What it cannot take, or refuses, it does not begin: its own judgement comes after what it finds.
    if (host.isUnfit || host.refused.has(to)) return;
    if (to === before) this.seen.askedOnUnderWay += 1;
    // The brake, as hosts see it.
    else assert.ok(!wasBraked, `${host.id} begins ${to} after the brake`);
    if (host.state !== 'idle') return;
    this.seen.begun += 1;
    if (host.falls.some(({ version }) => version === versionOf(to))) this.seen.begunAgain += 1;
    if (to !== this.terms.release) this.seen.begunOnTheWay += 1;
    Object.assign(host, { state: 'staging', to });
  }

  /** One check-in at server and model. */
  private async check(host: Host, request: CheckIn): Promise<string> {
    const signed = this.model.signed(host, this.now);
    const offered = typeof signed === 'number' ? signed : undefined;
    const isRefused = offered !== undefined && host.refused.has(offered);
    const wants = isRefused || host.isUnfit ? undefined : offered;
    const refuses = isRefused ? offered : undefined;
    assert.equal(request.wants, wants && versionOf(wants), `the agent on ${host.running}`);
    assert.equal(request.refuses, refuses && versionOf(refuses), `the agent on ${host.running}`);
    if (isRefused) this.seen.refusedItself += 1;
    if (offered !== undefined && host.isUnfit) this.seen.unfit += 1;
    const answer = await this.fleet.checkIn(request, new Date(this.now));
    const { last } = host;
    const ended =
      last && this.told.get(host.id) !== last.at
        ? { release: parseInt(last.version, 10), how: last.result, fault: last.fault ?? 'none' }
        : undefined;
    if (last) this.told.set(host.id, last.at);
    const expected = this.model.call(
      host,
      {
        idle: host.state === 'idle',
        ...(wants === undefined ? {} : { wants }),
        ...(refuses === undefined ? {} : { refuses }),
        ...(ended ? { ended } : {}),
      },
      this.now,
    );
    const said = !answer.go ? answer.code : answer.readmitted ? 'try again' : 'go';
    assert.equal(said, expected, `${JSON.stringify(request)}`);
    return JSON.stringify(answer);
  }

  /** Which outcome of a host has reached the server. */
  private readonly told = new Map<string, string>();

  private agentOf(host: Host, post: unknown): ReturnType<Releases['find']> {
    const { terms, model, now } = this;
    const trusted = {
      channel: async () => ({
        ...releaseOf(versionOf(terms.release)),
        rollout: this.signed(model.paused),
      }),
      release: async (_product: Product, version: Version) => ({
        release: releaseOf(version),
        manifest: { sha256: version },
        ...{ architecture: host.isUnfit ? 'riscv64' : 'x86-64', minAgent: '0.0.1' },
      }),
    };
    const machine = async () => host.id;
    const stance = {
      host: { product: PRODUCT, architecture: 'x86-64', agentVersion: '0.1.0' },
      journal: journalOf(host),
    };
    const releases = createReleases({
      ...{ product: PRODUCT, channel: 'stable', group: host.group, machine, urls: ['http://repository'] },
      trust: () => ({ refresh: async () => trusted }),
    } as never);
    const server = {
      ...{ http: { post }, url: 'http://fleet', machine, token: async () => undefined },
      host: { group: host.group, product: PRODUCT, channel: 'stable', agent: '0.1.0' },
      situation: async () => ({
        saved: { state: stateOf(host), since: new Date(START).toISOString() },
        confirmed: host.confirmed,
        last: host.last,
      }),
      facts: async () => ({}),
      identity: async () => ({}),
      stance: (...offered: Parameters<FleetServer['stance']>) => stanceOf(stance, ...offered),
      forgive: (release: Release) => forgive(stance, release),
    } as unknown as FleetServer;
    return withFleetServer(releases, server).find(
      {},
      releaseOf(versionOf(host.running)) as never,
      new Date(now),
      noSignal,
    );
  }

  private signed(isPaused: boolean): object {
    const { groups, ...rest } = documentOf(this.terms, isPaused);
    return { ...rest, groups: Object.fromEntries(groups ?? []) };
  }

  private async compare(): Promise<void> {
    const { model } = this;
    const { inFlight, failed, readmitted, updated, braked } = await this.fleet.ledger('stable', new Date(this.now));
    if (braked && !braked.byHand) this.seen.samplesWithBrake += 1;
    assert.deepEqual(
      {
        underWay: [...inFlight].map(([id, { via, due }]) => [id, via ?? versionOf(this.terms.release), due]).toSorted(),
        failed: [...failed]
          .map(([id, { via, doubt = 'no' }]) => [id, via ?? versionOf(this.terms.release), doubt])
          .toSorted(),
        again: [...readmitted].toSorted(),
        updated,
        braked: braked ? (braked.byHand ? 'by hand' : 'by failures') : 'no',
      },
      {
        underWay: model.underWay.map(({ id, to, due }) => [id, versionOf(to), due]).toSorted(),
        failed: model.failed.map(({ id, at, doubt }) => [id, versionOf(at), doubt]).toSorted(),
        again: [...model.again].toSorted(),
        updated: model.made.length,
        braked: model.braked,
      },
    );
    assert.ok(inFlight.size <= this.terms.inFlight);
  }
}

const STOPPED = new Set(['paused', 'group-held', 'pinned', 'dead-end', 'downgrade', 'braked']);

const stateOf = ({ state, to }: Host): State =>
  ({ kind: state, ...(to === undefined ? {} : { release: releaseOf(versionOf(to)), target: 'b' }) }) as State;

const releaseOf = (version: Version): Release =>
  ({ product: PRODUCT, version, counter: parseInt(version, 10), manifest: version }) as unknown as Release;

/** What a host remembers of releases that it refuses, and of those that took it down. */
const journalOf = ({ refused, falls }: Host): StanceWorld['journal'] => ({
  refusals: async () =>
    [...refused].map((one) => ({
      ...releaseOf(versionOf(one)),
      at: '2030-01-01T00:00:00.000Z',
      code: 'x',
      reason: 'x',
    })),
  forget: async (version) => Number(refused.delete(parseInt(version ?? '', 10))),
  history: async () => falls,
});
