/** Faults seeded into a good host, one at a time: doctor finds each of them, and nothing else. */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CHECKS } from '../../../src/cli/doctor/checks.ts';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import { type ErrorCode, UpdateError } from '../../../src/errors.ts';
import type { Lookup } from '../../../src/system/http/dial.ts';
import { createHttp } from '../../../src/system/http/http.ts';
import {
  DROP_IN,
  examineHost,
  HEALTHY,
  type HostDoors,
  type HostFiles,
  MOUNTS,
  SHOWN_ID,
  systemctl,
  TOOLS,
} from '../../support/doctor-host.ts';
import { assertOnly } from '../../support/only-finding.ts';

const SITE = '/etc/tandem/config.d/site.toml';
const configured = (more: string): HostFiles => ({ [SITE]: `${more}\n${HEALTHY[SITE]}` });
const shown = (change: Readonly<Record<string, string>>) => ({ ...TOOLS, systemctl: systemctl(change) });
const refusing = (code: ErrorCode, message: string): HostDoors => ({
  answer: async () => {
    throw new UpdateError(code, message);
  },
});
const FLEET = 'fleet.url = "https://fleet.example/"';
const TOKEN = { '/var/lib/tandem/token': 'secret' };
const at = 'https://updates.example/metadata/timestamp.json';

type Fault = readonly [
  fault: string,
  check: string,
  result: Exclude<Finding['result'], 'ok'>,
  sentence: RegExp,
  files: HostFiles,
  tools?: Parameters<typeof examineHost>[1],
  doors?: HostDoors,
];

