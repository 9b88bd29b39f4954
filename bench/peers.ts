/** Other ways to bring a release to a slot, as command lines: how each publishes, and how a host takes it in. */

import type { Format } from './pairs.ts';

export type Peer = Readonly<{
  id: string;
  name: string;
  format: Format;
  /** Whether one artifact serves every old version, or each old version needs its own. */
  serves: 'everyone' | 'any' | 'pair';
  /** What it checks while it installs. */
  checks: string;
  /** Bash, run in the empty folder that is served. NEW is the image; OLD the one before it, not for everyone. */
  publish: string;
  /** Bash, run in an empty folder (also WORK). OLD: the running image, TARGET: the slot's device, URL and PUBLISHED: the artifacts. */
  apply: string;
  /** Bash, run before and after `apply` and not measured: what a host has anyway. */
  before?: string;
  after?: string;
  /** The method whose artifacts are there already, for the new release (USES) and the old one (USES_OLD). */
  uses?: string;
  /** Publishing takes an hour: done once at the lowest priority, when asked for by name. */
  slow?: true;
}>;

const TO_SLOT = 'dd of="$TARGET" bs=1M iflag=fullblock oflag=direct conv=fsync status=none';

/** The yardstick of all times: nothing is checked. */
export const YARDSTICK = 'pipeline';

