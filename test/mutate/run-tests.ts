/** Runs test files in a copy of the tree, one after the other, and stops what never ends. */

import { spawn } from 'node:child_process';

export type Ran = Readonly<{ passed: boolean; ms: number }>;

/** One file, by the Node.js that runs this. What is still running after `timeoutMs` has failed, and is ended with all its children. */
export function runTest(root: string, path: string, timeoutMs: number): Promise<Ran> {
  const begun = performance.now();
  const child = spawn(process.execPath, ['--test', '--test-reporter=dot', path], {
    cwd: root,
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  return new Promise((resolve, reject) => {
    const timer = setTimeout(end, timeoutMs);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      resolve({ passed: code === 0, ms: performance.now() - begun });
    });
  });
}
