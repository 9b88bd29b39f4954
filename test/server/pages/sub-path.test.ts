/** The pages below a path of a real proxy: whatever they name leads below that path, and nobody else gets the cookie. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { below, linksBelow } from '../../../src/server/pages/below.ts';
import { openBrowser, openPage } from './browser.ts';
import { idOf, TestFleet, TOKEN } from './fleet.ts';

let site: TestFleet;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-proxy-'));
  site = await (await (await new TestFleet().fill(120)).disturb()).start();
});
after(async () => {
  await site[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const freePort = (): Promise<number> =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** As their documentation has it: what is asked below the path is passed on without it. nginx puts its own name for the server into `Host`. */
const PROXIES: Readonly<Record<string, (port: number, path: string) => readonly [string, ...string[]]>> = {
  nginx: (port, path) => {
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; worker_processes 1; events {}
http { access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
server { listen 127.0.0.1:${port}; location ${path}/ { proxy_pass ${site.url}/; } } }`,
    );
    return ['/usr/sbin/nginx', '-c', file, '-e', `${folder}/error.log`];
  },
  caddy: (port, path) => {
    const file = join(folder, 'Caddyfile');
    writeFileSync(
      file,
      `{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:${port} {\n handle_path ${path}/* {\n  reverse_proxy ${site.url}\n }\n}\n`,
    );
    return ['/usr/bin/caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
  },
};

async function proxied(name: string, path: string): Promise<Readonly<{ url: string }> & AsyncDisposable> {
  const port = await freePort();
  const [program, ...args] = PROXIES[name]?.(port, path) ?? ['false'];
  const child: ChildProcess = spawn(program, args, { stdio: 'ignore', env: { ...process.env, HOME: folder } });
  const ended = new Promise((done) => child.once('exit', done));
  const url = `http://127.0.0.1:${port}${path}`;
  for (let tries = 0; tries < 200; tries += 1) {
    if (
      await fetch(`${url}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      break;
    assert.equal(child.exitCode, null, `${name} has ended`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

for (const [name, path] of [
  ['nginx', '/tandem'],
  ['nginx', '/tools/fleet'],
  ['caddy', '/tandem'],
] as const)
  test(`behind ${name} at ${path} an operator signs in, follows every link, pauses, resumes and signs out`, async () => {
    await using proxy = await proxied(name, path);
    const browser = await openBrowser();
    await using _browser = { [Symbol.asyncDispose]: () => browser.close() };
    const { context, page, complaints } = await openPage(browser, 'light');
    await page.goto(`${proxy.url}/rollouts/stable/pause`);
    assert.equal(page.url(), `${proxy.url}/sign-in`);
    await page.getByLabel('Operator or viewer token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${proxy.url}/`);
    assert.deepEqual(
      (await context.cookies()).map((one) => one.path),
      [path],
    );
    for (const from of [
      '/',
      '/rollouts',
      '/rollouts/stable',
      '/failures',
      '/machines',
      `/machines/${idOf(4)}`,
      '/locks',
      '/audit',
    ]) {
      await page.goto(`${proxy.url}${from}`);
      const named = await page.evaluate(() => {
        type Node = Readonly<{ href?: string; src?: string; action?: string }>;
        const { document } = globalThis as unknown as { document: { querySelectorAll(what: string): Iterable<Node> } };
        return [...document.querySelectorAll('[href], [src], form')].map(({ href, src, action }) =>
          String(href ?? src ?? action),
        );
      });
      assert.ok(named.length > 8, from);
      for (const one of named) assert.ok(one.startsWith(`${proxy.url}/`), `${from} names ${one}`);
    }
    await page.goto(`${proxy.url}/rollouts/stable`);
    await page.getByRole('link', { name: 'Pause…' }).click();
    await page.getByLabel('Reason').fill('a walk below a path');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${proxy.url}/rollouts/stable`);
    await page.getByRole('link', { name: 'Resume…' }).click();
    await page.getByRole('button', { name: 'Resume it' }).click();
    await page.waitForURL(`${proxy.url}/rollouts/stable`);
    assert.equal((await site.fleet.ledger('stable', site.now)).braked, undefined);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${proxy.url}/sign-in`);
    assert.deepEqual(await context.cookies(), []);
    assert.deepEqual(complaints, []);
    await context.close();
  });

test('a link leads from any page to any other, below any path', () => {
  for (const at of ['/', '/sign-in', '/rollouts/stable', '/rollouts/stable/pause?x=/y#/z', '/machines/a%2Fb/forget'])
    for (const to of ['/', '/rollouts', '/machines?failed=yes&code=a/b', '/locks/web/1'])
      for (const path of ['', '/tandem', '/a/b'])
        assert.equal(new URL(below(at, to), `http://host${path}${at}`).href, new URL(`http://host${path}${to}`).href);
});

test('only links of ours are touched: not what leads elsewhere, nor what a machine says', () => {
  const page = `<a href="/x">href=&quot;/y&quot; src="</a><a href="//evil">z</a><a href="#content"> <a href="">`;
  assert.equal(linksBelow('/a/b', page), page.replace('"/x"', '"../x"'));
});
