/** Hosts that take a release through real servers, whatever happens to those, and a tally of what they were promised. */

import type { MachineRecord } from '../../src/server/fleet/machines.ts';
import type { Store } from '../../src/server/store/store.ts';

export type DrillOptions = Readonly<{
  hosts: number;
  /** Asked in turn: no host keeps to one. */
  urls: readonly string[];
  /** How many may be under way, and have the lock, at once: one more, and the drill ends there. */
  inFlight: number;
  atOnce: number;
  /** Hosts on which the release fails. */
  fails(host: number): boolean;
  /** Called after every answer with how many there were; hosts go on meanwhile. */
  answered?(count: number): void;
}>;

export class FleetDrill {
  /** Who has been told to go and has not begun to report: the servers must know at least of these. */
  readonly inFlight = new Set<string>();
  /** Who has been lent the lock and has not begun to give it back. */
  readonly holding = new Set<string>();
  /** Who was answered on its report, and what it had said. */
  readonly reported = new Map<string, 'proven' | 'failed'>();
  mostInFlight = 0;
  mostHolding = 0;
  answers = 0;
  /** Requests that brought nothing: nobody there, or nobody who could. */
  unanswered = 0;
  private turn = 0;
  private fault: Error | undefined;
  private readonly options: DrillOptions;

  constructor(options: DrillOptions) {
    this.options = options;
  }

  /** Until every host has reported and given back the lock. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.options.hosts }, (_, host) => this.live(host)));
  }

  /** The hosts give up: what they should be told will not come. */
  stop(why: Error): undefined {
    this.fault ??= why;
  }

  private async live(host: number): Promise<void> {
    const id = idOf(host);
    while (!(await this.mayGo(id))) await pause();
    this.mostInFlight = Math.max(this.mostInFlight, this.join(this.inFlight, id, this.options.inFlight));
    while ((await this.ask('pre-reboot', lockOf(id))).status !== 200) await pause();
    this.mostHolding = Math.max(this.mostHolding, this.join(this.holding, id, this.options.atOnce));
    await pause();
    const result = this.options.fails(host) ? 'failed' : 'proven';
    this.inFlight.delete(id);
    await this.ask('check-in', result === 'failed' ? checkIn(id, FAILED) : checkIn(id, PROVEN));
    this.reported.set(id, result);
    this.holding.delete(id);
    await this.ask('steady-state', lockOf(id));
  }

  /** How many there are then. */
  private join(some: Set<string>, id: string, most: number): number {
    some.add(id);
    if (some.size > most) this.stop(new Error(`${some.size} hosts at once, and ${most} are allowed`));
    return some.size;
  }

  private async mayGo(id: string): Promise<boolean> {
    const { body } = await this.ask('check-in', checkIn(id, { wants: '2.0' }));
    return (body as { go?: boolean }).go === true;
  }

  /** The first answer that is one, from whomever. */
  private async ask(verb: string, body: object): Promise<Readonly<{ status: number; body: unknown }>> {
    for (;;) {
      if (this.fault) throw this.fault;
      const url = this.options.urls[this.turn++ % this.options.urls.length] ?? '';
      const answer = await post(`${url}/v1/${verb}`, body);
      if (answer) {
        this.options.answered?.(++this.answers);
        return answer;
      }
      this.unanswered++;
      await pause();
    }
  }
}

/** What a store must know and does not; hosts may go on while it is read. */
export async function lostPromises(drill: FleetDrill, store: Store): Promise<string[]> {
  const [inFlight, holding, reported] = [[...drill.inFlight], [...drill.holding], [...drill.reported]];
  const ledgers = JSON.stringify((await store.list('ledger', 10)).documents);
  const locks = JSON.stringify((await store.list('lock', 10)).documents);
  const { documents } = await store.list('machine', 1000);
  const machines = new Map(documents.map(({ id, document }) => [id, document as unknown as MachineRecord]));
  return [
    ...inFlight.filter((id) => drill.inFlight.has(id) && !ledgers.includes(id)).map((id) => `${id} is under way`),
    ...holding.filter((id) => drill.holding.has(id) && !locks.includes(id)).map((id) => `${id} holds the lock`),
    ...reported
      .filter(([id, result]) => result !== resultOf(machines.get(id)))
      .map(([id, result]) => `${id} has reported: ${result}`),
  ];
}

const resultOf = (record: MachineRecord | undefined): string | undefined =>
  record?.running.version === '2.0' ? 'proven' : record?.outcome?.result === 'rolled-back' ? 'failed' : undefined;

export type Tally = Readonly<{ updated: number[]; failed: number[]; inFlight: number[]; holders: number[] }>;

/** What the ledger of each rollout and the lock of each group count. */
export async function tally(store: Store): Promise<Tally> {
  type Ledger = { updated: number; failed: readonly unknown[]; inFlight: readonly unknown[] };
  const ledgers = (await store.list('ledger', 10)).documents.map(({ document }) => document as unknown as Ledger);
  const locks = (await store.list('lock', 10)).documents;
  return {
    updated: ledgers.map(({ updated }) => updated),
    failed: ledgers.map(({ failed }) => failed.length),
    inFlight: ledgers.map(({ inFlight }) => inFlight.length),
    holders: locks.map(({ document }) => (document as { holders: readonly unknown[] }).holders.length),
  };
}

const idOf = (host: number): string => (host + 1).toString(16).padStart(32, '0');

const lockOf = (id: string) => ({ client_params: { id, group: 'web' } });

const PROVEN = { running: { version: '2.0', counter: 2 } };
const FAILED = {
  outcome: { at: '2026-01-01T00:00:00Z', result: 'rolled-back', version: '2.0', reason: 'no web server' },
};

const checkIn = (machine: string, change: object): object => ({
  schema: 1,
  machine,
  group: 'default',
  product: 'acme',
  channel: 'stable',
  agent: '0.1.0',
  running: { version: '1.0', counter: 1 },
  confirmed: true,
  state: 'idle',
  since: '2025-12-31T00:00:00Z',
  ...change,
});

async function post(url: string, body: object): Promise<Readonly<{ status: number; body: unknown }> | undefined> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'fleet-lock-protocol': 'true' },
      body: JSON.stringify(body),
    });
    const said: unknown = await answer.json();
    if (answer.status === 400) throw new Error(`refused: ${JSON.stringify(said)}`);
    return answer.status >= 500 ? undefined : { status: answer.status, body: said };
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 20));
