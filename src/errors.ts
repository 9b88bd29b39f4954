/** UpdateError and the table of codes: exit status, when to retry, one sentence, the next step. */

import { cleanText } from './clean-text.ts';
import { systemFault } from './system-faults.ts';

/** When a machine may try again by itself. */
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
 * Every failure has a name. Exit statuses: 1 unexpected, 2 wrong usage or configuration, 3 nothing to do or held, 4 network,
 * 5 trust, 6 bundle, 7 disk, 8 boot, 9 daemon.
 */
export const ERRORS = {
  // general
  unexpected: entry(1, 'later', 'Something failed that Tandem has no name for.', 'Please report it with the log.'),
  usage: entry(2, 'never', 'The command line is not understood.', 'Run the command with --help.'),
  'config-invalid': entry(
    2,
    'never',
    'A configuration file has an error.',
    'Fix the named key; `updatectl config show` lists all keys.',
  ),
  'setting-invalid': entry(
    2,
    'never',
    'A setting for the fleet in etcd is wrong and not heeded.',
    'Correct the named key with `etcdctl put`; hosts read it by themselves.',
  ),
  'setting-local-only': entry(
    2,
    'never',
    'A setting in etcd is one that only files may make.',
    'Take it out of the named key, and put it into a drop-in on the hosts or into their image.',
  ),
  'settings-cache-invalid': entry(
    2,
    'later',
    'What was kept of the settings in etcd cannot be used.',
    'Nothing: it is written anew when etcd answers. Until then the files alone count.',
  ),
  'tool-missing': entry(2, 'never', 'A program that this step needs is not installed.', 'Install the named package.'),
  'tool-failed': entry(1, 'later', 'A program that this step runs failed.', 'Read its message, which is quoted.'),
  interrupted: entry(
    1,
    'later',
    'The work was stopped before it was finished.',
    'Run it again; what was done is kept.',
  ),
  'machine-id-missing': entry(
    2,
    'never',
    'This host has no machine id, so the fleet could not tell it from others.',
    'Let systemd make one: `systemd-machine-id-setup`; on a read-only /etc it comes with the image or from the kernel command line.',
  ),
  // what any system call on a file can meet; named where nothing more precise is known
  'file-system-full': entry(
    7,
    'later',
    'A file system has no space left.',
    'Make room: `df -h` and `df -i` with the named path show what is full. Then run it again.',
  ),
  'file-system-read-only': entry(
    7,
    'later',
    'A file system is read-only.',
    'See how it is mounted: `findmnt -T` with the named path. After an error the kernel stops writing, and `dmesg` says why.',
  ),
  'file-denied': entry(
    2,
    'later',
    'This user may not use a file or folder.',
    'See whose it is: `ls -ld` with the named path. Run the command as that user or as root.',
  ),
  'file-absent': entry(
    2,
    'later',
    'A file or folder is missing.',
    'Check the path; make the folder if it should exist.',
  ),
  'file-unsuitable': entry(
    2,
    'later',
    'What is at a path cannot be used there.',
    'Look at it: `ls -ld` with the named path. Move it away, or name another path.',
  ),
  'files-exhausted': entry(
    7,
    'later',
    'Too many files are open.',
    'Raise the limit of open files (`LimitNOFILE=`, `ulimit -n`), or stop what holds them.',
  ),
  'address-unavailable': entry(
    2,
    'later',
    'An address and port cannot be listened on.',
    'See who has it: `ss -ltnp`. Stop that program, or choose another address or port.',
  ),
  // lock
  'lock-full': entry(
    3,
    'later',
    'Others hold the lock on rebooting.',
    'Wait for them: `updatectl explain` says who, as far as it is told.',
  ),
  'lock-turn': entry(
    3,
    'later',
    'Other hosts asked for the lock before.',
    'Wait for them: `updatectl explain` says how many they are.',
  ),
  'lock-failures': entry(
    3,
    'later',
    'Hosts failed or did not come back from their reboot, so nobody else is granted the lock.',
    'See which: `updatectl explain`; when they are well, or given up: `updatectl lock release HOST`, with --server and --token-file where a fleet server keeps the lock.',
  ),
  'lock-contended': entry(
    3,
    'later',
    'Many hosts change the lock at the same time.',
    'Wait; it is tried again after a random time.',
  ),
  'lock-etcd-ill': entry(
    3,
    'later',
    'A member of etcd is not well, and a reboot could take the majority away.',
    'Look at etcd: `etcdctl endpoint status --cluster`.',
  ),
  'lock-refused': entry(
    3,
    'later',
    'The FleetLock server does not agree.',
    'Read its answer, which is quoted; its operator knows more.',
  ),
  'lock-lost': entry(
    3,
    'later',
    'The lock on rebooting was lost before the reboot, so the reboot does not happen.',
    'Wait: the lock is asked for again.',
  ),
  'lock-not-held': entry(
    3,
    'never',
    'There is no such holder.',
    'See who there is: `updatectl lock status`, with the same options.',
  ),
  'lock-foreign': entry(
    2,
    'later',
    'Another program keeps a lock on rebooting in the same etcd.',
    'Use one of them: set `lock.kind` to "fleetlock" with airlock’s address, or delete the named key once that program runs nowhere.',
  ),
  'lock-document-invalid': entry(
    2,
    'later',
    'The document of the lock is not one that this version understands; it is left alone.',
    'Look at the named key with `etcdctl get`; delete it only when no host is rebooting.',
  ),
  'lock-identity': entry(
    2,
    'later',
    'Another machine takes part in the lock with the id of this host.',
    'They were made from one image: give each its own /etc/machine-id (`systemd-machine-id-setup`).',
  ),
  'etcd-unavailable': entry(
    4,
    'later',
    'No endpoint of etcd answers, or none has a majority.',
    'Look at etcd: `etcdctl endpoint health`; nobody reboots without it.',
  ),
  'etcd-full': entry(
    4,
    'later',
    'The etcd cluster has no space left.',
    'Compact and defragment it, then `etcdctl alarm disarm`.',
  ),
  'etcd-filling': entry(
    4,
    'later',
    'Half of the space of etcd is used, or more.',
    'Compact it (`etcdctl compact`) and defragment it (`etcdctl defrag`), or raise --quota-backend-bytes, before it takes no more writes.',
  ),
  'etcd-uncompacted': entry(
    4,
    'later',
    'Nobody compacts etcd, so its history fills it.',
    'Start etcd with --auto-compaction-mode=periodic --auto-compaction-retention=1h; where it is Tandem’s alone, `updatectl server --etcd-compact` does it.',
  ),
  'etcd-denied': entry(
    4,
    'later',
    'The etcd cluster does not let this host in.',
    'Check `lock.user`, its password and its role.',
  ),
  'etcd-refused': entry(
    4,
    'later',
    'The etcd cluster refuses what it was asked for.',
    'Read its message, which is quoted.',
  ),
  'etcd-protocol': entry(
    4,
    'later',
    'What answers is not etcd, or a version that is not known.',
    'Check `lock.endpoints`: etcd 3.4 or later is needed.',
  ),
  // fleet server
  'request-invalid': entry(
    2,
    'never',
    'The request is not one that the server understands.',
    'Compare it with /openapi.json of the server.',
  ),
  'request-too-large': entry(
    2,
    'never',
    'The request is larger than the server reads.',
    'Send less: /openapi.json of the server tells the lengths.',
  ),
  'request-type': entry(
    2,
    'never',
    'The body is of a type that the server does not read.',
    'Send it as `Content-Type: application/json`.',
  ),
  'request-slow': entry(4, 'later', 'The request did not arrive in time.', 'Send it again.'),
  'not-found': entry(
    2,
    'never',
    'There is nothing under this address.',
    'Compare it with /openapi.json of the server.',
  ),
  'method-not-allowed': entry(
    2,
    'never',
    'The address is not asked with this method.',
    'Use a method that the header `Allow` names.',
  ),
  'file-missing': entry(
    2,
    'later',
    'The repository has no such file.',
    'Follow the metadata from timestamp.json on: what it names is there.',
  ),
  'range-beyond-end': entry(
    2,
    'never',
    'Nothing of the range is in the file.',
    'Ask for less: the header `Content-Range` tells how long the file is.',
  ),
  'machine-cloned': entry(
    2,
    'never',
    'Two machines have one id, so neither begins an update nor gets the lock.',
    'Give the copy an id of its own: remove its /etc/machine-id and `host-secret` below agent.state_dir, run `systemd-machine-id-setup`, and restart it. Then `updatectl server machine reset ID`, or wait a day.',
  ),
  'machine-secret-wrong': entry(
    2,
    'never',
    'The fleet server knows this machine by another secret than the one it shows.',
    'Reinstalled: an operator runs `updatectl server machine reset ID` (`updatectl status` shows the id). Else two hosts have one machine id: give each its own /etc/machine-id.',
  ),
  'machine-secret-missing': entry(
    2,
    'later',
    'The fleet server knows this machine by a secret, and it shows none.',
    'Let its agent keep one (its log says why it cannot), or an older agent speak: `updatectl server --machines-without-secret`, or `updatectl server machine reset ID`.',
  ),
  'machine-unknown': entry(2, 'later', 'No such machine has ever checked in.', 'See which have: `GET /v1/machines`.'),
  denied: entry(
    2,
    'never',
    'The server does not accept the token, or there is none.',
    'Send it as `Authorization: Bearer TOKEN`; the server’s operator has it.',
  ),
  forbidden: entry(2, 'never', 'The token is known, but not good for this.', 'Use the token of an operator.'),
  'too-many-requests': entry(
    4,
    'later',
    'Requests come faster than the server takes them from one asker.',
    'Wait as long as the header `Retry-After` says; behind a proxy the server needs `--trust-proxy`.',
  ),
  'tls-invalid': entry(
    2,
    'never',
    'A certificate and its key do not belong together, or are none.',
    'Name a certificate and its key, or the authorities to trust, in PEM; what --tls-own has made is restored from a copy, or removed to be made anew, and hosts then need the new ca.pem.',
  ),
  'token-exists': entry(
    2,
    'never',
    'There is a token of this name.',
    'Choose another name, or revoke it first: `updatectl server token revoke NAME`.',
  ),
  'token-unknown': entry(2, 'never', 'There is no token of this name.', 'See which there are: `GET /v1/tokens`.'),
  'token-last': entry(
    2,
    'never',
    'It is the last token of an operator; without one nobody could do anything.',
    'Add another first.',
  ),
  'tokens-full': entry(2, 'never', 'There are as many tokens as the server keeps.', 'Revoke some.'),
  'store-full': entry(
    7,
    'later',
    'There is no space left for the fleet’s store.',
    'Make room on its file system; the server goes on by itself, and hosts ask again.',
  ),
  'store-unwritable': entry(
    7,
    'later',
    'The fleet’s store cannot be opened or written.',
    'Check the path, its owner, and whether its file system is read-only or its disk fails (`dmesg`).',
  ),
  'store-damaged': entry(
    7,
    'never',
    'The fleet’s store is damaged.',
    'Stop the server and restore fleet.db from a copy. Without a copy move it away: hosts and rollouts fill a new one, tokens and the audit log are lost.',
  ),
  'store-in-use': entry(
    2,
    'later',
    'Another server uses the same store.',
    'Stop it, or give this one a folder of its own; servers that share what they know use --etcd.',
  ),
  'store-contended': entry(
    4,
    'later',
    'Many servers change the same document at the same time.',
    'Wait; hosts ask again by themselves. With many servers, run fewer.',
  ),
  'clocks-apart': entry(
    4,
    'later',
    'The clocks of servers that share a store differ by more than a minute, so none of them takes a host for overdue.',
    'See which is wrong (`timedatectl` on each) and set it right; check that all ask the same time servers.',
  ),
  'store-newer': entry(
    7,
    'never',
    'The fleet’s store was written by a newer version of Tandem; nothing was changed.',
    'Start that version or a newer one. To go back, stop all servers and restore a copy of the store from before.',
  ),
  'store-foreign': entry(
    7,
    'never',
    'The fleet’s store is a database of something else.',
    'Give the server a folder of its own with --state, or restore fleet.db from a copy.',
  ),
  'store-document-newer': entry(
    4,
    'never',
    'A document in the fleet’s store was written by a newer version of Tandem; nothing was changed.',
    'Update this server. Delete the named document only if what it says may be lost.',
  ),
  'store-document-invalid': entry(
    4,
    'later',
    'A document in the fleet’s store is damaged; nothing was changed.',
    'Look at the named key with `etcdctl get`, and delete it if it is not the server’s.',
  ),
  // daemon
  'already-running': entry(9, 'never', 'Another agent is running.', 'Stop it first: `systemctl stop tandem-agent`.'),
  'agent-not-running': entry(9, 'later', 'The agent is not running.', 'Start it: `systemctl start tandem-agent`.'),
  'agent-denied': entry(9, 'never', 'This user may not talk to the agent.', 'Become root or join the group `tandem`.'),
  'agent-lost': entry(
    9,
    'later',
    'The agent went away before it had answered.',
    'Look at `journalctl -u tandem-agent`, then ask again: `updatectl status`.',
  ),
  'agent-busy': entry(
    9,
    'later',
    'The agent is busy with something that this would disturb.',
    'Wait for it: `updatectl status --watch`.',
  ),
  'protocol-mismatch': entry(
    9,
    'never',
    'The agent and this program are of different generations.',
    'Use the program that belongs to the running system.',
  ),
  'nothing-staged': entry(3, 'never', 'No release is staged.', 'Ask for one: `updatectl check`.'),
  'nothing-refused': entry(3, 'never', 'No such release is refused.', 'See what is: `updatectl status`.'),
  'no-way-back': entry(
    3,
    'never',
    'The other slot holds no release that could be started.',
    'Install one: `updatectl install VERSION --allow-downgrade`.',
  ),
  condemned: entry(
    8,
    'never',
    'The running system did not prove itself.',
    'It falls back by itself; see `updatectl history` afterwards.',
  ),
  'not-confirmed': entry(
    8,
    'later',
    'The running system was not proven in time.',
    'See what it waits for: `updatectl status`.',
  ),
  // agent
  'same-root': entry(
    6,
    'never',
    'The release has the very root image that is running.',
    'Build it with its version in /etc/os-release, so that every release has a root of its own.',
  ),
  'trust-root-missing': entry(
    5,
    'never',
    'This host has no trust root.',
    'Put the root.json of your repository into the image as `trust.root_file` says.',
  ),
  'tree-unknown': entry(
    7,
    'later',
    'A verity partition holds no tree that Tandem knows.',
    'Write the slot anew: `updatectl install VERSION`.',
  ),
  'read-back-mismatch': entry(
    7,
    'later',
    'What lies on the disk is not what was written to it.',
    'The slot stays unbootable and is written anew; if it happens again, replace the disk.',
  ),
  'wrong-product': entry(
    5,
    'later',
    'The release is for another product.',
    'Check `host.product` and the channel of this host.',
  ),
  'wrong-architecture': entry(5, 'later', 'The release is for another processor.', 'Check the channel of this host.'),
  'agent-too-old': entry(
    5,
    'later',
    'The release needs a newer agent than this one.',
    'Install the stepping-stone release that the publisher names first.',
  ),
  'too-many-attempts': entry(
    7,
    'later',
    'Writing a release was begun several times and never came to its end.',
    'If no power cut explains it, see what was met each time: `journalctl -u tandem-agent`.',
  ),
  'state-unwritable': entry(
    7,
    'later',
    'The state directory cannot be written.',
    'Check its space and that it is mounted writable.',
  ),
  'state-unreadable': entry(
    7,
    'later',
    'A state file cannot be understood.',
    'Nothing to do: the agent moves it aside and goes on without it.',
  ),
  'document-invalid': entry(
    1,
    'later',
    'A document could not be read again, so it was not written.',
    'Say shorter or simpler what it should hold; if nothing of it is yours, please report it with the log.',
  ),
  // bundle
  'uki-invalid': entry(
    6,
    'never',
    'A file that should be a unified kernel image is not one.',
    'Build it with ukify, or let `bundle build` do so from --kernel, --initrd and --cmdline.',
  ),
  'uki-mismatch': entry(
    6,
    'never',
    'A unified kernel image names another root hash or version than this release.',
    'Rebuild it with the root hash that the message gives, or let `bundle build` make it.',
  ),
  'image-too-large': entry(
    6,
    'never',
    'An image is larger than a bundle can carry.',
    'Make the image smaller, or compress it into less than 8 GiB.',
  ),
  'file-unlockable': entry(
    7,
    'never',
    'A file cannot be locked where it lies.',
    'Work in a folder of a local file system, or of NFS with locks, and copy it from there.',
  ),
  'file-unwritable': entry(7, 'later', 'A file cannot be written.', 'Check the path, permissions and free space.'),
  'build-input': entry(
    2,
    'never',
    'What a bundle is to be made of is not there, or does not fit together.',
    'Correct all that is named, and build again; nothing was packed yet.',
  ),
  'bundle-size': entry(
    6,
    'later',
    'The bundle is shorter or longer than its manifest says.',
    'Fetch or copy the bundle again.',
  ),
  // What no digest covers is the word of whoever sent it, not the release's: fetched again it may be right.
  'bundle-format': entry(
    6,
    'later',
    'The file is not a bundle.',
    'Fetch it again, past proxies and login pages; if it stays, build it with `updatectl bundle build`.',
  ),
  'bundle-entry': entry(
    6,
    'later',
    'A bundle entry is not the one that its manifest demands at this place.',
    'Fetch the bundle again; if it stays, rebuild it and do not change it by hand.',
  ),
  'bundle-padding': entry(
    6,
    'later',
    'The bundle hides bytes between or after its entries.',
    'Fetch the bundle again; if it stays, rebuild it and do not change it by hand.',
  ),
  'manifest-too-large': entry(6, 'never', 'The manifest is larger than 1 MiB.', 'Rebuild the bundle.'),
  'manifest-mismatch': entry(
    6,
    'later',
    'The manifest is not the one that the repository promises.',
    'Fetch the bundle again; if it stays, publish the release again.',
  ),
  'manifest-invalid': entry(6, 'never', 'The manifest breaks a rule of its format.', 'Rebuild the bundle.'),
  'frame-table-mismatch': entry(
    6,
    'later',
    'A frame table is not the one that the manifest promises.',
    'Fetch the bundle again.',
  ),
  'frame-table-invalid': entry(6, 'never', 'A frame table contradicts the manifest.', 'Rebuild the bundle.'),
  'frame-mismatch': entry(
    6,
    'later',
    'A compressed frame is not the one that the frame table promises.',
    'Fetch the bundle again.',
  ),
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
    'An image is not the one that the manifest promises.',
    'Rebuild the bundle: its parts belong to different builds.',
  ),
  'tree-invalid': entry(
    6,
    'never',
    'The image with the verity tree does not fit the root image.',
    'Rebuild the bundle: its image and its tree belong to different builds.',
  ),
  'file-changed': entry(
    7,
    'later',
    'A file became shorter while it was being read.',
    'Run the command again and leave the file alone.',
  ),
  'delta-invalid': entry(
    6,
    'now',
    'A file that saves downloading is damaged.',
    'Nothing: the next larger download follows by itself. If it happens on many hosts, publish the release again.',
  ),
  'delta-mismatch': entry(
    6,
    'now',
    'A piece that was to be reused or fetched is not the one that was promised.',
    'Nothing: it is fetched in another way by itself.',
  ),
  'delta-unsupported': entry(
    6,
    'never',
    'This release cannot be put together from an older one.',
    'Nothing: the whole image is downloaded.',
  ),
  'delta-root-mismatch': entry(
    6,
    'now',
    'The slot that was put together does not give the signed root hash.',
    'Nothing: what lies right is kept and the rest is downloaded from the full image.',
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
    'Check the network and the server; it is tried again.',
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
    'The connection broke before everything had arrived.',
    'It is resumed by itself.',
  ),
  'tls-untrusted': entry(
    4,
    'later',
    'The server could not prove who it is.',
    'Check the server’s certificate, the configured CA file (without one, the system’s certificates count) and the local clock.',
  ),
  'server-protocol': entry(
    4,
    'later',
    'The server does not speak proper HTTP.',
    'Check that the address leads to a web server and not to something in between.',
  ),
  'server-redirects': entry(
    4,
    'later',
    'The server answers with a redirect, which is never followed.',
    'Configure the address that it leads to.',
  ),
  'server-encoding': entry(
    4,
    'later',
    'The server sends compressed or multipart bodies although plain bytes were asked for.',
    'Switch off compression for the repository on the server.',
  ),
  'server-too-much': entry(4, 'later', 'The server sends more bytes than the limit allows.', 'Check the server.'),
  'server-denied': entry(4, 'later', 'The server denies access.', 'Check the access rules of the server.'),
  'server-busy': entry(
    4,
    'later',
    'The server asks for patience.',
    'Nothing: it is tried again when the server says so.',
  ),
  'server-failed': entry(4, 'later', 'The server reports an internal error.', 'Check the log of the server.'),
  'server-file-changed': entry(
    4,
    'later',
    'A file on the server is not the one that the metadata names.',
    'Refresh; if it stays, publish again.',
  ),
  'server-no-ranges': entry(
    4,
    'later',
    'The server cannot send a part of a file.',
    'Use a web server that answers range requests.',
  ),
  'not-found-on-server': entry(
    4,
    'later',
    'The server does not have this file.',
    'Check the address and what was published.',
  ),
  'proxy-auth': entry(4, 'later', 'The proxy wants a login.', 'Put the login into the configured proxy address.'),
  'name-unsupported': entry(
    2,
    'never',
    'A file has a name that the image cannot take.',
    'Rename it, or make an erofs image.',
  ),
  'source-unreadable': entry(6, 'later', 'A file cannot be used as a source.', 'Name a regular file that can be read.'),
  // trust
  'clock-not-set': entry(
    5,
    'later',
    'The local clock shows a time before metadata that this host believes was signed.',
    'Set the clock or wait for time synchronisation. If it is right, the publisher’s was ahead: `updatectl forget --clock`.',
  ),
  'metadata-expired': entry(
    5,
    'later',
    'Metadata of the repository has expired.',
    'Run `updatectl repo refresh` at the publisher; if it is fresh there, check the local clock.',
  ),
  'metadata-rollback': entry(
    5,
    'later',
    'The repository offers older metadata than this host has already seen.',
    'A stale mirror heals by itself. After two publishers at once, `updatectl repo recover`. A repository that was made anew needs an image that brings its root.json; otherwise someone replays old metadata.',
  ),
  'metadata-invalid': entry(5, 'later', 'Metadata of the repository breaks a rule of its format.', 'Publish it again.'),
  'metadata-signature': entry(
    5,
    'later',
    'Metadata of the repository is not signed by enough trusted keys.',
    'Check that the address belongs to the repository whose root is in the image.',
  ),
  'metadata-newer': entry(
    5,
    'never',
    'The repository uses a newer format than this agent understands.',
    'Update in steps: install a release with a newer agent first.',
  ),
  'metadata-behind': entry(
    5,
    'now',
    'This host is very many root versions behind; a part was caught up.',
    'Nothing: the next refresh continues.',
  ),
  'trust-root-invalid': entry(
    5,
    'never',
    'The trust root of this system cannot be used.',
    'Install an image whose root.json comes from `updatectl repo init`.',
  ),
  'target-incomplete': entry(
    5,
    'later',
    'The signed entry of a release or channel lacks what this agent needs.',
    'Publish it again with `updatectl repo add` or `repo promote`.',
  ),
  'release-unknown': entry(
    5,
    'later',
    'The repository has no such release.',
    'See `updatectl repo verify` for what it has.',
  ),
  'rollout-state': entry(
    3,
    'never',
    'The rollout is not in a state in which this can be done.',
    'See where it stands: `updatectl rollout status`.',
  ),
  'rollout-invalid': entry(
    5,
    'later',
    'The rollout in a channel is not one that this version understands.',
    'Update the agent by hand, or write the rollout with the publisher’s tools of the same version.',
  ),
  'channel-unknown': entry(
    5,
    'later',
    'The repository has no such channel.',
    'See its name; `updatectl repo list` shows all, and `updatectl repo promote` makes one.',
  ),
  // publisher
  'key-invalid': entry(2, 'never', 'A key file cannot be used.', 'Make keys with `updatectl key generate`.'),
  'key-passphrase': entry(
    2,
    'never',
    'The passphrase of a key is missing or wrong.',
    'Give it with --passphrase-file.',
  ),
  'key-unknown': entry(2, 'never', 'A role needs a key that was not given.', 'Name it with --keys, --key or --signer.'),
  'signer-failed': entry(
    5,
    'later',
    'An external signer did not give a valid signature.',
    'Run the program by hand: bytes on standard input, 128 hex digits or Base64 on standard output.',
  ),
  'repository-exists': entry(2, 'never', 'There is a repository already.', 'Choose another folder.'),
  'repository-missing': entry(2, 'never', 'There is no repository here.', 'Make one with `updatectl repo init`.'),
  'repository-locked': entry(
    1,
    'later',
    'Another publisher works on this repository.',
    'Wait for it to finish, longer with --wait.',
  ),
  'repository-changed': entry(
    1,
    'later',
    'The repository was changed while it was being worked on; nothing new was published.',
    'Run the command again; see that every publisher locks the same folder.',
  ),
  'repository-damaged': entry(
    5,
    'never',
    'The repository contradicts itself.',
    'Restore it from a copy, or publish the named part again.',
  ),
  'repository-full': entry(
    2,
    'never',
    'A role lists as many files as clients accept.',
    'Remove old releases with `updatectl repo remove VERSION`.',
  ),
  'release-exists': entry(
    2,
    'never',
    'This version is published already with other content.',
    'Published releases never change: use a new version.',
  ),
  'release-in-use': entry(2, 'never', 'A channel still offers this release.', 'Promote another version first.'),
  'release-named': entry(
    2,
    'never',
    'A rollout still names this release.',
    'Start the rollout again without it first, or remove it with `--insist release-named`.',
  ),
  'root-hash-known': entry(
    2,
    'never',
    'Another release has the same root hash: a host that runs one of them cannot install the other.',
    'Build the root image again, for example with the new version in its os-release; or `--insist root-hash-known`.',
  ),
  'channel-new': entry(
    2,
    'never',
    'There is no such channel yet, and others there are.',
    'See that its name is right; `--insist channel-new` makes it.',
  ),
  'rollout-doubtful': entry(
    2,
    'never',
    'The rollout says something that is hardly meant.',
    'Correct it, or give `--insist rollout-doubtful`.',
  ),
  'release-older': entry(
    2,
    'never',
    'The channel offers a newer release already.',
    'Add --allow-downgrade if hosts shall be offered the older one.',
  ),
  'clock-behind': entry(
    2,
    'never',
    'This clock shows a time before the repository was last signed.',
    'Set the clock. If it is right, another publisher’s was ahead: repeat the command with `--insist clock-behind`.',
  ),
  'role-expired': entry(
    2,
    'never',
    'By this clock, a role has expired that the command does not sign.',
    'See that the clock is right, then sign the role again: `updatectl repo refresh --role …`. `--insist role-expired` publishes all the same.',
  ),
  'expiry-earlier': entry(
    2,
    'never',
    'A role would expire earlier than it does now.',
    'See that the clock is right; give --expires as before, or `--insist expiry-earlier`.',
  ),
  'lifetime-too-long': entry(
    2,
    'never',
    'A role would be good for longer than is safe.',
    'Give fewer days with --expires, or `--insist lifetime-too-long`.',
  ),
  'expiry-too-near': entry(2, 'never', 'Metadata would expire too soon.', 'Sign the named role again first.'),
  // boot
  'boot-no-fallback': entry(
    8,
    'later',
    'The other slot has no boot entry that is known to be good, so this one is not touched.',
    'Check that the EFI system partition is mounted and that `updatectl doctor` finds the running system on it.',
  ),
  'boot-entry-missing': entry(
    8,
    'later',
    'A slot has no boot entry to arm or confirm.',
    'Install the release again; it is staged from what lies in the slot.',
  ),
  'boot-not-armed': entry(
    8,
    'later',
    'A slot was to be started without the boot loader, but the boot loader would not have tried it.',
    'The next reboot goes through the firmware; see `updatectl status`.',
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
    'A boot entry was confirmed, but reading it again shows another picture.',
    'Check the EFI system partition with fsck.vfat.',
  ),
  'boot-environment': entry(
    8,
    'later',
    'The boot loader’s environment is missing or cannot be used.',
    'Check that its partition is mounted; docs/boot-loaders.md says how to make it anew.',
  ),
  'boot-file-shared': entry(
    8,
    'later',
    'A power cut has left a kernel under two names of a FAT file system, and nothing has checked it since.',
    'Unmount it and run fsck.vfat -a on its device, at every start from now on (docs/boot-loaders.md). If both names remain, remove one.',
  ),
  'method-unsafe': entry(
    8,
    'later',
    'This way of restarting is not safe here.',
    'Nothing to do: the restart goes through the firmware.',
  ),
  'slot-held': entry(
    8,
    'later',
    'Something still holds the slot that was left by a soft restart: a program that outlived it, perhaps.',
    'End the program, or restart the machine in full (systemctl reboot): nothing holds the slot then.',
  ),
  'boot-program-failed': entry(
    8,
    'later',
    'The program that stands for the boot loader failed, or its answer is not one.',
    'Run it by hand: docs/boot-program.md says what it is told and what it must answer.',
  ),
  'boot-partition-missing': entry(
    8,
    'later',
    'A boot partition is not mounted, or lacks what must be there beside the new kernel.',
    'Mount it where the configuration says; docs/boot-loaders.md lists what belongs on it.',
  ),
  'firmware-full': entry(
    8,
    'later',
    'The firmware has no room left for its variables.',
    'Remove what nobody needs: crash dumps (`ls /sys/fs/pstore`), boot options of others (`efibootmgr`). Some firmware frees the room only when it starts.',
  ),
  'boot-partition-read-only': entry(
    8,
    'later',
    'A boot partition cannot be written.',
    'After an error on FAT the kernel makes it read-only (`dmesg`): unmount it, run `fsck.vfat -a` on its device, and mount it again. If it is writable, the unit of the agent forbids it.',
  ),
  'boot-partition-failed': entry(
    8,
    'later',
    'A boot partition cannot be used as it should be.',
    'Look at what the message names. If the disk failed, `dmesg` says more: run `fsck.vfat -a` on the unmounted device.',
  ),
  'esp-full': entry(
    8,
    'later',
    'The EFI system partition has no room for the kernel image.',
    'Remove what does not belong there; two kernel images must fit.',
  ),
  'reboot-failed': entry(8, 'later', 'The system refused to restart.', 'Read its message, which is quoted.'),
  'reboot-inhibited': entry(
    8,
    'later',
    'Something holds a lock against restarting.',
    'Wait for it, or see `systemd-inhibit --list`.',
  ),
  // partitions
  'partition-missing': entry(
    7,
    'later',
    'A partition or disk is not there.',
    'Compare the partition labels in the configuration with `lsblk -o NAME,PARTLABEL`.',
  ),
  'not-a-block-device': entry(
    7,
    'never',
    'Something that should be a partition is not a block device.',
    'Remove the file that stands in the place of the device.',
  ),
  'partition-changed': entry(
    7,
    'later',
    'A partition is no longer the one that was looked up.',
    'Nothing to do: it is looked up again at the next try.',
  ),
  'slots-unknown': entry(
    7,
    'later',
    'It cannot be told which partitions are the slots, or which slot is running.',
    'Check the partition labels in the configuration; `updatectl doctor` shows what was found, docs/disks.md which disks can be used.',
  ),
  'slots-ambiguous': entry(
    7,
    'later',
    'More than one partition carries the label of a slot.',
    'Remove or relabel the partitions that are not the slots, or name the disk of the slots in `slots.disk`. A clone needs new UUIDs, too.',
  ),
  'slot-booted': entry(7, 'never', 'The running slot is never written.', 'Nothing to do: please report it.'),
  'slot-in-use': entry(
    7,
    'later',
    'A partition of the free slot is mounted or being written by something else.',
    'Unmount it, or wait for the other program.',
  ),
  'slot-read-only': entry(
    7,
    'later',
    'A partition cannot be opened for writing.',
    'Check the rights of the agent and `blockdev --getro`.',
  ),
  'slot-too-small': entry(
    7,
    'never',
    'An image is larger than its partition.',
    'Make the image smaller or the partition larger.',
  ),
  'disk-read-error': entry(7, 'later', 'The disk failed to read.', 'Check the disk; the kernel log says more.'),
  'disk-write-error': entry(7, 'later', 'The disk failed to write.', 'Check the disk; the kernel log says more.'),
  'disk-flush-failed': entry(
    7,
    'later',
    'The disk failed to make its writes durable, so the slot must be written anew.',
    'Check the disk; the kernel log says more.',
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
    'A file that was written reads back differently, or is not the promised one.',
    'Check the disk and its file system.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Whether the table has this code: one of a newer agent or of a rollout may not be there. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);

/** Whether a code tells of a release that contradicts itself, whoever fetched it from where: nothing else of what keeps one from being installed is its fault. */
export const isOfRelease = (code: ErrorCode): boolean =>
  ERRORS[code].exit === EXIT.bundle && ERRORS[code].retry === 'never';

/**
 * The one error class. `message` says what happened here, and is clean whatever it quotes; the table says what the code means and
 * what to do next.
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

/** Any thrown thing as an UpdateError, its cause kept. A failed system call has a name of its own. */
export function asUpdateError(error: unknown): UpdateError {
  if (error instanceof UpdateError) return error;
  const fault = systemFault(error);
  if (fault) return new UpdateError(fault.code, fault.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new UpdateError('unexpected', message, { cause: error });
}
