/** What a host says of itself: from real files where there are some, and never more than a server takes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFacts } from '../../../src/agent/find/host-facts.ts';
import { realFiles } from '../../../src/system/files.ts';
import { addressTowards } from '../../../src/system/http/local-address.ts';

const reading = (texts: Readonly<Record<string, string>>) => ({
  read: async (path: string) => (path in texts ? new TextEncoder().encode(texts[path]) : undefined),
});
const BOOT = {
  '/proc/sys/kernel/random/boot_id': '0d5a8a6e-3c1c-4c0e-9b55-6d1a4c0b7f11\n',
  '/proc/uptime': '350735.47 234388.90\n',
};
const facts = (texts: Readonly<Record<string, string>>, address?: string) =>
  readFacts({ files: reading(texts), architecture: 'x86-64', address: async () => address });

test('a host says its name, its address, its system, its kernel and which boot this is', async () => {
  const told = await facts(
    {
      ...BOOT,
      '/proc/sys/kernel/hostname': 'web-17\n',
      '/proc/sys/kernel/osrelease': '6.12.48+deb13-amd64\n',
      '/etc/os-release': 'NAME="Acme"\nPRETTY_NAME="Acme Linux 2.1.0"\nVERSION_ID=2.1.0\n',
    },
    '10.0.0.17',
  );
  assert.deepEqual(told, {
    host: {
      name: 'web-17',
      address: '10.0.0.17',
      os: 'Acme Linux 2.1.0',
      kernel: '6.12.48+deb13-amd64',
      architecture: 'x86-64',
    },
    boot: { id: '0d5a8a6e3c1c4c0e9b556d1a4c0b7f11', seconds: 350_735 },
  });
});

test('a system without a pretty name is called by its name and version, wherever its os-release lies', async () => {
  const { host } = await facts({ '/usr/lib/os-release': "NAME='Acme'\nVERSION_ID=2.1.0\n" });
  assert.equal(host?.os, 'Acme 2.1.0');
});

test('what cannot be found out is left out', async () => {
  assert.deepEqual(await facts({}), { host: { architecture: 'x86-64' } });
  assert.equal((await facts({ ...BOOT, '/proc/uptime': 'soon\n' })).boot, undefined);
});

test('a name with a line break, a sequence for terminals or no end is one short line', async () => {
  const { host } = await facts({ '/proc/sys/kernel/hostname': `web\u001b[31m\n17${'x'.repeat(5000)}` });
  assert.match(host?.name ?? '', /^web \[31m 17x+…$/);
  assert.ok((host?.name?.length ?? 0) <= 255);
});

test('the real files of this machine say all of it', async () => {
  const { host, boot } = await readFacts({
    files: realFiles,
    architecture: 'x86-64',
    address: () => addressTowards('http://127.0.0.1:8080'),
  });
  assert.equal(host?.address, '127.0.0.1');
  for (const key of ['name', 'os', 'kernel'] as const) assert.ok(host?.[key], key);
  assert.ok((boot?.seconds ?? 0) > 0);
});

test('an address that leads nowhere, or is none, costs a check-in nothing', async () => {
  assert.equal(await addressTowards('http://no-such-host.invalid/'), undefined);
  assert.equal(await addressTowards('not an address'), undefined);
  assert.equal(await addressTowards('http://[::1]:9/'), '::1');
});
