/** The commands of README and docs, taken from the pages themselves: each is understood, and what can be run without a host is run. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { Command as Commander } from 'commander';
import { specify } from '../../src/main.ts';
import { blocksOf, mentionsIn, PAGES, type PageBlock, textOf, wordsOf } from '../support/page-commands.ts';
import { calledBy, PageScene } from '../support/page-scene.ts';
import { peFile } from '../support/pe.ts';
import { makeTlsFiles } from '../support/tls-files.ts';

/** Commands that are not run here, by how they begin, and why. Each has to be of use. */
const NOT_RUN: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^make /, 'a target of the Makefile: .ci/run has all of them'],
  [/^node bench\//, 'takes minutes; its results are in the page'],
  [
    /^(grub-mkstandalone|modules=|mkimage|cgpt|efibootmgr|grub-editenv|printf 'BOOT_ORDER)/,
    'writes a boot loader: make test-vm',
  ],
  [/^(etcdctl|updatectl lock .*(?<!--group web)$)/, 'needs etcd: make test-etcd'],
  [/^updatectl server .*--etcd /, 'needs etcd: make test-etcd'],
  [
    /^updatectl (status|explain|check|install|apply|rollback|history|doctor|metrics|inhibit|config show)\b/,
    'asks the agent of a host: make test-box, make test-vm',
  ],
  [/^updatectl rollout readmit/, 'needs a machine on which a rollout has failed: test/server/readmit.test.ts'],
  [/^curl --unix-socket/, 'asks the agent of a host: test/cli/control.test.ts'],
  [/^(journalctl|systemctl|cat >\/etc|\[reboot\]|method = |END$)/, 'is about services of a host'],
  [/^(kured|aws|forever=|flock|fakeroot)/, 'needs a program, an account or a host of its own'],
  [/^updatectl image build .*--to /, 'overwrites a disk: test/cli/image/to-disk.test.ts'],
  [/^qemu-system/, 'starts a virtual machine: make test-vm'],
  [/^cat nights\.toml/, 'shows a file'],
];
/** Whole pages that others run: test/reboot/program.test.ts, whose block is a program, and test/vm/tutorial.ts. */
const PROGRAMS: readonly string[] = ['docs/boot-program.md', 'docs/tutorial.md'];

const blocks = PAGES.filter((page) => !PROGRAMS.includes(page)).flatMap((page) => blocksOf(page));
const reasonFor = (command: string): string | undefined => NOT_RUN.find(([pattern]) => pattern.test(command))?.[1];

test('commands are found in a page: whole, without what they print or what is said of them', () => {
  const page = [
    '```',
    'updatectl repo add \\',
    '  --keys k',
    'updatectl check           ask now',
    '```',
    '   ```sh',
    '   $ make x',
    '   done',
    '   ```',
    '```toml',
    'a = 1',
    '```',
    'and `updatectl',
    'status` too',
  ].join('\n');
  assert.deepEqual(
    blocksOf('a.md', page).map(({ line, commands }) => [line, ...commands]),
    [
      [1, 'updatectl repo add --keys k', 'updatectl check'],
      [6, 'make x'],
    ],
  );
  assert.deepEqual(mentionsIn(page), ['updatectl status']);
  assert.deepEqual(wordsOf(`a "b c" --d='e f' g"h"`), ['a', 'b c', '--d=e f', 'gh']);
});

test('every command of ours in a block is one, with the arguments that it needs and options that it has', async () => {
  const ours = blocks.flatMap(({ page, line, commands }) =>
    commands.filter((one) => one.startsWith('updatectl ')).map((one) => ({ at: `${page}:${line}: ${one}`, one })),
  );
  assert.ok(ours.length > 40);
  for (const { at, one } of ours) {
    const called = await calledBy(wordsOf(one).slice(1));
    assert.ok(called, at);
    const parser = specify(new Commander(), called.command).exitOverride();
    parser.configureOutput({ writeErr: () => undefined }).action(() => undefined);
    await assert.doesNotReject(parser.parseAsync([...called.args], { from: 'user' }), at);
  }
});

/** Options that every command has. */
const COMMON = ['--json', '--help', '--version'];

test('every command that a sentence names is one, with options that it has', async () => {
  const mentions = PAGES.flatMap((page) => mentionsIn(textOf(page)).map((one) => `${page}: ${one}`));
  assert.ok(mentions.length > 60);
  for (const mention of mentions) {
    const words = wordsOf(mention.slice(mention.indexOf('updatectl '))).slice(1);
    if (words[0]?.startsWith('-') || words[0] === '…' || /[/|]/.test(words[1] ?? '')) continue;
    const called = await calledBy(words);
    assert.ok(called ?? isFamily(words), mention);
    const known = (called?.command.options ?? []).flatMap(({ flags }) => flags.match(/--[a-z-]+/g) ?? []);
    const options = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined);
    for (const one of options.filter((word) => /^--[a-z]/.test(word)))
      assert.ok([...known, ...COMMON].includes(one.replace(/=.*/, '')), `${mention}: ${one}`);
  }
});

/** `updatectl repo`: what all commands of that kind have in common. */
const isFamily = (words: readonly string[]): boolean =>
  words.length === 1 && /^(bundle|key|repo|rollout|server|lock|config|image)$/.test(words[0] ?? '');

