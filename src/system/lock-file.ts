/** A lock between processes: a file that names its owner and is taken over when the owner is gone. */

import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { naming } from './files.ts';

/** Takes the lock, or tells who holds it. Disposing gives it back. */
export async function takeLock(path: string): Promise<AsyncDisposable | Readonly<{ heldBy: number }>> {
  const mine = JSON.stringify({
    pid: process.pid,
    started: await startOf(process.pid),
    token: randomBytes(8).toString('hex'),
  });
  for (;;) {
    if (await createExclusive(path, mine)) return { [Symbol.asyncDispose]: () => giveBack(path, mine) };
    const owner = await readFile(path, 'utf8').catch(absent);
    if (owner === undefined) continue;
    const pid = await livingOwner(owner);
    if (pid !== undefined) return { heldBy: pid };
    await putAside(path, owner);
  }
}

async function createExclusive(path: string, content: string): Promise<boolean> {
  // Written aside and linked into place, so that nobody ever reads half of it.
  const temp = `${path}.${randomBytes(8).toString('hex')}`;
  await using file = await open(temp, 'wx', 0o600);
  await file.writeFile(content).catch(naming(temp));
  try {
    await link(temp, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(temp);
  }
}

/** The pid of the owner, if that very process still runs: pids are used again, so its start time counts as well. */
async function livingOwner(content: string): Promise<number | undefined> {
  const [, pid, started] = /^\{"pid":(\d{1,9}),"started":"([^"]*)"/.exec(content) ?? [];
  if (pid === undefined) return undefined;
  return (await startOf(Number(pid))) === started && started !== '' ? Number(pid) : undefined;
}

async function startOf(pid: number): Promise<string> {
  const stat = (await readFile(`/proc/${pid}/stat`, 'utf8').catch(absent)) ?? '';
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

/** Removes a dead owner's file, but not one that someone else has put there in the meantime. */
async function putAside(path: string, expected: string): Promise<void> {
  const aside = `${path}.${randomBytes(8).toString('hex')}`;
  await rename(path, aside).catch(absent);
  const found = await readFile(aside, 'utf8').catch(absent);
  if (found !== undefined && found !== expected) await link(aside, path).catch(() => {});
  await unlink(aside).catch(absent);
}

async function giveBack(path: string, mine: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(absent)) === mine) await unlink(path).catch(absent);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
  throw error;
}
