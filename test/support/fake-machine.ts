/** A machine of files: the tools that a jump needs are fakes at the front of PATH, and what they change can be looked at. */

import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Files, realFiles } from '../../src/system/files.ts';
import { type Exec, realExec } from '../../src/system/process/exec.ts';

const TOOL = join(import.meta.dirname, '..', 'bin', 'machine-tool');
const TOOLS = ['veritysetup', 'mkdir', 'rmdir', 'mount', 'umount', 'kexec', 'systemctl', 'busctl'];

export type FakeMachine = AsyncDisposable &
  Readonly<{
    dir: string;
    exec: Exec;
    /** Files of the machine, by their paths on it. */
    files: Files;
    put(path: string, text: string): Promise<void>;
    /** The n-th call fails; 0 is none. */
    failAt(call: number): Promise<void>;
    calls(): Promise<string[]>;
    isDir(path: string): Promise<boolean>;
    /** Open devices, mounts beyond those it was made with, whether a kernel is loaded. */
    left(): Promise<Readonly<{ devices: string[]; mounts: string[]; nextRoot: boolean; loaded: string }>>;
    devices(): Promise<string[]>;
  }>;

export const ROOT_LINE = '20 1 254:0 / / ro,relatime shared:1 - erofs /dev/mapper/root ro';
export const VAR_LINE = '21 20 254:6 / /var rw,relatime shared:2 - ext4 /dev/vda6 rw';

export async function fakeMachine(): Promise<FakeMachine> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-machine-'));
  const at = (path: string): string => join(dir, path);
  const put = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(at(path)), { recursive: true });
    await writeFile(at(path), text);
  };
  const isDir = (path: string): Promise<boolean> =>
    stat(at(path)).then(
      (found) => found.isDirectory(),
      () => false,
    );
  const text = (path: string): Promise<string> => readFile(at(path), 'utf8').catch(() => '');
  await mkdir(at('bin'));
  await mkdir(at('dm'));
  for (const tool of TOOLS) await symlink(TOOL, at(`bin/${tool}`));
  await put('proc/self/mountinfo', `${ROOT_LINE}\n${VAR_LINE}\n`);
  await put('sys/kernel/kexec_loaded', '0\n');
  const env = { FAKE_ROOT: dir, PATH: `${at('bin')}:${process.env['PATH']}` };
  return {
    dir,
    exec: (program, args, options) => realExec(program, args, { ...options, env: { ...options?.env, ...env } }),
    files: {
      ...realFiles,
      read: (path) => realFiles.read(path.startsWith(dir) ? path : at(path)),
      list: (path) => realFiles.list(at(path)),
    },
    put,
    failAt: (call) => put('fail', String(call)),
    calls: async () => (await text('calls')).split('\n').filter(Boolean),
    isDir,
    devices: () => readdir(at('dm')),
    left: async () => ({
      devices: await readdir(at('dm')),
      mounts: (await text('proc/self/mountinfo')).split('\n').filter((line) => line.includes('/run/nextroot')),
      nextRoot: await isDir('run/nextroot'),
      loaded: (await text('sys/kernel/kexec_loaded')).trim(),
    }),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}
