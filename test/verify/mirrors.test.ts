/** One repository on several web servers, of which some serve what is stale, broken or somebody else's. */

import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UpdateError } from '../../src/errors.ts';
import { silentLog } from '../../src/system/log.ts';
import { httpMetadata, type MetadataMirror } from '../../src/verify/metadata-fetch.ts';
import { askMirrors } from '../../src/verify/mirrors.ts';
import { renewRole, rotateKey } from '../../src/verify/publish/rotate-key.ts';
import { testHttp } from '../support/http-client.ts';
import { fileIn, MirrorServer, type Spoiling } from '../support/mirror-server.ts';
import { codeOf, daysLater, type Host, newSigner, PRODUCT, TestRepository } from '../support/tuf-repository.ts';

// The host has seen `old`; `repository` has new keys, a new release and a new channel document; `stranger` is another publisher's.
const repository = await new TestRepository().init();
const old = join(repository.top, 'old');
await repository.add('1.0');
await repository.promote('1.0');
cpSync(repository.dir, old, { recursive: true });
const root = repository.root;
const [timestampKey] = repository.keys.timestamp;
const fresh = newSigner();
await rotateKey(repository.publisher(), {
  role: 'timestamp',
  oldKeyId: timestampKey?.keyId ?? '',
  newSigner: fresh,
});
repository.keys.timestamp = [fresh];
await renewRole(repository.publisher(), 'targets');
await repository.add('2.0');
await repository.promote('2.0');
const stranger = await new TestRepository().init();
for (const version of ['1.0', '2.0']) {
  await stranger.add(version);
  await stranger.promote(version);
}
await renewRole(stranger.publisher(), 'root');
after(() => {
  repository[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

const http = testHttp();
const impatient = testHttp({ connectTimeoutMs: 1500, idleTimeoutMs: 1500 });
const signal = new AbortController().signal;

let hosts = 0;
/** A host that follows these servers; it has taken `old` before unless it `isNew`. */
async function hostOf(urls: readonly string[], isNew = false, client = http): Promise<Host> {
  const name = `host-${hosts++}`;
  if (!isNew) {
    await using before = await MirrorServer.start(old);
    await repository.host(name, { mirrors: httpMetadata(http, [before.url]), embeddedRoot: root }).poll();
  }
  return repository.host(name, { mirrors: httpMetadata(client, urls), embeddedRoot: root });
}

const FILES: Readonly<Record<string, RegExp>> = {
  'the next root': /2\.root\.json$/,
  'timestamp.json': /timestamp\.json$/,
  'snapshot.json': /snapshot\.json$/,
  'targets.json': /\d\.targets\.json$/,
  'releases.json': /releases\.json$/,
  'channels.json': /\d\.channels\.json$/,
  'the channel': /^targets\/channels/,
};

/** The newest file that another repository has in the place of this one. */
const inPlaceOf = (dir: string, path: string): Buffer | undefined => {
  for (let version = Number(/\/(\d+)\./.exec(path)?.[1] ?? 1); version > 0; version--) {
    const found = fileIn(dir, path.replace(/\/\d+\./, `/${version}.`));
    if (found) return found;
  }
  return undefined;
};

const sent = (answer: Parameters<Spoiling>[1], bytes: Uint8Array, status = 200): void =>
  void answer.writeHead(status, { 'content-length': bytes.length }).end(bytes);

const BROKEN: Readonly<Record<string, (...args: Parameters<Spoiling>) => void>> = {
  'is a page of a captive portal': (_, answer) => sent(answer, Buffer.from('<html>Please log in</html>')),
  'is empty': (_, answer) => sent(answer, Buffer.alloc(0)),
  'is cut short': (_, answer, good) => sent(answer, good?.subarray(0, good.length / 2) ?? Buffer.alloc(1)),
  'breaks off': (_, answer, good) => {
    answer.writeHead(200, { 'content-length': good?.length ?? 10 });
    answer.write(good?.subarray(0, 5) ?? 'x', () => answer.destroy());
  },
  'has no end': (_, answer) => {
    answer.writeHead(200);
    const more = (error?: Error | null): void => {
      if (!error) answer.write(Buffer.alloc(65_536, 0x20), more);
    };
    more();
  },
  'is an error of the server': (_, answer) => sent(answer, Buffer.from('oops'), 500),
  'is denied': (_, answer) => sent(answer, Buffer.from('no'), 403),
  'is a redirect': (_, answer) => void answer.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
  'is not there': (_, answer) => void answer.writeHead(404).end(),
  'is an old copy': (path, answer) => {
    const kept = inPlaceOf(old, path);
    if (kept) sent(answer, kept);
    else answer.writeHead(404).end();
  },
  'is another publisher’s': (path, answer) => {
    const theirs = inPlaceOf(stranger.dir, path);
    if (theirs) sent(answer, theirs);
    else answer.writeHead(404).end();
  },
};

const floorsOf = (host: Host): string => readFileSync(host.options.floorsPath, 'utf8');

const undisturbed = await (async () => {
  await using good = await MirrorServer.start(repository.dir);
  const host = await hostOf([good.url]);
  await host.poll();
  return floorsOf(host);
})();

for (const [what, spoil] of Object.entries(BROKEN))
  for (const [file, pattern] of Object.entries(FILES))
    test(`the next mirror is asked for everything when ${file} of the first ${what}`, async () => {
      const spoiling: Spoiling = (path, ...rest) => {
        if (!pattern.test(path)) return false;
        spoil(path, ...rest);
        return true;
      };
      await using bad = await MirrorServer.start(repository.dir, spoiling);
      await using worse = await MirrorServer.start(repository.dir, spoiling);
      await using good = await MirrorServer.start(repository.dir);
      for (const urls of [
        [bad.url, good.url],
        [bad.url, worse.url, good.url],
        [bad.url, good.url, worse.url],
      ]) {
        const host = await hostOf(urls);
        const trusted = await host.poll();
        const { version } = await trusted.channel('stable');
        assert.equal(version, '2.0');
        assert.equal((await trusted.release(PRODUCT, version)).release.counter, 2);
        assert.equal(floorsOf(host), undisturbed);
      }
    });

test('a mirror that is good is the only one that is asked', async () => {
  await using good = await MirrorServer.start(repository.dir);
  await using other = await MirrorServer.start(repository.dir);
  await (await (await hostOf([good.url, other.url])).poll()).channel('stable');
  assert.deepEqual(other.asked, []);
});

test('a mirror that has fallen silent, at whichever file, is passed over and not waited for again', async () => {
  await Promise.all(
    Object.entries(FILES).map(async ([file, pattern]) => {
      let waitedFor = 0;
      await using silent = await MirrorServer.start(repository.dir, (path) => {
        if (!pattern.test(path)) return waitedFor > 0;
        waitedFor++;
        return true;
      });
      await using good = await MirrorServer.start(repository.dir);
      const trusted = await (await hostOf([silent.url, good.url], false, impatient)).poll();
      assert.equal((await trusted.channel('stable')).version, '2.0', file);
      assert.equal(waitedFor, 1, file);
    }),
  );
});

test('an old mirror lowers nothing, alone or behind one that is out of order', async () => {
  await using good = await MirrorServer.start(repository.dir);
  await using stale = await MirrorServer.start(old);
  await using broken = await MirrorServer.start(repository.dir, (_, answer) => !!answer.writeHead(500).end());
  const host = await hostOf([good.url]);
  await host.poll();
  const name = host.options.metadataDir.split('/').at(-2) ?? '';
  const kept = floorsOf(host);
  for (const urls of [[stale.url], [broken.url, stale.url], [stale.url, broken.url]]) {
    const again = repository.host(name, { mirrors: httpMetadata(http, urls), embeddedRoot: root });
    assert.match(await again.refused(), /^metadata-(rollback|signature)$/);
    assert.equal(floorsOf(again), kept);
  }
});

test('roots of one mirror are no reason to refuse what the next one has', async () => {
  await using lagging = await MirrorServer.start(repository.dir, (path, answer) =>
    /root\.json$/.test(path) ? !!answer.writeHead(404).end() : false,
  );
  await using good = await MirrorServer.start(repository.dir);
  await (await hostOf([lagging.url, good.url], true)).poll();
  assert.ok(good.asked.includes('metadata/2.root.json'));
});

test('when all mirrors fail, each is named with its reason, and the code is that of the one that got furthest', async () => {
  await using broken = await MirrorServer.start(repository.dir, (_, answer) => !!answer.writeHead(500).end());
  await using portal = await MirrorServer.start(
    repository.dir,
    (_, answer) => !!answer.writeHead(200).end('<html>\u001b[31m</html>'),
  );
  const gone = await MirrorServer.start(repository.dir);
  const goneUrl = gone.url;
  await gone[Symbol.asyncDispose]();
  const failure = await (await hostOf([goneUrl, broken.url, portal.url])).poll().then(
    () => assert.fail('accepted'),
    (error: unknown) => error as UpdateError,
  );
  assert.equal(failure.code, 'metadata-invalid');
  for (const url of [goneUrl, broken.url, portal.url]) assert.ok(failure.message.includes(url), failure.message);
  assert.match(failure.message, /ECONNREFUSED/);
  assert.match(failure.message, /500/);
  assert.doesNotMatch(failure.message, /\p{Cc}/u);
});

test('metadata that has expired everywhere is called that, whichever mirror is down beside it', async () => {
  await using broken = await MirrorServer.start(repository.dir, (_, answer) => !!answer.writeHead(503).end());
  await using good = await MirrorServer.start(repository.dir);
  for (const urls of [
    [broken.url, good.url],
    [good.url, broken.url],
  ])
    assert.equal(await (await hostOf(urls, true)).refused(daysLater(400)), 'metadata-expired');
});

const mirrorsCalled = (...names: string[]): MetadataMirror[] =>
  names.map((name) => ({ name, fetch: async () => undefined }));
const busy = (retryAfterMs: number) => new UpdateError('server-busy', 'busy', { details: { retryAfterMs } });

test('a wait is asked of the next check only when every mirror asks for one', async () => {
  const waits = async (...failures: UpdateError[]): Promise<unknown> => {
    const mirrors = mirrorsCalled(...failures.map((_, index) => `mirror ${index}`));
    const ask = askMirrors(mirrors, silentLog, signal);
    const attempt = ({ name }: MetadataMirror) => Promise.reject(failures[Number(name.at(-1))]);
    return ask(attempt).catch((error: UpdateError) => error.details['retryAfterMs']);
  };
  assert.equal(await waits(busy(7000), busy(5000)), 5000);
  assert.equal(await waits(busy(7000), new UpdateError('server-failed')), undefined);
  assert.equal(await waits(busy(7000)), 7000);
});

test('what is no fault of a mirror ends the search at once', async () => {
  const tried: string[] = [];
  const attempt = (error: Error) => async (mirror: MetadataMirror) => {
    tried.push(mirror.name);
    throw error;
  };
  const ask = askMirrors(mirrorsCalled('one', 'two'), silentLog, signal);
  assert.equal(await codeOf(ask(attempt(new UpdateError('state-unwritable')))), 'state-unwritable');
  assert.equal(await codeOf(ask(attempt(new UpdateError('metadata-behind')))), 'metadata-behind');
  assert.deepEqual(tried, ['one', 'one']);
});

test('who stops a check stops it at every mirror', async () => {
  const stop = new AbortController();
  await using silent = await MirrorServer.start(repository.dir, () => {
    stop.abort(new UpdateError('interrupted'));
    return true;
  });
  await using good = await MirrorServer.start(repository.dir);
  const ask = askMirrors(httpMetadata(http, [silent.url, good.url]), silentLog, stop.signal);
  const found = ask(({ fetch }) => fetch('metadata/timestamp.json', 1000, stop.signal));
  assert.equal(await codeOf(found), 'interrupted');
  assert.deepEqual(good.asked, []);
});
