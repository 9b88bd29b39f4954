/** A real signed repository in a temporary folder, whose metadata a test can change and sign again at will. */

import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asUpdateError } from '../../src/errors.ts';
import type { Product, Sha256, Version } from '../../src/model.ts';
import { type Files, realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { createTrust, type TrustedRepository, type TrustOptions } from '../../src/verify/client.ts';
import { generateKey, localSigner, type Signer } from '../../src/verify/keys.ts';
import { dirMetadata, type MetadataFetch } from '../../src/verify/metadata-fetch.ts';
import { metadataPath, ROLE_NAMES, type RoleName } from '../../src/verify/names.ts';
import { promote } from '../../src/verify/publish/channels.ts';
import type { NewDelta } from '../../src/verify/publish/deltas.ts';
import { initRepository, type RoleKeys } from '../../src/verify/publish/init.ts';
import type { Alone, Publisher } from '../../src/verify/publish/publish.ts';
import { addBundle, type BundleFacts } from '../../src/verify/publish/publisher.ts';
import { signFile } from '../../src/verify/signed-file.ts';
import { filesInTurn } from './in-turn.ts';

export const NOW = new Date('2030-01-01T12:00:00Z');
export const daysLater = (days: number): Date => new Date(NOW.getTime() + days * 86_400_000);
export const PRODUCT = 'acme' as Product;

/** Real files that are not waited for: nobody cuts the power of a test. */
export const quickFiles: Files = { ...realFiles, syncFile: async () => {}, syncDir: async () => {} };

/** Metadata as the test sees it: anything goes. */
export type Loose = Record<string, unknown> & { version: number; expires: string };

export class TestRepository implements Disposable {
  readonly top = mkdtempSync(join(tmpdir(), 'tandem-repository-'));
  readonly dir = join(this.top, 'repository');
  readonly keys: Record<RoleName, Signer[]>;
  readonly thresholds: Partial<Record<RoleName, number>>;
  root: Uint8Array = new Uint8Array();
  private readonly opened: { atRest(): void }[] = [];

  constructor(counts: Partial<Record<RoleName, number>> = {}, thresholds: Partial<Record<RoleName, number>> = {}) {
    this.thresholds = thresholds;
    this.keys = Object.fromEntries(
      ROLE_NAMES.map((role) => [role, Array.from({ length: counts[role] ?? 1 }, newSigner)]),
    ) as unknown as Record<RoleName, Signer[]>;
  }

  [Symbol.dispose](): void {
    rmSync(this.top, { recursive: true, force: true });
    for (const files of this.opened) files.atRest();
  }

  /** Another repository with the same keys and content. */
  copy(): TestRepository {
    const copy = new TestRepository({}, this.thresholds);
    Object.assign(copy.keys, this.keys);
    copy.root = this.root;
    cpSync(this.top, copy.top, { recursive: true });
    return copy;
  }

  publisher(change: Partial<Publisher> = {}): Publisher {
    const files = this.inTurn(change.files ?? quickFiles);
    const signers = Object.values(this.keys).flat();
    return { dir: this.dir, now: NOW, signers, insists: new Set(['channel-new']), ...change, files };
  }

  async init(files: Files = quickFiles, now = NOW, change: Partial<Publisher> = {}): Promise<this> {
    const roles = Object.fromEntries(
      ROLE_NAMES.map((role) => [
        role,
        { keys: this.keys[role].map((one) => one.publicKey), threshold: this.thresholds[role] ?? 1 },
      ]),
    ) as unknown as RoleKeys;
    this.root = await initRepository(this.publisher({ ...change, files, now }), roles);
    return this;
  }

  /** Publishes a release with bytes made from its version. */
  add(version: string, change: Partial<BundleFacts> = {}, publisher: Partial<Publisher> = {}): Promise<unknown> {
    const candidate = { bytes: oneChunk(`bundle ${version}`), check: async () => facts(version, change) };
    const one = this.publisher(publisher);
    return addBundle(one, candidate, alone(one));
  }

  promote(version: string, channel = 'stable', publisher: Partial<Publisher> = {}): Promise<unknown> {
    return promote(this.publisher(publisher), { channel, version: version as Version });
  }

  /** Changes the newest file of a role and signs it, and everything above it, again. */
  async edit(role: Exclude<RoleName, 'root'>, change: (signed: Loose) => void): Promise<void> {
    const parts = this.chain(role);
    change(parts[0]?.signed ?? fail());
    await this.writeChain(parts);
  }

  /** The newest file of a role as JSON. */
  read(role: RoleName): { signed: Loose } {
    return JSON.parse(readFileSync(this.path(role), 'utf8'));
  }

  path(role: RoleName): string {
    return join(this.dir, metadataPath(role, this.versionOf(role)));
  }

  versionOf(role: RoleName): number {
    if (role === 'timestamp') return 0;
    const names = readdirSync(join(this.dir, 'metadata'));
    const versions = names.map((name) => Number(new RegExp(`^(\\d+)\\.${role}\\.json$`).exec(name)?.[1] ?? 0));
    return Math.max(...versions);
  }

  /** A host's trust in this repository; `name` tells hosts apart, `fetch` stands for its only place. */
  host(name = 'host', { fetch, ...change }: Partial<TrustOptions> & { fetch?: MetadataFetch } = {}): Host {
    const state = join(this.top, name);
    const files = this.inTurn(change.files ?? quickFiles);
    const options: TrustOptions = {
      metadataDir: join(state, 'metadata'),
      floorsPath: join(state, 'floors.json'),
      embeddedRoot: this.root,
      mirrors: [fetch ? { name: 'the repository', fetch } : dirMetadata(this.dir)],
      log: silentLog,
      ...change,
      files,
    };
    const poll = (now = NOW) =>
      createTrust(options)
        .refresh(now, new AbortController().signal)
        .finally(() => files.atRest());
    return { options, poll, refused: (now) => codeOf(poll(now)) };
  }

  /** They are looked at once more when the repository goes. */
  private inTurn(files: Files): ReturnType<typeof filesInTurn> {
    const own = filesInTurn(files);
    this.opened.push(own);
    return own;
  }

  private chain(role: Exclude<RoleName, 'root'>): { role: Exclude<RoleName, 'root'>; signed: Loose }[] {
    const above = role === 'timestamp' ? [] : role === 'snapshot' ? ['timestamp'] : ['snapshot', 'timestamp'];
    return ([role, ...above] as Exclude<RoleName, 'root'>[]).map((one) => {
      const { signed } = this.read(one);
      return { role: one, signed: { ...signed, version: signed.version + 1 } };
    });
  }

  private async writeChain(parts: { role: Exclude<RoleName, 'root'>; signed: Loose }[]): Promise<void> {
    let below: [string, object] | undefined;
    for (const { role, signed } of parts) {
      if (below !== undefined) signed['meta'] = { ...(signed['meta'] as object), [below[0]]: below[1] };
      const bytes = await signFile(signed, this.keys[role]);
      writeFileSync(join(this.dir, metadataPath(role, signed.version)), bytes);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      below = [`${role}.json`, { version: signed.version, length: bytes.length, hashes: { sha256 } }];
    }
  }
}

export type Host = {
  options: TrustOptions;
  poll: (now?: Date) => Promise<TrustedRepository>;
  /** The code with which a poll fails; "accepted" when it does not. */
  refused: (now?: Date) => Promise<string>;
};

/** No rollout needs a release. */
export const unneeded = (): undefined => undefined;

/** Nobody else publishes in a test that does not say so. */
export const alone =
  (publisher: Publisher): Alone =>
  (task) =>
    task(publisher);

export const newSigner = (): Signer => localSigner(generateKey());

export const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'accepted',
    (error: unknown) => {
      const { code, message } = asUpdateError(error);
      return code === 'unexpected' ? `unexpected: ${message}` : code;
    },
  );

