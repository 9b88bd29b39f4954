/** The packages are installed, upgraded, removed and purged on Debian, where an image is built and on a running machine. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Debian, inDebian, SUITES } from './debian.ts';
import { debianVersion, NAMES, OLDER, packagesToTry } from './made.ts';

let tried: Awaited<ReturnType<typeof packagesToTry>>;
let version: string;
before(async () => {
  tried = await packagesToTry();
  version = await debianVersion();
});
after(() => tried[Symbol.dispose]());

const INSTALL = 'dpkg --install /mnt/new/*.deb';
const NEXT_TO_NOTHING =
  'find / -xdev ! -path "/proc/*" ! -path "/var/log/*" ! -path "/var/lib/dpkg/*" ! -path "/var/cache/*" | sort';
const linesOf = (text: string): readonly string[] => text.trim().split('\n').filter(Boolean);

/** The units that are enabled, as systemd sees it without running. */
const enabled = async ({ run }: Debian): Promise<readonly string[]> =>
  linesOf(await run("systemctl list-unit-files --state=enabled 'tandem*' --no-legend | cut -d' ' -f1")).toSorted();

const ALL_UNITS = [
  'tandem-agent.service',
  'tandem-confirm.service',
  'tandem-dead-man.timer',
  'tandem-machine-id.service',
  'tandem-publisher.timer',
  'tandem-server.service',
  'tandem-server.socket',
  'tandem-trial-began.service',
];

