/** The licence of Tandem, and the notices of everything that its program contains, as its packages have them. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const APACHE = `Licensed under the Apache License, Version 2.0. On Debian systems, its text is in
/usr/share/common-licenses/Apache-2.0; elsewhere, see https://www.apache.org/licenses/LICENSE-2.0.
`;

export const OWN_LICENCE = `Tandem

Copyright 2026 the Tandem authors

${APACHE}
The program contains packages of others and comes with Node.js: their licences are in /usr/share/doc/tandem/notices.gz.
`;

type Locked = Readonly<{ version: string; license?: string; dev?: boolean; optional?: boolean }>;

/** One section for each licence of packages that are bundled into the program, and one for the runtime. */
export function notices(project: string): string {
  const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const bundled = Object.entries(lock.packages).filter(([path, { dev, optional }]) => path !== '' && !dev && !optional);
  const byText = Map.groupBy(bundled, ([path, { license }]) =>
    license === 'Apache-2.0' ? APACHE : (textIn(join(project, path)) ?? license ?? ''),
  );
  const names = (packages: typeof bundled): string =>
    packages.map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')} ${version}`).join(', ');
  const runtime = join(project, `node_modules/node-linux-${process.arch}`);
  return [
    ...[...byText].map(([text, packages]) => section(names(packages), text)),
    section('Node.js, in /usr/lib/tandem/node', textIn(runtime) ?? ''),
  ].join('\n');
}

function section(name: string, text: string): string {
  if (text.trim() === '') throw new Error(`No licence is known for ${name}.`);
  const rule = '-'.repeat(78);
  return `${rule}\n${name}\n${rule}\n\n${text.trim()}\n`;
}

/** The text of a package's licence. */
function textIn(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const name = readdirSync(folder)
    .sort()
    .find((one) => /^(licen[cs]e|copying)(\.(md|txt))?$/i.test(one));
  return name === undefined ? undefined : readFileSync(join(folder, name), 'utf8');
}
