/** A U-Boot environment in files, read and changed by the real tools. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SlotFlags } from '../../src/reboot/bootloaders/slot-flags.ts';
import { formatUboot } from '../../src/reboot/bootloaders/uboot.ts';
import { realExec, run } from '../../src/system/process/exec.ts';

export type UbootEnvironment = AsyncDisposable &
  Readonly<{
    /** The fw_env.config. */
    config: string;
    copies: readonly [string, string];
    /** Sets variables past Tandem. */
    set(script: string): Promise<void>;
    contents(): Promise<readonly [Buffer, Buffer]>;
    restore(contents: readonly [Uint8Array, Uint8Array]): Promise<void>;
  }>;

/** Two copies of `size` bytes. At first slot a is proven, and the board has variables of its own. */
export async function ubootEnvironment(size = 512): Promise<UbootEnvironment> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-uboot-'));
  const [config, defaults] = [join(dir, 'fw_env.config'), join(dir, 'defaults')];
  const copies = [join(dir, 'one'), join(dir, 'two')] as const;
  for (const copy of copies) await writeFile(copy, Buffer.alloc(size, 0xff));
  await writeFile(
    config,
    `# device offset size\n${copies.map((copy) => `${copy} 0x0 0x${size.toString(16)}\n`).join('')}`,
  );
  await writeFile(defaults, 'baudrate=115200\nbootcmd=source\n');
  const set = async (script: string): Promise<void> => {
    await run(realExec, 'fw_setenv', ['-c', config, '-f', defaults, '-s', '-'], { input: Buffer.from(script) });
  };
  await set(formatUboot(AT_FIRST));
  return {
    config,
    copies,
    set,
    contents: async () => [await readFile(copies[0]), await readFile(copies[1])],
    restore: async ([one, two]) => {
      await writeFile(copies[0], one);
      await writeFile(copies[1], two);
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

export const AT_FIRST: SlotFlags = {
  first: 'a',
  slots: {
    a: { bootable: true, successful: true, tries: 0 },
    b: { bootable: false, successful: false, tries: 0 },
  },
};
