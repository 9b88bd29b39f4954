/** The recipes of docs/host-data.md, taken from the page: what belongs to one host is there after every start, update and power cut. */

import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { PROJECT } from '../vm/programs.ts';
import type { Box } from './box.ts';
import { inLab } from './lab.ts';

const OVERLAY = 'etc-overlay.service';
const recipes = recipesIn(await readFile(join(PROJECT, 'docs/host-data.md'), 'utf8'));

test('a host keeps its name, its network and its SSH key over an update and a power cut', () => {
  const files = { ...filesOf(recipes.filter(({ name }) => name !== OVERLAY)), 'etc/systemd/network/README': '' };
  return inLab({ machineId: 'own', off: true, installed: { files } }, async ({ box, release, offer }) => {
    await put(box, 'lib/host/hostname', 'web-17\n');
    await put(box, 'lib/host/network/10-lan.network', '[Match]\nName=eth0\n');
    await box.powerOn();
    await box.settled('a', '1');
    const before = await ownData(box);
    assert.deepEqual([before.name, before.network], ['web-17', '10-lan.network']);
    assert.match(before.key, /^ssh-ed25519 /);
    await release({ version: '2', files });
    await offer('2');
    await box.settled('b', '2');
    assert.deepEqual(await ownData(box), before);
    await box.powerCut();
    await box.powerOn();
    await box.settled('b', '2');
    assert.deepEqual(await ownData(box), before);
  });
});

test('a host without data of its own starts with the recipes in its image', () => {
  const files = { ...filesOf(recipes), 'etc/systemd/network/README': '' };
  return inLab({ machineId: 'own', installed: { files } }, async ({ box }) => {
    assert.equal(await box.run('systemctl --failed --plain --no-legend'), '');
  });
});

test('what is written to an overlaid /etc outlives an update, and the machine ID stays', () => {
  const files = filesOf(recipes.filter(({ name }) => name === OVERLAY));
  return inLab({ machineId: 'own', installed: { files } }, async ({ box, release, offer }) => {
    const before = await ownData(box);
    await box.run('echo mine >/etc/mine');
    await release({ version: '2', files });
    await offer('2');
    await box.settled('b', '2');
    assert.equal((await box.run('cat /etc/mine')).trim(), 'mine');
    assert.deepEqual(await ownData(box), before);
  });
});

test('settings and a token that come as credentials reach the agent, at every start', () => {
  const credentials = { 'tandem.config': '[host]\ngroup = "canary"\n', 'tandem.token': 'a-token\n' };
  return inLab({ credentials }, async ({ box }) => {
    for (const start of ['first', 'second']) {
      assert.match(await box.run('updatectl config show'), /host\.group +"canary" +\/run\/tandem\/config\.d\//, start);
      assert.equal((await box.run('cat /var/lib/tandem/token')).trim(), 'a-token', start);
      await box.powerCut();
      await box.powerOn();
      await box.settled('a', '1');
    }
  });
});

type Recipe = Readonly<{ name: string; path: string; text: string; wantedBy: string | undefined }>;

/** The blocks that begin with the path of a unit. */
function recipesIn(page: string): readonly Recipe[] {
  const blocks = [...page.matchAll(/^```ini\n# \/(usr\/lib\/systemd\/system\/([\w.-]+))\n([\s\S]*?)^```$/gm)];
  return blocks.map(([, path = '', name = '', text = '']) => ({
    name,
    path,
    text,
    wantedBy: /^WantedBy=(\S+)$/m.exec(text)?.[1],
  }));
}

/** The units, enabled by what they are wanted by. */
function filesOf(units: readonly Recipe[]): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name, path, text, wantedBy } of units) {
    assert.ok(wantedBy, `${name} is not enabled`);
    files[path] = text;
    files[`etc/systemd/system/${wantedBy}.d/${name}.conf`] = `[Unit]\nWants=${name}\n`;
  }
  assert.ok(Object.keys(files).length > 0);
  return files;
}

async function ownData(box: Box): Promise<Readonly<{ name: string; id: string; network: string; key: string }>> {
  const said = async (command: string): Promise<string> => (await box.attempt(command)).trim();
  const id = await said('cat /etc/machine-id');
  assert.match(id, /^[0-9a-f]{32}$/);
  return {
    id,
    name: await said('hostname'),
    network: await said('ls /etc/systemd/network'),
    key: await said('cat /var/lib/host/ssh/ssh_host_ed25519_key.pub'),
  };
}

async function put(box: Box, path: string, text: string): Promise<void> {
  await mkdir(dirname(box.var(path)), { recursive: true });
  await writeFile(box.var(path), text);
}
