/** What the agent refuses to start without. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assembleAgent } from '../../src/agent/assemble.ts';
import type { DiskDoors } from '../../src/agent/install/host.ts';
import type { Surroundings } from '../../src/agent/surroundings.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { silentLog } from '../../src/system/log.ts';

const CONFIG = { path: 'site.toml', text: 'host.product = "shop"\nrepository.url = "https://updates.example/"\n' };
const LABELS = ['root-a', 'root-a-verity', 'root-b', 'root-b-verity'];

const withRoot = {
  read: async (path: string) => (path.endsWith('root.json') ? Buffer.from('{}') : undefined),
};

const refused = async (code: string, { files = {}, text = CONFIG.text }: { files?: object; text?: string }) => {
  const world = { files: { makeDir: async () => {}, read: async () => undefined, ...files }, log: silentLog };
  const config = resolveConfig([{ ...CONFIG, text }]);
  await assert.rejects(assembleAgent(config, { ...world, doors: doors() } as unknown as Surroundings), { code });
};

test('a host without a trust root believes nobody, so its agent does not start', () =>
  refused('trust-root-missing', {}));

test('a host that has not been told its product or its repository is asked for them', async () => {
  await refused('config-invalid', { text: 'repository.url = "https://updates.example/"\n' });
  await refused('config-invalid', { text: 'host.product = "shop"\n', files: withRoot });
});

test('certificates that are named but not there are a mistake, not a reason to trust others', () =>
  refused('config-invalid', {
    text: `${CONFIG.text}repository.ca_file = "/etc/ours.pem"\n`,
    files: withRoot,
  }));

function doors(): DiskDoors {
  const partition = (label: string, index: number) => ({
    path: `/dev/vda${index + 1}`,
    number: index + 1,
    label,
    uuid: `00000000-0000-4000-8000-00000000000${index}`,
    type: '',
    start: index,
    size: 4096,
    device: `254:${index + 1}`,
  });
  const facts = {
    disk: { path: '/dev/vda' },
    partitions: LABELS.map(partition),
    rootDevices: ['254:1'],
    elsewhere: [],
  };
  return { facts: async () => facts, booted: () => 'a' } as unknown as DiskDoors;
}
