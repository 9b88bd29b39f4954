/** A FleetLock server that does what airlock does: the same paths, header, answers and names of refusals. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export class FleetLockServer implements AsyncDisposable {
  readonly holders = new Map<string, Set<string>>();
  readonly bodies: string[] = [];
  readonly logins: string[] = [];
  /** Answers in its place, once each. */
  readonly instead: ((response: ServerResponse) => void)[] = [];
  private readonly server: Server;
  private readonly slots: Readonly<Record<string, number>>;

  private constructor(slots: Readonly<Record<string, number>>) {
    this.slots = slots;
    this.server = createServer((request, response) => void this.serve(request, response));
  }

  static async start(slots: Readonly<Record<string, number>>): Promise<FleetLockServer> {
    const one = new FleetLockServer(slots);
    await new Promise<void>((resolve) => one.server.listen(0, '127.0.0.1', resolve));
    return one;
  }

  get url(): string {
    const address = this.server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    this.bodies.push(body);
    this.logins.push(request.headers.authorization ?? 'none');
    const instead = this.instead.shift();
    if (instead) return instead(response);
    const refusal = this.judge(request, body);
    if (!refusal) return void response.writeHead(200).end();
    response.writeHead(refusal.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ kind: refusal.kind, value: refusal.value }));
  }

  private judge(
    request: IncomingMessage,
    body: string,
  ): Readonly<{ status: number; kind: string; value: string }> | undefined {
    if (request.method !== 'POST') return { status: 405, kind: 'method_not_allowed', value: 'only POST is accepted' };
    if (request.headers['fleet-lock-protocol'] !== 'true')
      return { status: 400, kind: 'missing_header', value: 'wrong fleet-lock-protocol header' };
    const { id, group } = JSON.parse(body).client_params;
    if (!/^[a-zA-Z0-9.-]+$/.test(group)) return { status: 400, kind: 'bad_group', value: 'invalid group' };
    const slots = this.slots[group];
    if (slots === undefined) return { status: 400, kind: 'unknown_group', value: `unknown group "${group}"` };
    const holders = this.holders.get(group) ?? new Set();
    this.holders.set(group, holders);
    if (request.url === '/v1/steady-state') return void holders.delete(id);
    if (request.url !== '/v1/pre-reboot') return { status: 404, kind: 'not_found', value: 'no such verb' };
    if (!holders.has(id) && holders.size >= slots)
      return {
        status: 409,
        kind: 'failed_lock_semaphore_full',
        value: `semaphore currently full, all ${slots} slots are locked already`,
      };
    return void holders.add(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
