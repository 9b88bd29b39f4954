/** Runs test files in a copy of the tree, one after the other, and stops what never ends. */

import { spawn } from 'node:child_process';

export type Ran = Readonly<{ end: 'passed' | 'failed' | 'timeout'; ms: number }>;

/** One file, by the Node.js that runs this. What is still running after `timeoutMs` is ended with all its children. */
export function runTest(root: string, path: string, timeoutMs: number, env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const begun = performance.now();
  const child = spawn(process.execPath, ['--test', '--test-reporter=dot', path], {
    cwd: root,
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
  });
  return new Promise((resolve, reject) => {
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      killGroup(child.pid);
    }, timeoutMs);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      killGroup(child.pid);
      resolve({ end: isOver ? 'timeout' : code === 0 ? 'passed' : 'failed', ms: performance.now() - begun });
    });
  });
}

/** A test that fails may leave children behind. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left.
  }
}