const FAULTS: readonly Fault[] = [
  [
    'a name that does not exist',
    'repository',
    'fail',
    /^The name updates\.example does not exist\.$/,
    {},
    TOOLS,
    refusing('server-unreachable', `${at}: getaddrinfo ENOTFOUND updates.example`),
  ],
  [
    'no name server',
    'repository',
    'fail',
    /^No name server answers/,
    {},
    TOOLS,
    refusing('server-unreachable', `${at}: getaddrinfo EAI_AGAIN updates.example`),
  ],
  [
    'nobody at the port',
    'repository',
    'fail',
    /^updates\.example refuses the connection\.$/,
    {},
    TOOLS,
    refusing('server-unreachable', `${at}: connect ECONNREFUSED 192.0.2.1:443`),
  ],
  [
    'no route',
    'repository',
    'fail',
    /^There is no route/,
    {},
    TOOLS,
    refusing('server-unreachable', `${at}: connect ENETUNREACH 192.0.2.1:443`),
  ],
  ['no answer', 'repository', 'fail', /does not answer in time/, {}, TOOLS, refusing('server-timeout', `${at}: late`)],
  [
    'another authority',
    'repository',
    'fail',
    /^The certificate of updates\.example is not trusted/,
    {},
    TOOLS,
    refusing('tls-untrusted', `${at}: self-signed certificate`),
  ],
  [
    'no repository there',
    'repository',
    'fail',
    /has no repository at that address/,
    {},
    TOOLS,
    refusing('not-found-on-server', `${at}: 404`),
  ],
  [
    'a redirect',
    'repository',
    'fail',
    /redirects to/,
    {},
    TOOLS,
    refusing('server-redirects', `${at} redirects to https://login.example/.`),
  ],
  [
    'a sign-in page',
    'repository',
    'fail',
    /something that is no repository/,
    {},
    TOOLS,
    { answer: async () => Buffer.from('<html>') },
  ],
  [
    'only a mirror answers',
    'repository',
    'warn',
    /refuses the connection\. The mirror mirror\.example answers\.$/,
    configured('repository.mirrors = ["https://mirror.example/"]'),
    TOOLS,
    {
      answer: async (url) =>
        url.includes('mirror')
          ? Buffer.from('{"signed":{}}')
          : (refusing('server-unreachable', 'ECONNREFUSED').answer?.(url) ?? assert.fail()),
    },
  ],
  [
    'no token',
    'secrets',
    'warn',
    /^\/var\/lib\/tandem\/token does not exist, so the fleet server gets no token/,
    configured(FLEET),
  ],
  [
    'an empty token',
    'secrets',
    'fail',
    /token is empty; fleet\.token_file/,
    { ...configured(FLEET), '/var/lib/tandem/token': '' },
  ],
  [
    'a token for everyone',
    'secrets',
    'warn',
    /Every user can read \/var\/lib\/tandem\/token/,
    { ...configured(FLEET), ...TOKEN },
    TOOLS,
    { modes: { '/var/lib/tandem/token': 0o644 } },
  ],
  [
    'no file for the password',
    'secrets',
    'fail',
    /\/etc\/shop\/password is missing; lock\.password_file/,
    configured('lock.password_file = "/etc/shop/password"'),
  ],
  [
    'no file of the authority',
    'secrets',
    'fail',
    /\/etc\/shop\/ca\.pem is missing; repository\.ca_file/,
    configured('repository.ca_file = "/etc/shop/ca.pem"'),
  ],
  ['no dead man', 'dead man', 'fail', /tandem-dead-man is missing/, { '/usr/lib/tandem/tandem-dead-man': undefined }],
  [
    'a dead man without the x bit',
    'dead man',
    'fail',
    /is not executable/,
    {},
    TOOLS,
    { modes: { '/usr/lib/tandem/tandem-dead-man': 0o644 } },
  ],
  [
    'another dead man',
    'dead man',
    'warn',
    /not the one that comes with Tandem/,
    { '/usr/lib/tandem/tandem-dead-man': '#!/bin/sh\n' },
  ],
  [
    'a masked timer',
    'dead man',
    'fail',
    /timer is masked/,
    {},
    shown({ '--property=LoadState,ActiveState': 'LoadState=masked\nActiveState=inactive\n' }),
  ],
  [
    'a stopped timer',
    'dead man',
    'fail',
    /timer does not run/,
    {},
    shown({ '--property=LoadState,ActiveState': 'LoadState=loaded\nActiveState=inactive\n' }),
  ],
  [
    'no timer',
    'dead man',
    'fail',
    /timer is not installed/,
    {},
    shown({ '--property=LoadState,ActiveState': 'LoadState=not-found\nActiveState=inactive\n' }),
  ],
  [
    'too short a timer',
    'dead man',
    'warn',
    /before the verdict/,
    {},
    shown({ '--property=TimersMonotonic': '{ OnActiveUSec=2min ; next_elapse=0 }\n' }),
  ],
  ['no drop-in for bless-boot', 'bless-boot', 'warn', /no drop-in of Tandem/, { [DROP_IN]: '' }],
  [
    'other drop-ins for bless-boot',
    'bless-boot',
    'warn',
    /no drop-in of Tandem/,
    {},
    shown({
      '--property=LoadState,DropInPaths': 'LoadState=loaded\nDropInPaths=/etc/systemd/system/service.d/10-all.conf\n',
    }),
  ],
  [
    'a new machine id at every start',
    'machine id',
    'warn',
    /another machine ID at every start/,
    { '/var/lib/tandem/machine-id': undefined },
  ],
  [
    'a machine id that was not put back',
    'machine id',
    'warn',
    /another machine ID at every start/,
    { '/var/lib/tandem/machine-id': `${'cd'.repeat(16)}\n` },
  ],
  ['one machine id for all', 'machine id', 'warn', /comes from the image/, { '/proc/self/mountinfo': MOUNTS }],
  ['no machine id', 'machine id', 'fail', /holds no machine ID/, { '/etc/machine-id': 'uninitialized\n' }],
  ['no root of trust', 'trust root', 'fail', /root\.json is missing/, { '/usr/share/tandem/root.json': undefined }],
  [
    'expired metadata',
    'metadata',
    'fail',
    /so this host installs nothing/,
    { '/var/lib/tandem/metadata/timestamp.json': '{"signed":{"expires":"2026-05-29T00:00:00Z"}}' },
  ],
  ['a clock that nobody sets', 'clock', 'warn', /not synchronised/, {}, { ...TOOLS, timedatectl: 'no\n' }],
  [
    'a unit that is not enabled',
    'units',
    'fail',
    /^Not enabled: tandem-confirm/,
    {},
    shown({ 'is-enabled': 'enabled\ndisabled\nenabled\nenabled\nenabled\n' }),
  ],
  [
    'an ESP that is not checked',
    'file system check',
    'warn',
    /without a file system check/,
    { '/etc/fstab': 'PARTLABEL=esp /efi vfat dirsync 0 0\n' },
  ],
  [
    'a writable root',
    'root file system',
    'fail',
    /mounted writable/,
    {
      '/proc/self/mountinfo': `${MOUNTS.replace(' ro,relatime - erofs /dev/dm-0 ro', ' rw - erofs /dev/dm-0 rw')}${SHOWN_ID}`,
    },
  ],
  ['a pinned boot entry', 'boot loader', 'fail', /loader\.conf/, { '/efi/loader/loader.conf': 'default other_*\n' }],
];

