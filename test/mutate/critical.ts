/** The files of which a wrong line bricks a machine, loses data, opens a door or leaves a host stuck; and the changes that change nothing. */

/** Below the top of the tree. */
export const CRITICAL: readonly string[] = [
  'systemd/tandem-dead-man',
  'src/agent/agent.ts',
  'src/agent/operator.ts',
  'src/agent/running.ts',
  'src/agent/delta/cache.ts',
  'src/agent/delta/delta-install.ts',
  'src/agent/delta/rate.ts',
  'src/agent/delta/slot-reader.ts',
  'src/agent/delta/transfer.ts',
  'src/agent/finding.ts',
  'src/agent/journal.ts',
  'src/agent/loop.ts',
  'src/agent/machine.ts',
  'src/agent/offer.ts',
  'src/agent/perform.ts',
  'src/agent/polls.ts',
  'src/agent/poll-plan.ts',
  'src/agent/reboot-gate.ts',
  'src/partitions/gpt.ts',
  'src/partitions/image-writer.ts',
  'src/partitions/partition-table.ts',
  'src/partitions/slots.ts',
  'src/reboot/bootloaders/grub.ts',
  'src/reboot/bootloaders/tryboot-kernels.ts',
  'src/reboot/gates/sessions.ts',
  'src/reboot/gates/windows.ts',
  'src/reboot/health/run-probes.ts',
  'src/reboot/health/units.ts',
  'src/rollout/operate.ts',
  'src/rollout/rollout.ts',
  'src/server/rate-limits.ts',
  'src/server/reboot-locks.ts',
  'src/system/block-device.ts',
  'src/system/files.ts',
  'src/system/lock-file.ts',
  'src/system/staged-target.ts',
  'src/verify/client.ts',
  'src/verify/strict-check.ts',
];

/** A change of which no test can know, and why. `line` is a part of the line that is changed, `text` how what replaces it begins. */
export type Equivalent = Readonly<{ path: string; line: string; text: string; why: string }>;

export const EQUIVALENT: readonly Equivalent[] = [
  {
    path: 'src/rollout/operate.ts',
    line: '...(running.history ?',
    text: '({ history: running.history })',
    why: 'no history and none at all become the same one line',
  },
  {
    path: 'src/reboot/gates/sessions.ts',
    line: 'if (until && now >= until)',
    text: '(now >= until)',
    why: 'nothing is later than undefined',
  },
  {
    path: 'src/system/lock-file.ts',
    line: 'await file',
    text: 'void file',
    why: 'the name is a courtesy to who looks into the file; the lock is the kernel’s',
  },
  {
    path: 'src/reboot/gates/windows.ts',
    line: 'digest.readUIntBE(0, 6)',
    text: '(0 + 1)',
    why: 'any six bytes of the digest spread the hosts alike',
  },
  {
    path: 'src/agent/reboot-gate.ts',
    line: 'isApplyRead = true',
    text: '(false)',
    why: 'the file is read again at each look, and says the same',
  },
  {
    path: 'src/agent/agent.ts',
    line: 'log.info({ ...(gates ?',
    text: ';',
    why: 'a line of the log',
  },
  {
    path: 'src/server/rate-limits.ts',
    line: 'const zeros = tail === undefined ? 0 :',
    text: '(Math.max(0, 8 - ',
    why: 'an address without “::” has all of its eight groups',
  },
  ...['(8 + first?.length', '(0)'].map((text) => ({
    path: 'src/server/rate-limits.ts',
    line: '8 - (first?.length ?? 0) - (last',
    text,
    why: 'only the first four groups are looked at, and too many zeros are behind them',
  })),
];
