/** Files that the configuration names. */

import type { Config } from '../../config/config.ts';

export type NamedFile = Readonly<{ key: string; path: string | undefined }>;

/** Certificates to trust. */
export const authorities = ({ repository, lock }: Config): readonly NamedFile[] => [
  { key: 'repository.ca_file', path: repository.caFile },
  { key: 'lock.ca_file', path: lock.caFile },
];

/** Those that only the host should know. */
export const secrets = ({ fleet, lock }: Config): readonly NamedFile[] => [
  { key: 'fleet.token_file', path: fleet.tokenFile },
  { key: 'lock.key_file', path: lock.keyFile },
  { key: 'lock.password_file', path: lock.passwordFile },
];
