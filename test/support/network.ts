/** Network namespaces on one bridge, for processes that are to be cut off from one another without either end being told. */

import { execFileSync } from 'node:child_process';

export class Network implements Disposable {
  private readonly name: string;
  private readonly count: number;
  private readonly subnet: string;

  private constructor(name: string, count: number, subnet: string) {
    this.name = name;
    this.count = count;
    this.subnet = subnet;
  }

  /** As root. */
  static create(count: number): Network {
    const network = new Network(`td${process.pid}`, count, `10.213.${process.pid % 250}`);
    const { name, subnet } = network;
    ip('link', 'add', name, 'type', 'bridge');
    ip('addr', 'add', `${subnet}.1/24`, 'dev', name);
    ip('link', 'set', name, 'up');
    for (let index = 0; index < count; index++) network.join(index);
    return network;
  }

  address(index: number): string {
    return `${this.subnet}.${index + 2}`;
  }

  /** What goes before a command line to have it run there. */
  within(index: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.space(index)];
  }

  /** Packets between the two go nowhere; nobody is told. */
  cut(one: number, other: number): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const)
      this.inside(
        from,
        'neigh',
        'replace',
        this.address(to),
        'lladdr',
        '02:00:00:00:00:01',
        'nud',
        'permanent',
        ...ETH,
      );
  }

  heal(one: number, other: number): void {
    this.inside(one, 'neigh', 'del', this.address(other), ...ETH);
    this.inside(other, 'neigh', 'del', this.address(one), ...ETH);
  }

  /** Takes the cable out, or puts it back. */
  plug(index: number, isIn: boolean): void {
    ip('link', 'set', this.cable(index), isIn ? 'up' : 'down');
  }

  [Symbol.dispose](): void {
    for (let index = 0; index < this.count; index++) {
      // A namespace goes later than it is deleted, and would keep the name of its cable.
      ip('link', 'del', this.cable(index));
      ip('netns', 'del', this.space(index));
    }
    ip('link', 'del', this.name);
  }

  private join(index: number): void {
    const [space, cable] = [this.space(index), this.cable(index)];
    ip('netns', 'add', space);
    ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    ip('link', 'set', cable, 'master', this.name, 'up');
    this.inside(index, 'addr', 'add', `${this.address(index)}/24`, ...ETH);
    this.inside(index, 'link', 'set', 'lo', 'up');
    this.inside(index, 'link', 'set', 'eth0', 'up');
  }

  private inside(index: number, ...args: string[]): void {
    ip('-n', this.space(index), ...args);
  }

  private space(index: number): string {
    return `${this.name}-${index}`;
  }

  private cable(index: number): string {
    return `${this.name}v${index}`;
  }
}

const ETH = ['dev', 'eth0'] as const;

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
