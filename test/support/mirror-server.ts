/** A web server with a folder, of which a test can spoil single files. */

import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';

/** Answers instead of the folder; `path` is the file's path in it. */
export type Spoiling = (path: string, answer: ServerResponse, good: Buffer | undefined) => boolean;

export class MirrorServer implements AsyncDisposable {
  readonly asked: string[] = [];
  private readonly server: Server;

  private constructor(dir: string, spoil: Spoiling) {
    this.server = createServer((request, answer) => {
      const path = decodeURIComponent(new URL(request.url ?? '/', 'http://host').pathname.slice(1));
      this.asked.push(path);
      const good = fileIn(dir, path);
      if (spoil(path, answer, good)) return;
      if (good === undefined) answer.writeHead(404).end();
      else answer.writeHead(200, { 'content-length': good.length }).end(good);
    });
  }

  static async start(dir: string, spoil: Spoiling = () => false): Promise<MirrorServer> {
    const mirror = new MirrorServer(dir, spoil);
    await new Promise<void>((resolve) => mirror.server.listen(0, '127.0.0.1', resolve));
    return mirror;
  }

  get url(): string {
    const address = this.server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export const fileIn = (dir: string, path: string): Buffer | undefined => {
  try {
    return readFileSync(join(dir, path));
  } catch {
    return undefined;
  }
};