export const facts = (version: string, change: Partial<BundleFacts> = {}): BundleFacts => ({
  product: PRODUCT,
  version: version as Version,
  counter: Number(version.split('.')[0]),
  architecture: 'x86-64',
  minAgent: '0.1.0',
  manifest: { sha256: createHash('sha256').update(version).digest('hex') as Sha256, size: 1000 },
  ...change,
});

/** A file that claims to save downloading version 2.0, as a builder leaves it. */
export function newDelta(
  repository: TestRepository,
  kind: 'blocks' | 'patch',
  change: Partial<NewDelta['entry']> = {},
): NewDelta {
  const content = Buffer.from(`${kind} to 2.0`);
  const file = join(repository.top, kind);
  writeFileSync(file, content);
  const sha256 = (bytes: Uint8Array): Sha256 => createHash('sha256').update(bytes).digest('hex') as Sha256;
  const { product, version, manifest } = facts('2.0');
  const head = { size: 4, sha256: sha256(content.subarray(0, 4)) };
  const from = { version: '1.0' as Version, rootHash: sha256(Buffer.from('root of 1.0')) };
  const entry = { kind, product, version, manifest: manifest.sha256, head, ...(kind === 'patch' ? { from } : {}) };
  return { file, size: content.length, sha256: sha256(content), entry: { ...entry, ...change } };
}

export async function* oneChunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function fail(): never {
  throw new Error('unreachable');
}
