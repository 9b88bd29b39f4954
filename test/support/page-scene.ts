/** Where the commands of a page are run: a scratch folder with what the page presumes, and a real server in place of https://updates.example. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { temporaryFolder } from './bundles.ts';
import { runCommand } from './command-line.ts';
import { wordsOf } from './page-commands.ts';
import { freePort, ServerProcess } from './server-process.ts';

const TOP = join(import.meta.dirname, '..', '..');
const MAIN = join(TOP, 'src/main.ts');
const PE = new URL('./pe.ts', import.meta.url).href;

/** Stands in for ukify, which Debian has from 13 on. */
const UKIFY = `#!${process.execPath}
const { readFileSync, writeFileSync } = await import('node:fs');
const { peFile } = await import('${PE}');
const value = (name) => process.argv.find((one) => one.startsWith('--' + name + '='))?.slice(name.length + 3) ?? '';
if (process.argv[2] !== '--version')
  writeFileSync(value('output'), peFile([['.osrel', readFileSync(value('os-release').slice(1))], ['.cmdline', value('cmdline')], ['.linux', readFileSync(value('linux'))]]));
`;

/** The command that a line calls, and the words behind its name. */
export async function calledBy(
  words: readonly string[],
): Promise<Readonly<{ command: Command; args: readonly string[] }> | undefined> {
  for (const many of [3, 2, 1]) {
    const found = COMMANDS.find(({ name }) => name === words.slice(0, many).join(' '));
    if (found) return { command: await found.load(), args: words.slice(many) };
  }
  return undefined;
}

export class PageScene implements AsyncDisposable {
  private readonly folder: AsyncDisposable & Readonly<{ path: string }>;
  server: ServerProcess | undefined;

  private constructor(folder: AsyncDisposable & Readonly<{ path: string }>) {
    this.folder = folder;
  }

  /** With the tree, the kernel and the older bundles that the pages name. */
  static async make(): Promise<PageScene> {
    const scene = new PageScene(await temporaryFolder());
    scene.write('tree/etc/hostname', 'shop\n');
    scene.write('tree/etc/os-release', 'NAME=shop\n');
    for (const name of ['vmlinuz', 'initrd']) scene.write(name, name);
    scene.write('bin/ukify', UKIFY, 0o755);
    symlinkSync(join(TOP, 'packaging'), join(scene.path, 'packaging'));
    return scene;
  }

  get path(): string {
    return this.folder.path;
  }

  write(name: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.path, name)), { recursive: true });
    writeFileSync(join(this.path, name), text, { mode });
  }

  /** In place of what is there. */
  copy(from: string, to: string): void {
    mkdirSync(dirname(join(this.path, to)), { recursive: true });
    rmSync(join(this.path, to), { recursive: true, force: true });
    cpSync(join(this.path, from), join(this.path, to), { recursive: true });
  }

  /** Serves what was published under `srv/updates`, with the tokens that the pages read from files. */
  async serve(): Promise<ServerProcess> {
    const server = await ServerProcess.start([
      ...['--repository', join(this.path, 'srv/updates'), '--state', join(this.path, 'state')],
    ]);
    this.server = server;
    for (const name of ['operator.token', 'viewer.token', 'etc/prometheus/tandem.token'])
      this.write(name, `${server.operatorToken}\n`);
    return server;
  }

  /** What a line says, with places and addresses of the scene. */
  private here(line: string, port: number): string {
    return line
      .replaceAll('https://updates.example', this.server?.url ?? 'https://updates.example')
      .replace(/(?<=[ ="'>])\/(srv|etc|var)(?=\/)/g, `${this.path}/$1`)
      .replace(/(?<=[ =])~(?=\/)/g, this.path)
      .replace(/(?<= )(?:127\.0\.0\.1|0\.0\.0\.0):\d+/g, `127.0.0.1:${port}`);
  }

  /** Runs one command; throws for one that fails. */
  async run(line: string): Promise<string> {
    const here = this.here(line, await freePort());
    if (here.startsWith('updatectl server --')) return this.runServer(wordsOf(here).slice(1));
    const called = here.startsWith('updatectl ') ? await calledBy(wordsOf(here).slice(1)) : undefined;
    if (!called) return this.runInShell(here);
    const before = process.env['PATH'];
    process.env['PATH'] = `${join(this.path, 'bin')}:${before}`;
    try {
      return await runCommand(called.command, this.path, called.args);
    } finally {
      process.env['PATH'] = before;
    }
  }

  private runInShell(line: string): string {
    const failing = 'set -eu; curl() { command curl --fail-with-body "$@"; };';
    const env = { ...process.env, TOKEN: this.server?.operatorToken };
    const { status, stdout, stderr } = spawnSync('bash', ['-c', `${failing} ${line}`], {
      cwd: this.path,
      env,
      encoding: 'utf8',
      timeout: 20_000,
    });
    if (status !== 0) throw new Error(`${line}: exit status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Until it serves. */
  private async runServer(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: this.path, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', (bytes) => {
      said += bytes;
    });
    const ended = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith('Serving ')) continue;
      child.kill('SIGTERM');
      await ended;
      return line;
    }
    throw new Error(`the server does not come up: ${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server?.kill();
    await this.folder[Symbol.asyncDispose]();
  }
}
