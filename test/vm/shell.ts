/** `make shell`: a root shell in the reference machine, which knows a repository that offers version 2. */

import { connect } from 'node:net';
import { join } from 'node:path';
import { inLab } from './lab.ts';

/** Ctrl-]: everything else belongs to the guest. */
const LEAVE = 0x1d;

await inLab('shell', { patient: true }, async ({ machine, offer }) => {
  await offer('2');
  console.log(
    'A root shell in a machine on version 1, whose repository offers version 2. Ctrl-] ends it. Things to try:',
  );
  console.log(
    '  updatectl status | updatectl check | updatectl doctor | updatectl history | lsblk | ls /efi/EFI/Linux',
  );
  console.log('After the machine has rebooted, press Enter.\n');
  await machine.type(`stty sane; PS1='[root@reference \\w]# '`);
  await converse(join(machine.options.dir, 'shell'), () => machine.releaseShell());
});

/** Joins this terminal with the guest's, over reboots. */
async function converse(path: string, release: () => Promise<void>): Promise<void> {
  await release();
  process.stdin.setRawMode?.(true);
  let open = connect(path);
  const rejoin = (): void => {
    open = connect(path)
      .on('error', () => setTimeout(rejoin, 500))
      .on('close', again);
    open.pipe(process.stdout, { end: false });
  };
  const again = (): void => void setTimeout(rejoin, 500);
  open.on('error', () => undefined).on('close', again);
  open.pipe(process.stdout, { end: false });
  open.write('\n');
  await new Promise<void>((resolve) => {
    process.stdin.on('end', resolve);
    process.stdin.on('data', (bytes: Buffer) => {
      if (bytes.includes(LEAVE)) resolve();
      else open.write(bytes);
    });
  });
  open.removeAllListeners('close').destroy();
  process.stdin.setRawMode?.(false);
  process.stdin.pause();
}
