/** An etcd cluster of real processes on the loopback device, which tests kill, freeze, cut apart and fill. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Network } from './network.ts';

const run = promisify(execFile);

type Member = {
  readonly name: string;
  readonly client: number;
  readonly peer: number;
  process?: ChildProcess | undefined;
};

export type ClusterOptions = Readonly<{
  members?: number;
  /** More arguments for every member. */
  args?: readonly string[];
  scheme?: 'http' | 'https';
  /** Where each member has a namespace of its own; the loopback device without it. */
  network?: Network;
  /** More arguments for etcdctl. */
  flags?: readonly string[];
}>;

export class EtcdCluster implements AsyncDisposable {
  private readonly nodes: Member[];
  private readonly dir: string;
  private readonly options: ClusterOptions;

  private constructor(dir: string, members: Member[], options: ClusterOptions) {
    this.dir = dir;
    this.nodes = members;
    this.options = options;
  }

  /** Running, with a leader. */
  static async start(options: ClusterOptions = {}): Promise<EtcdCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'tandem-etcd-'));
    const ports = await freePorts((options.members ?? 3) * 2);
    const members = Array.from({ length: options.members ?? 3 }, (_, index) => ({
      name: `m${index}`,
      client: ports[index * 2] ?? 0,
      peer: ports[index * 2 + 1] ?? 0,
    }));
    const cluster = new EtcdCluster(dir, members, options);
    for (const index of members.keys()) cluster.launch(index);
    await cluster.ready();
    return cluster;
  }

  get endpoints(): string[] {
    return this.nodes.map(({ client }, index) => `${this.options.scheme ?? 'http'}://${this.host(index)}:${client}`);
  }

  launch(index: number, state: 'new' | 'existing' = 'new'): void {
    const member = this.at(index);
    const peers = this.nodes.map(({ name, peer }, at) => `${name}=http://${this.host(at)}:${peer}`).join(',');
    const url = this.endpoints[index] ?? '';
    const own = `http://${this.host(index)}:${member.peer}`;
    const args = [
      ['--name', member.name],
      ['--data-dir', join(this.dir, member.name)],
      ['--listen-client-urls', url],
      ['--advertise-client-urls', url],
      ['--listen-peer-urls', own],
      ['--initial-advertise-peer-urls', own],
      ['--initial-cluster', peers],
      ['--initial-cluster-state', state],
      ['--heartbeat-interval', '50'],
      ['--election-timeout', '500'],
      // The machine of a test has no battery to lose: waiting for its disk would only make the tests slow.
      ['--unsafe-no-fsync'],
      ...(this.options.args ? [this.options.args] : []),
    ].flat();
    const [program = '', ...rest] = [...(this.options.network?.within(index) ?? []), 'etcd', ...args];
    const process = spawn(program, rest, { stdio: 'ignore' });
    process.once('error', (error) => {
      throw new Error(`etcd cannot be started; it comes with the Debian package etcd-server: ${error.message}`);
    });
    member.process = process;
  }

  /** Until a majority answers. */
  async ready(index = this.nodes.findIndex(({ process }) => process)): Promise<void> {
    for (let tries = 0; tries < 600; tries++) {
      const { code } = await this.ctl(['get', 'nothing'], index).catch(() => ({ code: 1 }));
      if (code === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('etcd does not come up');
  }

  async ctl(args: readonly string[], index = 0): Promise<Readonly<{ code: number; out: string }>> {
    const endpoint = this.endpoints[index] ?? '';
    const { stdout } = await run(
      'etcdctl',
      ['--endpoints', endpoint, '--command-timeout', '2s', ...(this.options.flags ?? []), ...args],
      {
        env: { ...process.env, ETCDCTL_API: '3' },
      },
    );
    return { code: 0, out: stdout };
  }

  /** The member that leads, as the others see it. */
  async leader(): Promise<number> {
    for (;;) {
      for (const [index, member] of this.nodes.entries()) {
        if (!member.process) continue;
        const { out } = await this.ctl(['endpoint', 'status', '-w', 'json'], index).catch(() => ({ out: '' }));
        const isLeader = /"member_id":(\d+).*"leader":\1\b/.test(out);
        if (isLeader) return index;
      }
    }
  }

  /** As a power cut ends it. */
  async kill(index: number): Promise<void> {
    const { process } = this.at(index);
    this.at(index).process = undefined;
    if (!process || process.exitCode !== null) return;
    process.kill('SIGKILL');
    await once(process, 'exit');
  }

  freeze(index: number): void {
    this.at(index).process?.kill('SIGSTOP');
  }

  thaw(index: number): void {
    this.at(index).process?.kill('SIGCONT');
  }

  private host(index: number): string {
    return this.options.network?.address(index) ?? '127.0.0.1';
  }

  private at(index: number): Member {
    const member = this.nodes[index];
    if (!member) throw new Error(`there is no member ${index}`);
    return member;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((_, index) => this.kill(index)));
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Held all at once, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