const wrongOn = async (...host: Parameters<typeof examineHost>): Promise<readonly (Finding & { name: string })[]> =>
  (await examineHost(...host)).filter(({ result }) => result !== 'ok');

/** What a machine without slots, units and agent cannot show; other tests do. */
const NOT_HERE = new Set((await wrongOn()).map(({ name }) => name));

test('on a good host, doctor finds nothing among what this test can show', () => {
  const seeded = new Set(FAULTS.map(([, check]) => check));
  assert.deepEqual(
    [...NOT_HERE].filter((name) => seeded.has(name)),
    [],
  );
  assert.ok(CHECKS.length - NOT_HERE.size > 14, [...NOT_HERE].join());
});

for (const [fault, check, result, sentence, files, tools, doors] of FAULTS)
  test(`${fault}: ${check}`, async () => {
    const wrong = (await wrongOn({ ...HEALTHY, ...files }, tools, doors)).filter(({ name }) => !NOT_HERE.has(name));
    assertOnly(wrong, check, result, sentence);
  });

test('a token, and a machine id of its own, are fine', async () => {
  const names = (
    await wrongOn({ ...HEALTHY, ...configured(FLEET), ...TOKEN }, TOOLS, { modes: { '/var/lib/tandem/token': 0o600 } })
  ).map(({ name }) => name);
  assert.deepEqual(names, [...NOT_HERE]);
  const writable = { ...HEALTHY, '/proc/self/mountinfo': `${MOUNTS}46 22 0:30 / /etc rw - overlay overlay rw\n` };
  assert.equal(
    (await wrongOn(writable)).some(({ name }) => name === 'machine id'),
    false,
  );
});

/** As a resolver answers that knows no such name, or reaches nobody. */
const lookup: Lookup = async (name) => {
  if (/^[\d.]+$/.test(name)) return [{ address: name, family: 4 }];
  const code = name.startsWith('silent') ? 'EAI_AGAIN' : 'ENOTFOUND';
  throw Object.assign(new Error(`getaddrinfo ${code} ${name}`), { code });
};

test('over real connections, each step that fails has its own sentence', async () => {
  const server = createServer((request, response) => {
    response.statusCode = request.url?.startsWith('/gone') ? 404 : 200;
    response.end('<html>Sign in</html>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sentence = async (url: string): Promise<string> => {
    const files = { ...HEALTHY, [SITE]: `host.product = "shop"\nrepository.url = "${url}"\n` };
    const http: typeof createHttp = (options) => createHttp({ ...options, lookup });
    const found = (await examineHost(files, TOOLS, { http })).find(({ name }) => name === 'repository');
    return found?.sentence ?? '';
  };
  try {
    assert.match(await sentence(`http://127.0.0.1:${port}/`), /something that is no repository/);
    assert.match(await sentence(`http://127.0.0.1:${port}/gone/`), /has no repository at that address/);
    assert.match(await sentence(`https://127.0.0.1:${port}/`), /127\.0\.0\.1/);
    assert.match(await sentence('http://127.0.0.1:9/'), /^127\.0\.0\.1:9 refuses the connection\.$/);
    assert.match(
      await sentence('http://nowhere.invalid/'),
      /^(The name nowhere\.invalid does not exist|No name server)/,
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