for (const suite of SUITES) {
  test(`${suite}, where an image is built: the packages install alone, with what they need and nothing that runs`, () =>
    inDebian(suite, 'still', tried.path, async (debian) => {
      await debian.run(INSTALL);
      assert.equal((await debian.run('updatectl --version')).trim(), version.replace('~', '-').replace(/-\d+$/, ''));
      assert.deepEqual(await enabled(debian), ALL_UNITS);
      assert.equal(await debian.run(`dpkg --audit; dpkg --verify ${NAMES.join(' ')}`), '');
      const folders = 'stat -c "%a %U:%G %n" /var/lib/tandem /var/lib/tandem-server /etc/tandem-publisher/keys';
      assert.deepEqual(linesOf(await debian.run(folders)), [
        '750 root:tandem /var/lib/tandem',
        '700 tandem-server:tandem-server /var/lib/tandem-server',
        '700 tandem-publisher:tandem-publisher /etc/tandem-publisher/keys',
      ]);
      assert.equal(await debian.run('pgrep -l node || true'), '');
    }));

  test(`${suite}: presets of the image decide what is enabled, and an upgrade leaves what an administrator chose`, () =>
    inDebian(suite, 'still', tried.path, async (debian) => {
      await debian.run(
        'mkdir -p /etc/systemd/system-preset; echo "disable tandem-server.*" >/etc/systemd/system-preset/00-x.preset',
      );
      await debian.run('dpkg --install /mnt/old/*.deb');
      const without = ALL_UNITS.filter((name) => !name.includes('server'));
      assert.deepEqual(await enabled(debian), without);
      await debian.run(
        'systemctl disable tandem-publisher.timer; echo OPTIONS=--x >>/etc/default/tandem-server; echo x >/var/lib/tandem/state.json',
      );
      for (const [to, expected] of [
        ['new', version],
        ['old', OLDER],
        ['new', version],
      ] as const) {
        await debian.run(`dpkg --force-downgrade --install /mnt/${to}/*.deb`);
        assert.equal(await debian.run('dpkg-query --show tandem | cut -f2'), `${expected}\n`);
        assert.deepEqual(
          await enabled(debian),
          without.filter((name) => name !== 'tandem-publisher.timer'),
        );
        assert.match(
          await debian.run('cat /etc/default/tandem-server /var/lib/tandem/state.json'),
          /OPTIONS=--x\nx\n$/,
        );
      }
    }));

  test(`${suite}: what is purged leaves users, state and keys, and nothing else`, () =>
    inDebian(suite, 'still', tried.path, async (debian) => {
      const before = new Set(linesOf(await debian.run(NEXT_TO_NOTHING)));
      await debian.run(`${INSTALL}; dpkg --purge ${NAMES.join(' ')}`);
      const left = linesOf(await debian.run(NEXT_TO_NOTHING)).filter((path) => !before.has(path));
      assert.deepEqual(
        left.filter((path) => !/^\/etc\/(passwd|shadow|group|gshadow)-?$/.test(path)),
        [],
      );
      await debian.run(INSTALL);
      const kept = [
        '/var/lib/tandem/state.json',
        '/var/lib/tandem-server/fleet.db',
        '/etc/tandem-publisher/keys/timestamp.pem',
        '/etc/tandem/config.d/10-x.toml',
      ];
      for (const file of kept) await debian.run(`echo x >${file}`);
      const said = await debian.run(`dpkg --purge ${NAMES.join(' ')} 2>&1`);
      for (const file of kept) await debian.run(`test -f ${file}`);
      for (const folder of ['/var/lib/tandem', '/var/lib/tandem-server', '/etc/tandem-publisher/keys'])
        assert.ok(said.includes(`${folder} is kept`), said);
    }));

  test(`${suite}: a program of systemd with the same name steps aside, whichever comes first, and comes back`, () =>
    inDebian(suite, 'still', tried.path, async (debian) => {
      const both = async (): Promise<void> => {
        assert.match(await debian.run('updatectl --version'), /^[0-9]/);
        assert.equal(await debian.run('updatectl.systemd'), 'of systemd\n');
        assert.match(await debian.run('cat /usr/share/bash-completion/completions/updatectl'), /_updatectl/);
        assert.equal(await debian.run(`dpkg --verify ${NAMES.join(' ')}`), '');
      };
      await debian.run('dpkg --install /mnt/systemd.deb');
      await debian.run(INSTALL);
      await both();
      await debian.run(`dpkg --remove ${NAMES.join(' ')}`);
      assert.equal(await debian.run('updatectl'), 'of systemd\n');
      assert.equal(await debian.succeeds('test -e /usr/bin/updatectl.systemd'), false);
      await debian.run(`${INSTALL}; dpkg --purge systemd-sysupdated; dpkg --install /mnt/systemd.deb`);
      await both();
    }));

  test(`${suite}, a running machine: nothing happens without configuration, and an upgrade of the server refuses nobody`, () =>
    inDebian(suite, 'live', tried.path, async (debian) => {
      const state = async (unit: string): Promise<string> =>
        (await debian.run(`systemctl show --property=ActiveState --value ${unit}`)).trim();
      const until = (what: string): Promise<string> =>
        debian.run(
          `timeout 60 sh -c 'until ${what}; do sleep 0.1; done' || { journalctl -b --no-pager | tail -40; exit 1; }`,
        );
      await debian.run('dpkg --install /mnt/old/*.deb');
      assert.equal(await state('tandem-agent.service'), 'inactive');
      assert.equal(await state('tandem-dead-man.timer'), 'active');
      assert.equal(await state('tandem-publisher.timer'), 'active');
      await debian.run('systemctl start tandem-publisher.service');
      await until('curl --silent --fail http://127.0.0.1:8080/healthz && test -s /run/tandem-server/first-tokens');
      assert.match(await debian.run('cat /run/tandem-server/first-tokens'), /operator's token.*\n.*hosts' token/);
      assert.equal(
        (
          await debian.run('stat -c %U:%a /var/lib/tandem-server/fleet.db /run/tandem-server/first-tokens | sort -u')
        ).trim(),
        'tandem-server:600',
      );
      const process = 'systemctl show --property=MainPID --value tandem-server.service';
      const older = await debian.run(process);
      const asking = debian.run(
        'for i in $(seq 200); do curl --silent --fail --show-error --max-time 60 --output /dev/null http://127.0.0.1:8080/healthz; sleep 0.02; done',
      );
      await debian.run(INSTALL);
      await asking;
      assert.notEqual(await debian.run(process), older);
      await debian.run(
        'mkdir -p /run/tandem/config.d; printf \'[host]\\nproduct = "shop"\\n\' >/run/tandem/config.d/10-x.toml; systemctl --no-block start tandem-agent.service',
      );
      await until('[ "$(systemctl show --property=ConditionResult --value tandem-agent.service)" = yes ]');
      await debian.run(`dpkg --purge ${NAMES.join(' ')}`);
      assert.equal(await debian.run("systemctl list-units --no-legend --state=active,activating 'tandem*'"), '');
    }));
}
