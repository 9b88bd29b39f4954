/** Captures a program's output through a socket in the file system, keeping only its end, so that no disk fills. */

import { rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';

export interface LastWords extends AsyncDisposable {
  /** The end of the output, once the program has closed it. */
  heard(): Promise<string>;
}

/** Listens at `path`, replacing what is there, and keeps the last `most` bytes. */
export async function listenForWords(path: string, most: number): Promise<LastWords> {
  await rm(path, { force: true });
  let kept: Buffer = Buffer.alloc(0);
  const speakers = new Set<Socket>();
  const server = createServer((speaker) => {
    speakers.add(speaker);
    speaker.on('data', (said: Buffer) => {
      kept = Buffer.from(Buffer.concat([kept, said]).subarray(-most));
    });
    speaker.on('error', () => {}).once('close', () => speakers.delete(speaker));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
  return {
    heard: async () => {
      const silence = Promise.all([...speakers].map((one) => new Promise((resolve) => one.once('close', resolve))));
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, LINGER_MS);
      await Promise.race([silence, late.promise]);
      clearTimeout(timer);
      return kept.toString();
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of speakers) one.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The service has ended; its leftovers have little time to write. */
const LINGER_MS = 1_000;
