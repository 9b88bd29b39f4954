/** Whether a boot loader that keeps its flags in the partition table finds them, whichever copy it reads. */

import { slotLabels } from '../../agent/install/host.ts';
import type { Config } from '../../config/config.ts';
import { readDiskFacts } from '../../partitions/disk-facts.ts';
import { openDiskForReading } from '../../partitions/open-partition.ts';
import { type TableFault, tableFault } from '../../partitions/partition-table.ts';
import { resolveSlots } from '../../partitions/slots.ts';
import { type Finding, ok, warn } from './finding.ts';

export async function tableSettings(config: Config): Promise<Finding> {
  const { disk, a, b } = resolveSlots(slotLabels(config), await readDiskFacts(diskOf(config)));
  await using table = await openDiskForReading(disk);
  const fault = await tableFault(table, [disk.sectorSize]);
  if (fault) return warn(FAULTS[fault](disk.path), 'The next update rewrites both copies.');
  if (a.root.type === b.root.type)
    return ok(
      `Both copies of the partition table on ${disk.path} are intact; the root partitions have the type ${a.root.type}.`,
    );
  return warn(
    `The root partitions differ in type: ${a.root.path} has ${a.root.type}, ${b.root.path} has ${b.root.type}.`,
    'Give both the type that the boot loader looks for: docs/boot-loaders.md.',
  );
}

/** The disk that the configuration names, if it names one. */
export const diskOf = ({ slots: { disk } }: Config): string | undefined => (disk === 'auto' ? undefined : disk);

const FAULTS: Readonly<Record<TableFault, (disk: string) => string>> = {
  primary: (disk) => `The first copy of the partition table on ${disk} is damaged.`,
  backup: (disk) => `The backup of the partition table on ${disk} is damaged.`,
  different: (disk) => `The two copies of the partition table on ${disk} differ.`,
};
