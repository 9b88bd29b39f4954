/** UpdateError and the table of codes: exit status, when to retry, one sentence, the next step. */

import { cleanText } from './clean-text.ts';
import { systemFault } from './system-faults.ts';

/** When a machine may try again on its own. */
export type Retry = 'now' | 'later' | 'never';

export type ErrorEntry = Readonly<{ exit: number; retry: Retry; sentence: string; next: string }>;

const entry = (exit: number, retry: Retry, sentence: string, next: string): ErrorEntry => ({
  exit,
  retry,
  sentence,
  next,
});

/** Exit statuses of `updatectl`. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  nothing: 3,
  network: 4,
  trust: 5,
  bundle: 6,
  disk: 7,
  boot: 8,
  daemon: 9,
} as const;

/**
 * Every failure has a code. Exit statuses: 1 unexpected, 2 wrong usage or configuration, 3 nothing to do or held, 4 network,
 * 5 trust, 6 bundle, 7 disk, 8 boot, 9 daemon.
 */
export const ERRORS = {
  // general
  unexpected: entry(1, 'later', 'An unexpected error occurred.', 'Please report it with the log.'),
  usage: entry(2, 'never', 'The command line is invalid.', 'Run the command with --help.'),
  'config-invalid': entry(
    2,
    'never',
    'A configuration file has an error.',
    'Fix the named key; `updatectl config show` lists all keys.',
  ),
  'setting-invalid': entry(
    2,
    'never',
    'A fleet setting in etcd is invalid and was ignored.',
    'Correct the named key with `etcdctl put`; hosts pick the change up on their own.',
  ),
  'setting-local-only': entry(
    2,
    'never',
    'A setting in etcd is allowed only in files.',
    'Remove it from the named key, and set it in a drop-in on the hosts or in their image.',
  ),
  'settings-cache-invalid': entry(
    2,
    'later',
    'The cached copy of the etcd settings cannot be used.',
    'No action needed: it is rewritten when etcd answers. Until then only the files apply.',
  ),
  'tool-missing': entry(2, 'never', 'A program that this step needs is not installed.', 'Install the named package.'),
  'tool-failed': entry(
    1,
    'later',
    'A program that this step runs failed.',
    'Read the program’s own message, quoted in the error.',
  ),
  interrupted: entry(1, 'later', 'The work was stopped before it finished.', 'Run it again; finished parts are kept.'),
  'machine-id-missing': entry(
    2,
    'never',
    'This host has no machine id, so the fleet cannot tell it from other hosts.',
    'Run `systemd-machine-id-setup`. On a read-only /etc, put an empty file into the image and enable tandem-machine-id.service (docs/host-data.md).',
  ),
  // faults of system calls on files, for want of a more precise code
  'file-system-full': entry(
    7,
    'later',
    'A file system is full.',
    'Free some space: `df -h` and `df -i` with the named path show what is full. Then run it again.',
  ),
  'file-system-read-only': entry(
    7,
    'later',
    'A file system is read-only.',
    'Check its mount with `findmnt -T` and the named path. After an error the kernel makes a file system read-only; `dmesg` shows why.',
  ),
  'file-denied': entry(
    2,
    'later',
    'This user has no permission to use a file or folder.',
    'Check its owner with `ls -ld` and the named path. Run the command as that user or as root.',
  ),
  'file-absent': entry(
    2,
    'later',
    'A file or folder does not exist.',
    'Check the path; create the folder if it should exist.',
  ),
  'file-unsuitable': entry(
    2,
    'later',
    'A path is occupied by something that cannot be used there.',
    'Inspect it with `ls -ld` and the named path. Move it away, or choose another path.',
  ),
  'files-exhausted': entry(
    7,
    'later',
    'Too many files are open.',
    'Raise the limit on open files (`LimitNOFILE=`, `ulimit -n`), or stop the program that holds them.',
  ),
  'address-unavailable': entry(
    2,
    'later',
    'Listening on an address and port failed.',
    'Find the program that uses it with `ss -ltnp`. Stop that program, or choose another address or port.',
  ),
  // lock
  'lock-full': entry(
    3,
    'later',
    'Other hosts hold the reboot lock.',
    'Wait for them; `updatectl explain` names those that are known.',
  ),
  'lock-turn': entry(
    3,
    'later',
    'Other hosts asked for the reboot lock first.',
    'Wait for them; `updatectl explain` shows how many are ahead.',
  ),
  'lock-failures': entry(
    3,
    'later',
    'Hosts failed or did not come back from their reboot, so no other host gets the reboot lock.',
    'See which with `updatectl explain`. When they are healthy, or written off, run `updatectl lock release HOST` (with --server and --token-file if a fleet server keeps the lock).',
  ),
  'lock-contended': entry(
    3,
    'later',
    'Many hosts are changing the reboot lock at the same time.',
    'Wait; Tandem tries again after a random delay.',
  ),
  'lock-etcd-ill': entry(
    3,
    'later',
    'An etcd member is unhealthy, so a reboot could cost the cluster its majority.',
    'Check etcd: `etcdctl endpoint status --cluster`.',
  ),
  'lock-refused': entry(
    3,
    'later',
    'The FleetLock server refused the reboot lock.',
    'Read its answer, quoted in the error; ask the server’s operator.',
  ),
  'lock-lost': entry(
    3,
    'later',
    'The reboot lock was lost before the reboot, so the reboot was called off.',
    'Wait: the agent asks for the lock again.',
  ),
  'lock-not-held': entry(
    3,
    'never',
    'The reboot lock has no such holder.',
    'List its holders with `updatectl lock status` and the same options.',
  ),
  'lock-foreign': entry(
    2,
    'later',
    'Another program keeps a reboot lock in the same etcd.',
    'Use only one of the two: set `lock.kind` to "fleetlock" with airlock’s address, or delete the named key once that program runs nowhere.',
  ),
  'lock-document-invalid': entry(
    2,
    'later',
    'This version does not understand the lock document, and left it alone.',
    'Inspect the named key with `etcdctl get`; delete it only while no host is rebooting.',
  ),
  'lock-identity': entry(
    2,
    'later',
    'Another machine uses the reboot lock with this host’s id.',
    'Both were made from one image: give each its own machine ID (docs/host-data.md).',
  ),
  'etcd-unavailable': entry(
    4,
    'later',
    'No etcd endpoint answers, or none has a majority.',
    'Check etcd: `etcdctl endpoint health`. No host reboots without it.',
  ),
  'etcd-full': entry(
    4,
    'later',
    'The etcd cluster is out of space.',
    'Compact and defragment it, then run `etcdctl alarm disarm`.',
  ),
  'etcd-filling': entry(
    4,
    'later',
    'At least half of etcd’s space is used.',
    'Compact it (`etcdctl compact`) and defragment it (`etcdctl defrag`), or raise --quota-backend-bytes, before it stops accepting writes.',
  ),
  'etcd-uncompacted': entry(
    4,
    'later',
    'Nothing compacts etcd, so its history fills it.',
    'Start etcd with --auto-compaction-mode=periodic --auto-compaction-retention=1h; if only Tandem uses it, `updatectl server --etcd-compact` does it.',
  ),
  'etcd-denied': entry(
    4,
    'later',
    'The etcd cluster denies this host access.',
    'Check `lock.user`, its password and its role.',
  ),
  'etcd-refused': entry(4, 'later', 'The etcd cluster refused a request.', 'Read its message, quoted in the error.'),
  'etcd-protocol': entry(
    4,
    'later',
    'The endpoint is not etcd, or its version is unknown.',
    'Check `lock.endpoints`; etcd 3.4 or later is required.',
  ),
  // fleet server
  'request-invalid': entry(
    2,
    'never',
    'The server does not understand the request.',
    'Compare it with the server’s /openapi.json.',
  ),
  'request-too-large': entry(
    2,
    'never',
    'The request is larger than the server accepts.',
    'Send less; the server’s /openapi.json states the limits.',
  ),
  'request-type': entry(
    2,
    'never',
    'The server does not accept a body of this type.',
    'Send it as `Content-Type: application/json`.',
  ),
  'request-slow': entry(4, 'later', 'The request did not arrive in time.', 'Send it again.'),
  'not-found': entry(2, 'never', 'Nothing exists at this address.', 'Compare it with the server’s /openapi.json.'),
  'method-not-allowed': entry(
    2,
    'never',
    'This address does not support that HTTP method.',
    'Use a method from the `Allow` header.',
  ),
  'file-missing': entry(
    2,
    'later',
    'The repository has no such file.',
    'Follow the metadata from timestamp.json on: every file that it names exists.',
  ),
  'range-beyond-end': entry(
    2,
    'never',
    'The requested range starts after the end of the file.',
    'Request less: the `Content-Range` header states the length of the file.',
  ),
  'machine-cloned': entry(
    2,
    'never',
    'Two machines share one id, so neither may start an update or take the lock.',
    'Give the clone its own machine ID (docs/host-data.md), delete `host-secret` in agent.state_dir, and restart it. Then run `updatectl server machine reset ID`, or wait a day.',
  ),
  'machine-secret-wrong': entry(
    2,
    'never',
    'This machine’s secret does not match the one that the fleet server has on record.',
    'If it was reinstalled, an operator runs `updatectl server machine reset ID` (`updatectl status` shows the id). Otherwise two hosts share one machine ID: give each its own (docs/host-data.md).',
  ),
  'machine-secret-missing': entry(
    2,
    'later',
    'The fleet server has a secret on record for this machine, but the machine sent none.',
    'Let its agent keep one (its log says why it cannot). For an older agent, start `updatectl server --machines-without-secret`, or run `updatectl server machine reset ID`.',
  ),
  'machine-unknown': entry(
    2,
    'later',
    'No such machine has ever checked in.',
    'List those that have: `GET /v1/machines`.',
  ),
  denied: entry(
    2,
    'never',
    'The server did not accept the token, or none was sent.',
    'Send it as `Authorization: Bearer TOKEN`; the server’s operator has it.',
  ),
  forbidden: entry(2, 'never', 'The token is valid, but does not permit this.', 'Use an operator’s token.'),
  'too-many-requests': entry(
    4,
    'later',
    'This client sends requests faster than the server accepts them.',
    'Wait as long as the `Retry-After` header says; behind a proxy, start the server with `--trust-proxy`.',
  ),
  'tls-invalid': entry(
    2,
    'never',
    'A certificate and a key do not match, or are not a certificate and a key.',
    'Name a certificate and its key, or the authorities to trust, in PEM. Restore the files of --tls-own from a backup, or delete them so that new ones are made; hosts then need the new ca.pem.',
  ),
  'token-exists': entry(
    2,
    'never',
    'A token with this name already exists.',
    'Choose another name, or revoke it first: `updatectl server token revoke NAME`.',
  ),
  'token-unknown': entry(2, 'never', 'No token has this name.', 'List the tokens: `GET /v1/tokens`.'),
  'token-last': entry(
    2,
    'never',
    'This is the last operator token; without it, nobody could manage the server.',
    'Add another first.',
  ),
  'tokens-full': entry(2, 'never', 'The server already keeps as many tokens as it can.', 'Revoke unused tokens first.'),
  'store-full': entry(
    7,
    'later',
    'The fleet store is out of space.',
    'Free some space on its file system; the server recovers on its own, and hosts ask again.',
  ),
  'store-unwritable': entry(
    7,
    'later',
    'The fleet store cannot be opened or written.',
    'Check the path and its owner, and whether the file system is read-only or the disk is failing (`dmesg`).',
  ),
  'store-damaged': entry(
    7,
    'never',
    'The fleet store is damaged.',
    'Stop the server and restore fleet.db from a backup. Without a backup, move it away: hosts and rollouts fill a new store, but tokens and the audit log are lost.',
  ),
  'store-in-use': entry(
    2,
    'later',
    'Another server uses the same store.',
    'Stop it, or give this one its own folder; servers that share a store use --etcd.',
  ),
  'store-contended': entry(
    4,
    'later',
    'Many servers are changing the same document at the same time.',
    'Wait; hosts ask again on their own. If there are many servers, run fewer.',
  ),
  'clocks-apart': entry(
    4,
    'later',
    'The clocks of servers that share a store differ by more than a minute, so none of them declares a host overdue.',
    'Find the wrong clock (`timedatectl` on each server) and set it; check that all use the same time servers.',
  ),
  'store-newer': entry(
    7,
    'never',
    'A newer version of Tandem wrote the fleet store; nothing was changed.',
    'Start that version or a newer one. To go back, stop all servers and restore a backup of the store from before.',
  ),
  'store-foreign': entry(
    7,
    'never',
    'The database is not a fleet store.',
    'Give the server its own folder with --state, or restore fleet.db from a backup.',
  ),
  'store-document-newer': entry(
    4,
    'never',
    'A newer version of Tandem wrote a document in the fleet store; nothing was changed.',
    'Update this server. Delete the named document only if you can lose its content.',
  ),
  'store-document-invalid': entry(
    4,
    'later',
    'A document in the fleet store is damaged; nothing was changed.',
    'Inspect the named key with `etcdctl get`, and delete it if it is not the server’s.',
  ),
  // daemon
  'already-running': entry(9, 'never', 'Another agent is running.', 'Stop it first: `systemctl stop tandem-agent`.'),
  'agent-not-running': entry(9, 'later', 'The agent is not running.', 'Start it: `systemctl start tandem-agent`.'),
  'agent-denied': entry(9, 'never', 'This user may not talk to the agent.', 'Become root or join the group `tandem`.'),
  'agent-lost': entry(
    9,
    'later',
    'The agent went away before it answered.',
    'Check `journalctl -u tandem-agent`, then ask again: `updatectl status`.',
  ),
  'agent-busy': entry(
    9,
    'later',
    'The agent is busy with work that this would disturb.',
    'Wait for it: `updatectl status --watch`.',
  ),
  'protocol-mismatch': entry(
    9,
    'never',
    'The agent and this program are of incompatible versions.',
    'Use the `updatectl` that belongs to the running system.',
  ),
  'nothing-staged': entry(3, 'never', 'No release is staged.', 'Look for one: `updatectl check`.'),
  'nothing-refused': entry(3, 'never', 'No such release is refused.', 'List the refused releases: `updatectl status`.'),
  'no-way-back': entry(
    3,
    'never',
    'The other slot holds no release that can start.',
    'Install one: `updatectl install VERSION --allow-downgrade`.',
  ),
  condemned: entry(
    8,
    'never',
    'The running system failed its trial.',
    'It falls back on its own; see `updatectl history` afterwards.',
  ),
  'not-confirmed': entry(
    8,
    'later',
    'The running system was not confirmed in time.',
    'See what it waits for: `updatectl status`.',
  ),
  // agent
  'same-root': entry(
    6,
    'never',
    'The release has the same root image as the running system.',
    'Build it with its version in /etc/os-release, so that every release has its own root image.',
  ),
  'trust-root-missing': entry(
    5,
    'never',
    'This host has no trust root.',
    'Put your repository’s root.json into the image, at the path in `trust.root_file`.',
  ),
  'tree-unknown': entry(
    7,
    'later',
    'A verity partition holds no tree that Tandem recognises.',
    'Rewrite the slot: `updatectl install VERSION`.',
  ),
  'read-back-mismatch': entry(
    7,
    'later',
    'The disk does not hold what was written to it.',
    'The slot stays unbootable and is rewritten; if this happens again, replace the disk.',
  ),
  'wrong-product': entry(
    5,
    'later',
    'The release is for another product.',
    'Check `host.product` and this host’s channel.',
  ),
  'wrong-architecture': entry(
    5,
    'later',
    'The release is for another processor architecture.',
    'Check this host’s channel.',
  ),
  'agent-too-old': entry(
    5,
    'later',
    'The release needs a newer agent.',
    'First install the stepping-stone release that the publisher names.',
  ),
  'too-many-attempts': entry(
    7,
    'later',
    'Writing a release was started several times and never finished.',
    'If power cuts do not explain it, see why each attempt ended: `journalctl -u tandem-agent`.',
  ),
  'state-unwritable': entry(
    7,
    'later',
    'The state directory cannot be written.',
    'Check its free space and that it is mounted writable.',
  ),
  'state-unreadable': entry(
    7,
    'later',
    'A state file cannot be parsed.',
    'No action needed: the agent moves it aside and continues without it.',
  ),
  'document-invalid': entry(
    1,
    'later',
    'A document would not read back, so it was not written.',
    'Make its content shorter or simpler; if none of it is yours, please report it with the log.',
  ),
  // bundle
  'uki-invalid': entry(
    6,
    'never',
    'A file is not a unified kernel image.',
    'Build it with ukify, or let `bundle build` do so from --kernel, --initrd and --cmdline.',
  ),
  'uki-mismatch': entry(
    6,
    'never',
    'A unified kernel image names a different root hash or version from this release.',
    'Rebuild it with the root hash in the message, or let `bundle build` make it.',
  ),
  'image-too-large': entry(
    6,
    'never',
    'An image is larger than a bundle can carry.',
    'Make the image smaller, or compress it to less than 8 GiB.',
  ),
  'file-unlockable': entry(
    7,
    'never',
    'A file cannot be locked on its file system.',
    'Work in a folder on a local file system, or on NFS with locks, and copy it from there.',
  ),
  'file-unwritable': entry(
    7,
    'later',
    'A file cannot be written.',
    'Check the path, its permissions and the free space.',
  ),
  'image-input': entry(
    2,
    'never',
    'Inputs for a disk image are missing or do not fit together.',
    'Correct everything named, and build again; nothing was written yet.',
  ),
  'disk-refused': entry(
    2,
    'never',
    'A disk was not overwritten.',
    'Name a whole disk that nothing uses, and type its name; `lsblk` shows all disks.',
  ),
  'build-input': entry(
    2,
    'never',
    'Inputs for a bundle are missing or do not fit together.',
    'Correct everything named, and build again; nothing was packed yet.',
  ),
  'bundle-size': entry(
    6,
    'later',
    'The bundle is shorter or longer than its manifest says.',
    'Fetch or copy the bundle again.',
  ),
  // Bytes that no digest covers may be the transport's fault, not the release's: a new download may be right.
  'bundle-format': entry(
    6,
    'later',
    'The file is not a bundle.',
    'Fetch it again, without proxies and login pages; if the error persists, build it with `updatectl bundle build`.',
  ),
  'bundle-entry': entry(
    6,
    'later',
    'A bundle entry is not the one that the manifest expects in this place.',
    'Fetch the bundle again; if the error persists, rebuild it and do not edit it by hand.',
  ),
  'bundle-padding': entry(
    6,
    'later',
    'The bundle has extra bytes between or after its entries.',
    'Fetch the bundle again; if the error persists, rebuild it and do not edit it by hand.',
  ),
  'manifest-too-large': entry(6, 'never', 'The manifest is larger than 1 MiB.', 'Rebuild the bundle.'),
  'manifest-mismatch': entry(
    6,
    'later',
    'The manifest does not match the repository’s metadata.',
    'Fetch the bundle again; if the error persists, publish the release again.',
  ),
  'manifest-invalid': entry(6, 'never', 'The manifest breaks a rule of its format.', 'Rebuild the bundle.'),
  'frame-table-mismatch': entry(
    6,
    'later',
    'A frame table does not have the digest in the manifest.',
    'Fetch the bundle again.',
  ),
  'frame-table-invalid': entry(6, 'never', 'A frame table contradicts the manifest.', 'Rebuild the bundle.'),
  'frame-mismatch': entry(6, 'later', 'A compressed frame does not match the frame table.', 'Fetch the bundle again.'),
  'frame-invalid': entry(
    6,
    'never',
    'A compressed frame is not a single plain zstd frame of the expected size.',
    'Rebuild the bundle.',
  ),
  'block-mismatch': entry(
    6,
    'never',
    'A block of an image does not match its verity tree.',
    'Rebuild the bundle: its image and its tree belong to different builds.',
  ),
  'image-mismatch': entry(
    6,
    'never',
    'An image does not match the manifest.',
    'Rebuild the bundle: its parts belong to different builds.',
  ),
  'tree-invalid': entry(
    6,
    'never',
    'The verity tree does not fit the root image.',
    'Rebuild the bundle: its image and its tree belong to different builds.',
  ),
  'file-changed': entry(
    7,
    'later',
    'A file shrank while it was being read.',
    'Run the command again, and leave the file alone until it ends.',
  ),
  'delta-invalid': entry(
    6,
    'now',
    'A delta file is damaged.',
    'No action needed: the next larger download takes its place. If many hosts report it, publish the release again.',
  ),
  'delta-mismatch': entry(
    6,
    'now',
    'A reused or fetched piece does not match its digest.',
    'No action needed: it is fetched in another way.',
  ),
  'delta-unsupported': entry(
    6,
    'never',
    'This release cannot be assembled from an older one.',
    'No action needed: the whole image is downloaded.',
  ),
  'delta-root-mismatch': entry(
    6,
    'now',
    'The assembled slot does not have the signed root hash.',
    'No action needed: correct blocks are kept, and the rest is downloaded from the full image.',
  ),

  // network
  'url-invalid': entry(2, 'never', 'An address is not an http or https URL.', 'Correct it in the configuration.'),
  'server-unreachable': entry(
    4,
    'later',
    'The server cannot be reached.',
    'Check name resolution, routes and the proxy.',
  ),
  'server-timeout': entry(
    4,
    'later',
    'The server did not answer in time.',
    'Check the network and the server; Tandem tries again on its own.',
  ),
  'server-slow': entry(
    4,
    'later',
    'The server sends too slowly to be useful.',
    'Check the network or use a nearer mirror.',
  ),
  'connection-lost': entry(
    4,
    'later',
    'The connection was lost before everything had arrived.',
    'No action needed: the transfer resumes on its own.',
  ),
  'tls-untrusted': entry(
    4,
    'later',
    'The server’s certificate could not be verified.',
    'Check the certificate, the configured CA file (without one, the system’s certificates apply) and the local clock.',
  ),
  'server-protocol': entry(
    4,
    'later',
    'The server does not speak valid HTTP.',
    'Check that the address leads to a web server and not to something in between.',
  ),
  'server-redirects': entry(
    4,
    'later',
    'The server answered with a redirect, which Tandem never follows.',
    'Configure the address that it leads to.',
  ),
  'server-encoding': entry(
    4,
    'later',
    'The server sent a compressed or multipart body, although plain bytes were requested.',
    'Turn off compression for the repository on the server.',
  ),
  'server-too-much': entry(4, 'later', 'The server sent more bytes than the limit allows.', 'Check the server.'),
  'server-denied': entry(4, 'later', 'The server denied access.', 'Check the server’s access rules.'),
  'server-busy': entry(
    4,
    'later',
    'The server asked for a later retry.',
    'No action needed: Tandem tries again when the server allows.',
  ),
  'server-failed': entry(4, 'later', 'The server reported an internal error.', 'Check the server’s log.'),
  'server-file-changed': entry(
    4,
    'later',
    'A file on the server is not the one named in the metadata.',
    'Check for updates again; if the error persists, publish again.',
  ),
  'server-no-ranges': entry(
    4,
    'later',
    'The server cannot send part of a file.',
    'Use a web server that supports range requests.',
  ),
  'not-found-on-server': entry(
    4,
    'later',
    'The server does not have this file.',
    'Check the address and the published files.',
  ),
  'proxy-auth': entry(4, 'later', 'The proxy requires a login.', 'Add the login to the configured proxy address.'),
  'name-unsupported': entry(
    2,
    'never',
    'A file has a name that the image format does not allow.',
    'Rename it, or make an erofs image.',
  ),
  'source-unreadable': entry(6, 'later', 'A file cannot be used as a source.', 'Name a regular, readable file.'),
  // trust
  'clock-not-set': entry(
    5,
    'later',
    'The local clock is behind the signing time of trusted metadata.',
    'Set the clock or wait for time synchronisation. If it is right, the publisher’s clock was ahead: `updatectl forget --clock`.',
  ),
  'metadata-expired': entry(
    5,
    'later',
    'Repository metadata has expired.',
    'Run `updatectl repo refresh` at the publisher; if it is fresh there, check the local clock.',
  ),
  'metadata-rollback': entry(
    5,
    'later',
    'The repository offers older metadata than this host has already seen.',
    'A stale mirror catches up on its own. After two publishers at once, run `updatectl repo recover`. A repository that was created again needs an image with its new root.json; otherwise someone is replaying old metadata.',
  ),
  'metadata-invalid': entry(5, 'later', 'Repository metadata breaks a rule of its format.', 'Publish it again.'),
  'metadata-signature': entry(
    5,
    'later',
    'Repository metadata is not signed by enough trusted keys.',
    'Check that the address belongs to the repository whose root.json is in the image.',
  ),
  'metadata-newer': entry(
    5,
    'never',
    'The repository uses a newer format than this agent understands.',
    'Update in steps: first install a release with a newer agent.',
  ),
  'metadata-behind': entry(
    5,
    'now',
    'This host is many root versions behind; only some of them were applied in this refresh.',
    'No action needed: the next refresh continues.',
  ),
  'trust-root-invalid': entry(
    5,
    'never',
    'This system’s trust root cannot be used.',
    'Install an image whose root.json comes from `updatectl repo init`.',
  ),
  'target-incomplete': entry(
    5,
    'later',
    'The signed entry of a release or channel lacks data that this agent needs.',
    'Publish it again with `updatectl repo add` or `repo promote`.',
  ),
  'release-unknown': entry(
    5,
    'later',
    'The repository has no such release.',
    'See what it has: `updatectl repo verify`.',
  ),
  'rollout-state': entry(
    3,
    'never',
    'The rollout’s current state does not allow this.',
    'Check its state: `updatectl rollout status`.',
  ),
  'rollout-invalid': entry(
    5,
    'later',
    'This version does not understand the rollout in a channel.',
    'Update the agent manually, or write the rollout with publisher’s tools of the agent’s version.',
  ),
  'channel-unknown': entry(
    5,
    'later',
    'The repository has no such channel.',
    'Check its name: `updatectl repo list` shows all channels, and `updatectl repo promote` creates one.',
  ),
  // publisher
  'key-invalid': entry(2, 'never', 'A key file cannot be used.', 'Create keys with `updatectl key generate`.'),
  'key-passphrase': entry(
    2,
    'never',
    'The passphrase of a key is missing or wrong.',
    'Pass it with --passphrase-file.',
  ),
  'key-unknown': entry(2, 'never', 'A role needs a key that was not given.', 'Name it with --keys, --key or --signer.'),
  'signer-failed': entry(
    5,
    'later',
    'An external signer did not return a valid signature.',
    'Run the program by hand: it reads bytes from standard input and prints 128 hex digits or Base64 to standard output.',
  ),
  'repository-exists': entry(2, 'never', 'A repository already exists here.', 'Choose another folder.'),
  'repository-missing': entry(2, 'never', 'There is no repository here.', 'Create one with `updatectl repo init`.'),
  'repository-locked': entry(
    1,
    'later',
    'Another publisher is working on this repository.',
    'Wait for it to finish; --wait waits longer.',
  ),
  'repository-changed': entry(
    1,
    'later',
    'The repository changed while this command worked on it; nothing new was published.',
    'Run the command again; check that every publisher locks the same folder.',
  ),
  'repository-damaged': entry(
    5,
    'never',
    'The repository contradicts itself.',
    'Restore it from a backup, or publish the named part again.',
  ),
  'repository-full': entry(
    2,
    'never',
    'A role already lists as many files as clients accept.',
    'Remove old releases with `updatectl repo remove VERSION`.',
  ),
  'release-exists': entry(
    2,
    'never',
    'This version is already published with different content.',
    'Published releases never change: use a new version.',
  ),
  'release-in-use': entry(2, 'never', 'A channel still offers this release.', 'Promote another version first.'),
  'release-named': entry(
    2,
    'never',
    'A rollout still names this release.',
    'Start the rollout again without it first, or remove it anyway with `--insist release-named`.',
  ),
  'root-hash-known': entry(
    2,
    'never',
    'Another release has the same root hash; a host that runs one cannot install the other.',
    'Rebuild the root image, for example with the new version in its os-release; or pass `--insist root-hash-known`.',
  ),
  'channel-new': entry(
    2,
    'never',
    'This channel does not exist yet, but others do.',
    'Check its name; `--insist channel-new` creates it.',
  ),
  'rollout-doubtful': entry(
    2,
    'never',
    'The rollout contains a probable mistake.',
    'Correct it, or pass `--insist rollout-doubtful`.',
  ),
  'release-older': entry(
    2,
    'never',
    'The channel already offers a newer release.',
    'Add --allow-downgrade to offer the older one.',
  ),
  'clock-behind': entry(
    2,
    'never',
    'This clock is behind the last signing time of the repository.',
    'Set the clock. If it is right, another publisher’s clock was ahead: repeat the command with `--insist clock-behind`.',
  ),
  'role-expired': entry(
    2,
    'never',
    'By this clock, a role that the command does not sign has expired.',
    'Check the clock, then sign the role again: `updatectl repo refresh --role …`. `--insist role-expired` publishes anyway.',
  ),
  'expiry-earlier': entry(
    2,
    'never',
    'A role would expire earlier than it does now.',
    'Check the clock; pass the same --expires as before, or `--insist expiry-earlier`.',
  ),
  'lifetime-too-long': entry(
    2,
    'never',
    'A role would stay valid for longer than is safe.',
    'Pass fewer days with --expires, or `--insist lifetime-too-long`.',
  ),
  'expiry-too-near': entry(2, 'never', 'Metadata would expire too soon.', 'Sign the named role again first.'),
  // boot
  'boot-no-fallback': entry(
    8,
    'later',
    'The other slot has no boot entry that is known to be good, so this slot was left untouched.',
    'Check that the EFI system partition is mounted and that `updatectl doctor` finds the running system on it.',
  ),
  'boot-entry-missing': entry(
    8,
    'later',
    'A slot has no boot entry to arm or confirm.',
    'Install the release again; it is staged from the data in the slot.',
  ),
  'boot-not-armed': entry(
    8,
    'later',
    'A slot was about to start without the boot loader, but the boot loader would not have tried it.',
    'No action needed: the next reboot goes through the firmware. See `updatectl status`.',
  ),
  'boot-version-clash': entry(
    8,
    'never',
    'Both slots would have a boot entry of the same version, and the boot loader could not tell them apart.',
    'Publish the image under another version.',
  ),
  'boot-confirm-failed': entry(
    8,
    'now',
    'A boot entry was confirmed, but reads back differently.',
    'Check the EFI system partition with fsck.vfat.',
  ),
  'boot-environment': entry(
    8,
    'later',
    'The boot loader’s environment is missing or cannot be used.',
    'Check that its partition is mounted; docs/boot-loaders.md says how to recreate it.',
  ),
  'boot-file-shared': entry(
    8,
    'later',
    'A power cut left a kernel under two names on a FAT file system, and no check has run since.',
    'Unmount it and run `fsck.vfat -a` on its device, now and at every start (docs/boot-loaders.md). If both names remain, remove one.',
  ),
  'method-unsafe': entry(
    8,
    'later',
    'This restart method is not safe here.',
    'No action needed: the restart goes through the firmware.',
  ),
  'slot-held': entry(
    8,
    'later',
    'The slot left by a soft restart is still in use, perhaps by a program that survived it.',
    'Stop the program, or restart the machine fully (`systemctl reboot`), which frees the slot.',
  ),
  'boot-program-failed': entry(
    8,
    'later',
    'The program that stands in for the boot loader failed or gave an invalid answer.',
    'Run it by hand: docs/boot-program.md describes its input and its answers.',
  ),
  'boot-partition-missing': entry(
    8,
    'later',
    'A boot partition is not mounted, or lacks files that the new kernel needs there.',
    'Mount it where the configuration says; docs/boot-loaders.md lists its files.',
  ),
  'firmware-full': entry(
    8,
    'later',
    'The firmware has no room left for variables.',
    'Delete crash dumps (`ls /sys/fs/pstore`) and unused boot options (`efibootmgr`). Some firmware frees the room only at its next start.',
  ),
  'boot-partition-read-only': entry(
    8,
    'later',
    'A boot partition is not writable.',
    'After an error on FAT the kernel makes it read-only (`dmesg`): unmount it, run `fsck.vfat -a` on its device, and mount it again. If it is writable, the agent’s unit forbids the write.',
  ),
  'boot-partition-failed': entry(
    8,
    'later',
    'An operation on a boot partition failed.',
    'Check what the message names. If the disk failed, `dmesg` says more: run `fsck.vfat -a` on the unmounted device.',
  ),
  'esp-full': entry(
    8,
    'later',
    'The EFI system partition has no room for the kernel image.',
    'Delete files that do not belong there; two kernel images must fit.',
  ),
  'reboot-failed': entry(8, 'later', 'The system refused to restart.', 'Read its message, quoted in the error.'),
  'reboot-inhibited': entry(
    8,
    'later',
    'An inhibitor lock blocks the restart.',
    'Wait for it to end, or find its owner: `systemd-inhibit --list`.',
  ),
  // partitions
  'partition-missing': entry(
    7,
    'later',
    'A partition or disk does not exist.',
    'Compare the partition labels in the configuration with `lsblk -o NAME,PARTLABEL`.',
  ),
  'not-a-block-device': entry(
    7,
    'never',
    'The path of a partition is not a block device.',
    'Remove the file at that path, so that the device can appear there.',
  ),
  'partition-changed': entry(
    7,
    'later',
    'A partition has changed since it was found.',
    'No action needed: the next attempt looks it up again.',
  ),
  'slots-unknown': entry(
    7,
    'later',
    'Tandem cannot tell which partitions are the slots, or which slot is running.',
    'Check the partition labels in the configuration; `updatectl doctor` shows what it found, and docs/disks.md lists usable disks.',
  ),
  'slots-ambiguous': entry(
    7,
    'later',
    'More than one partition has a slot’s label.',
    'Remove or relabel the partitions that are not the slots, or name the slots’ disk in `slots.disk`. A clone also needs new UUIDs.',
  ),
  'slot-booted': entry(7, 'never', 'The running slot is never written.', 'This is a bug: please report it.'),
  'slot-in-use': entry(
    7,
    'later',
    'A partition of the free slot is mounted, or another program is writing to it.',
    'Unmount it, or wait for the other program.',
  ),
  'slot-read-only': entry(
    7,
    'later',
    'A partition cannot be opened for writing.',
    'Check the agent’s permissions and `blockdev --getro`.',
  ),
  'slot-too-small': entry(
    7,
    'never',
    'An image is larger than its partition.',
    'Make the image smaller or the partition larger.',
  ),
  'disk-read-error': entry(7, 'later', 'Reading from the disk failed.', 'Check the disk; see the kernel log.'),
  'disk-write-error': entry(7, 'later', 'Writing to the disk failed.', 'Check the disk; see the kernel log.'),
  'disk-flush-failed': entry(
    7,
    'later',
    'The disk failed to make its writes durable, so the slot must be rewritten.',
    'Check the disk; see the kernel log.',
  ),
  'table-invalid': entry(
    7,
    'later',
    'Neither copy of a partition table is valid.',
    'Check the disk with `sgdisk --verify`.',
  ),
  'file-mismatch': entry(
    7,
    'later',
    'A written file reads back differently, or is not the expected one.',
    'Check the disk and its file system.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Whether the table has this code; a newer agent or a rollout may use one that it lacks. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);

/** Whether a code means that the release contradicts itself, wherever it came from. No other obstacle to installing it is its fault. */
export const isOfRelease = (code: ErrorCode): boolean =>
  ERRORS[code].exit === EXIT.bundle && ERRORS[code].retry === 'never';

/**
 * The one error class. `message` says what happened here, cleaned of control characters in what it quotes; the table has the
 * meaning of the code and the next step.
 */
export class UpdateError extends Error {
  override readonly name = 'UpdateError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(
    code: ErrorCode,
    message?: string,
    options: { cause?: unknown; details?: Record<string, string | number> } = {},
  ) {
    super(
      cleanText(message ?? ERRORS[code].sentence),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.details = options.details ?? {};
  }

  get entry(): ErrorEntry {
    return ERRORS[this.code];
  }
}

/** Any thrown value as an UpdateError with its cause. A failed system call keeps a code of its own. */
export function asUpdateError(error: unknown): UpdateError {
  if (error instanceof UpdateError) return error;
  const fault = systemFault(error);
  if (fault) return new UpdateError(fault.code, fault.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new UpdateError('unexpected', message, { cause: error });
}