export const PEERS: readonly Peer[] = [
  tandem('full', 'everyone', 'Tandem, full image'),
  tandem('blocks', 'any', 'Tandem, blocks'),
  tandem('patch', 'pair', 'Tandem, patch'),
  {
    id: YARDSTICK,
    name: 'curl, zstd -d, dd (level 3)',
    format: 'erofs',
    serves: 'everyone',
    checks: 'nothing',
    publish: 'zstd -q -3 -T1 "$NEW" -o root.zst',
    apply: `curl -sf "$URL/root.zst" | zstd -dcq | ${TO_SLOT}`,
  },
  {
    id: 'full-19',
    name: 'curl, zstd -d, dd (level 19)',
    format: 'erofs',
    serves: 'everyone',
    checks: 'nothing',
    publish: 'zstd -q -19 -T1 "$NEW" -o root.zst',
    apply: `curl -sf "$URL/root.zst" | zstd -dcq | ${TO_SLOT}`,
    slow: true,
  },
  {
    id: 'squashfs',
    name: 'curl, dd of a squashfs',
    format: 'squashfs',
    serves: 'everyone',
    checks: 'nothing',
    publish: 'cp "$NEW" root.squashfs',
    apply: `curl -sf "$URL/root.squashfs" | ${TO_SLOT}`,
  },
  ...(['erofs', 'ext4', 'squashfs'] as const).map(
    (format): Peer => ({
      id: `casync-${format}`,
      name: 'casync, default chunks',
      format,
      serves: 'any',
      checks: 'digest of every chunk',
      publish: 'casync make --store=store root.caibx "$NEW"',
      apply: 'casync extract --store="$URL/store" --seed="$OLD" "$URL/root.caibx" "$TARGET" && sync "$TARGET"',
    }),
  ),
  ...(['erofs', 'ext4', 'squashfs'] as const).map(
    (format): Peer => ({
      id: `zsync-${format}`,
      name: 'zsync, 4 KiB blocks, then dd',
      format,
      serves: 'any',
      checks: 'SHA-1 of the whole',
      publish: 'cp "$NEW" root.img; zsyncmake -b 4096 -u root.img -o root.zsync root.img',
      apply: `zsync -q -i "$OLD" -o out "$URL/root.zsync" && ${TO_SLOT} if=out`,
    }),
  ),
  {
    id: 'zchunk',
    name: 'zchunk, defaults, then dd',
    format: 'erofs',
    serves: 'any',
    checks: 'digest of every chunk',
    // The host has kept the .zck of what it runs, so making that one is part of an earlier release.
    publish: 'zck -o root.zck "$NEW"',
    uses: 'zchunk',
    apply: `zckdl -s "$USES_OLD/root.zck" "$URL/root.zck" && unzck -c root.zck | ${TO_SLOT}`,
  },
  {
    id: 'xdelta3',
    name: 'xdelta3 -9 -B 2 GiB',
    format: 'erofs',
    serves: 'pair',
    checks: 'adler32 of each window',
    publish: 'xdelta3 -e -9 -B 2147483648 -s "$OLD" "$NEW" root.xd3',
    apply: `curl -sf "$URL/root.xd3" | xdelta3 -d -B 2147483648 -c -s "$OLD" | ${TO_SLOT}`,
  },
  ...([3, 9, 19] as const).map(
    (level): Peer => ({
      id: `zstd-patch-${level}`,
      name: `zstd -${level} --patch-from --long=31`,
      format: 'erofs',
      serves: 'pair',
      checks: 'xxh64 of the whole',
      publish: `zstd -q -${level} -T1 --long=31 --patch-from="$OLD" "$NEW" -o root.patch`,
      apply: `curl -sf "$URL/root.patch" | zstd -dcq --long=31 --memory=2048MB --patch-from="$OLD" | ${TO_SLOT}`,
      ...(level === 19 ? { slow: true as const } : {}),
    }),
  ),
  {
    id: 'bmaptool',
    name: 'bmaptool copy (zstd)',
    format: 'erofs',
    serves: 'everyone',
    checks: 'SHA-256 of each range',
    publish: 'bmaptool -q create -o root.bmap "$NEW"; zstd -q -3 -T1 "$NEW" -o root.zst',
    apply: 'bmaptool -q copy --bmap "$URL/root.bmap" "$URL/root.zst" "$TARGET"',
  },
  {
    id: 'systemd-pull',
    name: 'systemd-pull raw --direct (gzip)',
    format: 'erofs',
    serves: 'everyone',
    checks: 'SHA-256 of the download',
    publish: 'gzip -nc "$NEW" >root.gz; sha256sum root.gz | cut -c1-64 >root.gz.sha256',
    apply:
      '/lib/systemd/systemd-pull raw --direct --sync=yes --verify="$(cat "$PUBLISHED/root.gz.sha256")" "$URL/root.gz" "$TARGET"',
  },
  {
    id: 'swupdate',
    name: 'swupdate -d, raw + zstd, signed',
    format: 'erofs',
    serves: 'everyone',
    checks: 'CMS signature, SHA-256',
    publish: '"$PEERS/swupdate" publish',
    apply: '"$PEERS/swupdate" apply',
  },
  {
    id: 'rauc',
    name: 'RAUC, plain bundle',
    format: 'erofs',
    serves: 'everyone',
    checks: 'CMS signature over the bundle',
    publish: '"$PEERS/rauc" publish',
    apply: '"$PEERS/rauc" apply',
  },
];

function tandem(tier: string, serves: Peer['serves'], name: string): Peer {
  const step = (what: string): string => `"$PEERS/tandem" ${what} ${tier}`;
  const checks = 'signed digests in the stream, root hash read back';
  const steps = { publish: step('publish'), before: step('before'), apply: step('apply'), after: step('after') };
  return { id: `tandem-${tier}`, name, format: 'erofs', serves, checks, ...steps, uses: 'tandem-full' };
}

export type Absent = Readonly<{ name: string; why: string }>;

/** What somebody will look for here and not find, with the reason. */
export const ABSENT: readonly Absent[] = [
  {
    name: 'RAUC with `adaptive=block-hash-index` and streaming',
    why: 'Debian bookworm builds RAUC without streaming, and it needs dm-verity and nbd in the kernel, which a container or a small virtual machine rarely has',
  },
  {
    name: 'systemd-sysupdate',
    why: 'not in Debian bookworm; systemd-pull, which does its downloads, is measured instead',
  },
  { name: 'bsdiff of the whole image', why: 'needs 17 times the size of the image in memory' },
  { name: 'desync', why: 'not packaged in Debian bookworm' },
  { name: 'Mender, OSTree, bootc', why: 'they need a server or a system built for them, not an image' },
];