test('whatever is not run says why, and no reason is given for nothing', (t) => {
  const all = blocks.flatMap(({ commands }) => commands);
  for (const [pattern, reason] of NOT_RUN) {
    const left = all.filter((one) => pattern.test(one));
    assert.ok(left.length > 0, `${pattern} is of no use`);
    t.diagnostic(`not run, ${reason}: ${left.join('; ')}`);
  }
});

const toRun = (page: string): readonly PageBlock[] =>
  blocks
    .filter((block) => block.page === page)
    .map((block) => ({ ...block, commands: block.commands.filter((one) => reasonFor(one) === undefined) }))
    .filter(({ commands }) => commands.length > 0);

let scene: PageScene;
const ran = new Set<string>();

async function runBlocks(some: readonly PageBlock[]): Promise<void> {
  assert.ok(some.length > 0);
  for (const { page, line, commands } of some)
    for (const command of commands) {
      await scene.run(command).catch((error: unknown) => {
        throw new Error(`${page}:${line}: ${command}`, { cause: error });
      });
      ran.add(command);
    }
}

const OLDER = ['1.9', '2.0'];
const build = (version: string): string =>
  `updatectl bundle build --product shop --version ${version} --counter ${version.replace('.', '')} --root ./tree ` +
  `--kernel vmlinuz --initrd initrd --cmdline console=ttyS0 -o shop-${version}.bundle`;

before(async () => {
  scene = await PageScene.make();
  for (const version of OLDER) {
    scene.write('tree/etc/version', `${version}\n`);
    await scene.run(build(version));
  }
  scene.write('tree/etc/version', '2.1\n');
});
after(() => scene[Symbol.asyncDispose]());

test('the page on your own image leads from nothing to a release that is published', async () => {
  const [init, ...rest] = toRun('docs/own-image.md');
  assert.ok(init && rest.length >= 2);
  await runBlocks([init]);
  for (const version of OLDER)
    await scene.run(`updatectl repo add shop-${version}.bundle --repository ./repo --keys ./keys`);
  // Where the page on rollouts goes on from.
  scene.copy('repo', 'before-2.1');
  await runBlocks(rest);
  // What README once said, and nobody could run.
  await assert.rejects(scene.run('updatectl bundle patch --from shop-1.9.bundle shop-2.1.bundle'));
  assert.match(await scene.run('updatectl repo verify --repository ./repo'), /2\.1/);
});

test('the disk of a machine is made and inspected as its page shows', async () => {
  scene.write('host.toml', '[host]\nproduct = "shop"\n[repository]\nurl = "https://updates.example/"\n');
  writeFileSync(join(scene.path, 'BOOTX64.EFI'), peFile([['.text', 'nothing']]));
  await runBlocks(toRun('docs/disk-images.md'));
});

test('a server is started in every way that its page shows, and operators do with it what pages show', async () => {
  scene.copy('repo', 'srv/updates');
  for (const role of ['channels', 'snapshot', 'timestamp'])
    for (const name of [`${role}.pem`, `${role}.pub.json`])
      scene.copy(`keys/${name}`, `etc/tandem-server/keys/${name}`);
  const { serverCert, serverKey } = makeTlsFiles(scene.path, 'host');
  scene.copy(relative(scene.path, serverCert), 'cert.pem');
  scene.copy(relative(scene.path, serverKey), 'key.pem');
  scene.copy('packaging/monitoring/alerts.yml', 'etc/prometheus/tandem-alerts.yml');
  const { url } = await scene.serve();
  await seenByServer(url);
  await runBlocks(toRun('docs/server.md'));
  await runBlocks(toRun('docs/monitoring.md'));
});

test('a rollout is played, started, paused, resumed and aborted as its page shows', async () => {
  scene.copy('before-2.1', 'repo');
  await scene.run('updatectl repo promote 1.9 --channel stable --repository ./repo --keys ./keys');
  await runBlocks(toRun('docs/rollouts.md'));
});

test('a publisher recovers and signs again as the page on publishing shows', async () => {
  for (const name of ['timestamp.pem', 'snapshot.pem']) scene.copy(`keys/${name}`, name);
  await runBlocks(toRun('docs/publishing.md'));
});

test('programs before a restart are put where their page says', async () => {
  await runBlocks(toRun('docs/hooks.md'));
});

test('whatever is not said to be left out was run', () => {
  const all = blocks.flatMap(({ commands }) => commands).filter((one) => reasonFor(one) === undefined);
  assert.deepEqual(
    all.filter((one) => !ran.has(one)),
    [],
  );
});

/** A machine that the pages name, and one that holds the lock. */
async function seenByServer(url: string): Promise<void> {
  const post = async (path: string, body: object): Promise<void> => {
    const headers = { 'content-type': 'application/json', 'fleet-lock-protocol': 'true' };
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.text());
  };
  const running = { version: '1.9', counter: 19 };
  const about = {
    schema: 1,
    machine: '0a4d55a8d778e5022fab701977c5d840',
    group: 'web',
    product: 'shop',
    channel: 'stable',
  };
  const state = { agent: '0.1.0', running, confirmed: true, state: 'idle', since: '2030-01-01T00:00:00.000Z' };
  await post('/v1/check-in', { ...about, ...state, host: { name: 'web-17' } });
  await post('/v1/pre-reboot', { client_params: { id: 'node-1.example.com', group: 'web' } });
}
