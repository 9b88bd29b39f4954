/**
 * Runs every command once on a machine that misbehaves in one way, and prints a line of JSON for each: the command line, its exit
 * status, the code of its error. Started in a mount namespace of its own, as root: `rude-machine.ts FOLDER FAULT`, where FOLDER holds
 * what `rude-material.ts` made. Nothing is imitated: the faults are those of real file systems and real permissions.
 */

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { main } from '../../src/main.ts';
import { COMMAND_LINES } from './rude-material.ts';

const [material = '', fault = ''] = process.argv.slice(2);
const WORK = '/run/work';
const CONFIG = '/etc/tandem/config.d';
const STATE = '/var/lib/tandem';
/** A command that runs until it is told to stop is told so after this time. */
const PATIENCE_MS = 1_500;

const run = (program: string, ...args: readonly string[]): void => {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
};

const files = (): string[] => readdirSync(WORK).filter((name) => statSync(join(WORK, name)).isFile());
const folders = (): string[] => readdirSync(WORK).filter((name) => statSync(join(WORK, name)).isDirectory());
const replaceEach = (names: readonly string[], by: (path: string) => void): void => {
  for (const name of names) {
    rmSync(join(WORK, name), { recursive: true });
    by(join(WORK, name));
  }
};
const fill = (folder: string): void => {
  const file = openSync(join(folder, 'filler'), 'w');
  try {
    for (let size = 65_536; size >= 1; ) {
      try {
        writeSync(file, Buffer.alloc(size));
      } catch {
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(file);
  }
};
const asNobody = (): void => {
  process.setgroups?.([]);
  process.setegid?.(65_534);
  process.seteuid?.(65_534);
};

/** What is wrong with the machine. */
const FAULTS: Readonly<Record<string, () => void>> = {
  nothing: () => {},
  'disk full': () => fill(WORK),
  'disk that fills on the way': () => {
    fill(WORK);
    truncateSync(join(WORK, 'filler'), statSync(join(WORK, 'filler')).size - 40_960);
  },
  'disk read-only': () => run('mount', '-o', 'remount,ro', WORK),
  'no permission': () => {
    for (const name of readdirSync(WORK)) chmodSync(join(WORK, name), 0);
    chmodSync(WORK, 0o755);
    chmodSync(CONFIG, 0o700);
    asNobody();
  },
  'not in the group of the agent': () => {
    chmodSync('/run/tandem', 0o750);
    chmodSync(STATE, 0o700);
    asNobody();
  },
  'folders where files belong': () => replaceEach(files(), (path) => mkdirSync(path)),
  'files where folders belong': () => replaceEach(folders(), (path) => writeFileSync(path, 'a file\n')),
  'nothing there': () => replaceEach(readdirSync(WORK), () => {}),
  'empty files': () => {
    for (const name of files()) truncateSync(join(WORK, name));
  },
  'files of noise': () => {
    for (const name of files()) writeFileSync(join(WORK, name), Buffer.from('\0\u001b[2J\u202e}{"\xff', 'latin1'));
  },
  'links that lead nowhere': () => replaceEach(readdirSync(WORK), (path) => symlinkSync(path, path)),
  'the folder that we are in is gone': () => {
    mkdirSync('/run/gone');
    process.chdir('/run/gone');
    rmSync('/run/gone', { recursive: true });
  },
  'the configuration is a file': () => {
    rmSync(CONFIG, { recursive: true });
    writeFileSync(CONFIG, '');
  },
  'a folder among the configuration': () => mkdirSync(join(CONFIG, '50-folder.toml')),
  'noise in the configuration': () => writeFileSync(join(CONFIG, '50-noise.toml'), '\u001b[31m\u202e = \0'),
  'pipes that nobody serves': () => {
    for (const path of [join(CONFIG, '50-pipe.toml'), join(STATE, 'state.json'), join(STATE, 'floors.json')])
      run('mkfifo', path);
  },
  'state full': () => fill('/var/lib'),
  'state read-only': () => {
    rmSync(STATE, { recursive: true });
    run('mount', '-o', 'remount,ro', '/var/lib');
  },
  'state is a file': () => {
    rmSync(STATE, { recursive: true });
    writeFileSync(STATE, '');
  },
  'folders in the state': () => {
    for (const name of ['state.json', 'refused.json', 'history.jsonl', 'floors.json', 'trial'])
      mkdirSync(join(STATE, name));
  },
  'runtime folder full': () => {
    run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tandem', '/run/tandem');
    fill('/run/tandem');
  },
};

/** A machine of our own: nothing outside of this namespace changes. */
function prepare(): void {
  run('mount', '-t', 'tmpfs', '-o', 'size=64m', 'run', '/run');
  run('mount', '-t', 'tmpfs', '-o', 'size=4m', 'state', '/var/lib');
  for (const dir of ['/run/upper', '/run/overlay', '/run/tandem', STATE]) mkdirSync(dir);
  run('mount', '-t', 'overlay', '-o', 'lowerdir=/etc,upperdir=/run/upper,workdir=/run/overlay', 'etc', '/etc');
  mkdirSync(CONFIG, { recursive: true });
  mkdirSync(WORK);
  run('mount', '-t', 'tmpfs', '-o', 'size=16m', 'work', WORK);
  run('cp', '-a', `${material}/.`, WORK);
  run('cp', join(WORK, 'root.json'), '/etc/tandem/root.json');
  writeFileSync(join(CONFIG, '10-host.toml'), HOST);
  process.chdir(WORK);
  FAULTS[fault]?.();
}

const HOST = '[host]\nproduct = "demo"\n[repository]\nurl = "http://127.0.0.1:9/"\n[agent]\nlog_level = "error"\n';

/** What was said to people while `deed` ran. */
async function hearing(deed: () => Promise<number>): Promise<Readonly<{ status: number; said: string }>> {
  const { write } = process.stderr;
  let said = '';
  const listen = (text: string | Uint8Array): boolean => {
    said += String(text);
    return true;
  };
  process.stderr.write = listen;
  const writeOut = process.stdout.write;
  process.stdout.write = listen;
  const timer = setTimeout(() => process.emit('SIGTERM'), PATIENCE_MS);
  try {
    return { status: await deed(), said };
  } finally {
    clearTimeout(timer);
    process.removeAllListeners('SIGTERM').removeAllListeners('SIGINT');
    process.stderr.write = write;
    process.stdout.write = writeOut;
  }
}

const codeIn = (said: string): string | undefined => /^\{"error":\{"code":"([^"]+)"/m.exec(said)?.[1];

if (!Object.hasOwn(FAULTS, fault)) {
  process.stdout.write(`${JSON.stringify(Object.keys(FAULTS))}\n`);
} else {
  prepare();
  for (const line of COMMAND_LINES) {
    const begun = performance.now();
    const { status, said } = await hearing(() => main([...line, '--json']));
    const row = {
      line: line.join(' '),
      status,
      code: codeIn(said),
      said: said.slice(-2000),
      ms: Math.round(performance.now() - begun),
    };
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
  process.exit();
}
