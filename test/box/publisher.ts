/** The publisher of a box's releases: a repository with its keys, worked with Tandem's own commands, in this process for speed. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from '../../src/cli/command.ts';
import { repoAdd } from '../../src/cli/publish/repo-add.ts';
import { repoInit } from '../../src/cli/publish/repo-init.ts';
import { repoPromote } from '../../src/cli/publish/repo-promote.ts';
import { rolloutStart } from '../../src/cli/rollout/start.ts';
import { runCommand } from '../support/command-line.ts';
import { buildRelease, PRODUCT, type Release, type ReleaseOptions } from './release.ts';

export const CHANNEL = 'stable';

export class Publisher {
  /** What is served. */
  readonly served: string;
  private readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
    this.served = join(dir, 'www');
  }

  /** An empty repository and new keys in a folder. */
  static async create(dir: string): Promise<Publisher> {
    const publisher = new Publisher(dir);
    await mkdir(publisher.served, { recursive: true });
    await publisher.run(repoInit);
    return publisher;
  }

  /** The root of trust for images. */
  get trustRoot(): string {
    return join(this.served, 'metadata/1.root.json');
  }

  /** Builds a release and adds it; nobody is offered it yet. */
  async release(options: ReleaseOptions, trustRoot = this.trustRoot): Promise<Release> {
    const release = await buildRelease(this.dir, trustRoot, options);
    const { patchFrom = 0, blocks = false } = options;
    await this.run(repoAdd, release.bundle, '--patch-from', String(patchFrom), ...(blocks ? [] : ['--no-blocks']));
    return release;
  }

  async promote(version: string): Promise<void> {
    await this.run(repoPromote, version, '--product', PRODUCT, '--channel', CHANNEL, '--allow-downgrade');
  }

  /** Offers it as a rollout that has reached everybody. */
  async rollout(version: string): Promise<void> {
    await this.run(
      rolloutStart,
      version,
      '--product',
      PRODUCT,
      '--channel',
      CHANNEL,
      '--start',
      '2026-01-01T00:00:00Z',
      '--over',
      '1m',
      '--soak',
      '1m',
    );
  }

  /** Any of the publisher's commands. */
  run(command: Command, ...args: readonly string[]): Promise<string> {
    const where = ['--repository', this.served, '--keys', join(this.dir, 'keys')];
    return runCommand(command, this.dir, [...args, ...where]);
  }
}
