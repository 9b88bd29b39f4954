/**
 * Runs docs/tutorial.md in a Debian root that has nothing but the packages: every command from the page itself, and after each section a look at
 * what the page promises. Prints a transcript with times.
 * usage: tutorial.ts ROOT [SECTION] (a fresh root, which is used up, with the packages in ROOT/root; or one that has come to this section)
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Status } from '../../src/protocol.ts';
import { PROJECT } from './programs.ts';
import { Terminal } from './terminal.ts';

const MINUTE_MS = 60_000;
/** The longest command, and the longest update with its restarts, on an emulated processor with other work to do. */
const COMMAND_MS = 30 * MINUTE_MS;
const UPDATE_MS = 20 * MINUTE_MS;
const ANSWER_MS = 30_000;
/** The end of the output in which a prompt is looked for, in characters. */
const PROMPT = 40;
/** `cd` counts for the terminals that are opened later. */
const WORK = '/root/shop';

const [root = '', from = '1'] = process.argv.slice(2);
const begun = performance.now();
let counted = 0;

await using opened = new AsyncDisposableStack();
const shell = opened.use(Terminal.open(root, from === '1' ? '/root' : WORK, ['bash']));
const machines: Terminal[] = [];
/** Of each machine, in their order: made at its first start, and kept. */
const ids: string[] = [];

/** What the page says of a section. */
const LOOKS: Readonly<Record<string, () => Promise<void>>> = {
  '5': async () => {
    await settled('1');
    assert.equal((await statusOf(first())).slots?.a?.version, '1');
  },
  '6': async () => {
    await settled('2');
    assert.match(await ask(first(), 'cat /etc/motd'), /Welcome to release 2\./);
  },
  '7': async () => {
    await until('release 3 is refused', async () =>
      (await statusOf(first())).refused.some(({ version }) => version === '3'),
    );
    await settled('2');
    assert.match(await ask(first(), 'updatectl history'), /the shop does not open/);
    assert.match(await ask(first(), 'updatectl explain'), /\b3\b.*refused/s);
  },
  '8': () => settled('4'),
};

for (const { number, title, commands } of sectionsOf(await readFile(join(PROJECT, 'docs/tutorial.md'), 'utf8'))) {
  if (number < from) continue;
  console.log(`\n=== ${number}. ${title}`);
  for (const command of commands) await run(command);
  await LOOKS[number]?.();
}
console.log(`\nThe tutorial took ${minutes(begun)} minutes and ${counted} commands.`);

type Section = Readonly<{ number: string; title: string; commands: readonly string[] }>;

/** The numbered sections, with the commands of their blocks. */
function sectionsOf(page: string): readonly Section[] {
  return page
    .split(/^## /m)
    .map((part) => ({ part, head: /^(\d+)\. (.*)$/m.exec(part) }))
    .flatMap(({ part, head }) =>
      head ? [{ number: head[1] ?? '', title: head[2] ?? '', commands: commandsIn(part) }] : [],
    );
}

function commandsIn(text: string): readonly string[] {
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) =>
    block.trim().replaceAll('\\\n', ' ').split('\n'),
  );
}

/** As a person types it; a machine gets a terminal of its own. */
async function run(command: string): Promise<void> {
  counted += 1;
  const started = performance.now();
  console.log(`$ ${command}`);
  if (command.startsWith('./start ')) await startMachine(command);
  else await inShell(command);
  console.log(`  ${minutes(started)} min`);
}

async function startMachine(command: string): Promise<void> {
  const machine = opened.use(Terminal.open(root, WORK, command.split(' ')));
  machines.push(machine);
  // The kernel may say something behind it.
  await machine.until(/^root@\S+# /m, 0, UPDATE_MS);
}

async function inShell(command: string): Promise<void> {
  const from = shell.output.length;
  shell.say(`${command}\necho "@@$?@"\n`);
  const [, status] = await shell.until(/^@@(\d+)@$/m, from, COMMAND_MS);
  if (status !== '0') throw new Error(`${command}: status ${status}\n${shell.output.slice(from).slice(-3000)}`);
}

function first(): Terminal {
  const [machine] = machines;
  if (!machine) throw new Error('no machine was started');
  return machine;
}

/** Until all machines run this release, proven. */
async function settled(version: string): Promise<void> {
  const started = performance.now();
  for (const machine of machines)
    await until(`release ${version} is proven`, async () => {
      const { running, confirmed, state } = await statusOf(machine);
      return running?.version === version && confirmed === true && state.kind === 'idle';
    });
  console.log(`  release ${version} is proven, after ${minutes(started)} min more`);
  await identified();
}

/** Every machine keeps its machine ID, and no two have the same. */
async function identified(): Promise<void> {
  for (const [at, machine] of machines.entries()) {
    const [id = ''] = /^[0-9a-f]{32}$/m.exec(await ask(machine, 'cat /etc/machine-id')) ?? [];
    assert.equal(id, ids[at] ?? id);
    ids[at] = id;
  }
  assert.equal(new Set(ids).size, machines.length, ids.join(' '));
  assert.ok(
    ids.every((id) => id.length === 32),
    ids.join(' '),
  );
}

/** A machine that restarts does not answer. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + UPDATE_MS;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > end) throw new Error(`${what}: waited in vain\n${machines.map(endOf).join('\n')}`);
    await sleep(2000);
  }
}

async function statusOf(machine: Terminal): Promise<Status> {
  return JSON.parse(await ask(machine, 'updatectl status --json')) as Status;
}

/** What a command prints on the console of a machine. Types only at a prompt: a key stops a boot loader in its menu. */
async function ask(machine: Terminal, command: string): Promise<string> {
  await machine.until(/root@\S+# $/, Math.max(0, machine.output.length - PROMPT), ANSWER_MS);
  const from = machine.output.length;
  // The terminal shows what is typed; only the answers have the sum.
  machine.say(`echo @$((40+2)); ${command}; echo @$((40+3))\n`);
  const [, answer = ''] = await machine.until(/^@42\n([\s\S]*?)^@43$/m, from, ANSWER_MS);
  return answer;
}

function endOf(machine: Terminal): string {
  return machine.output.slice(-2000);
}

function minutes(since: number): string {
  return ((performance.now() - since) / MINUTE_MS).toFixed(1);
}
