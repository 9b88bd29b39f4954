/** Reads unit files of systemd. */

/**
 * All values of a key: `texts` are the unit and its drop-ins, in the order in which systemd reads them. An empty value discards those before
 * it.
 */
export function unitValues(texts: readonly string[], section: string, key: string): readonly string[] {
  let values: string[] = [];
  for (const text of texts)
    for (const [at, name, value] of assignments(text)) {
      if (at !== section || name !== key) continue;
      values = value === '' ? [] : [...values, value];
    }
  return values;
}

/** The name of the mount unit of a path. */
export const mountUnit = (path: string): string =>
  `${path
    .replace(/^\/+|\/+$/g, '')
    .split(/\/+/)
    .map(escaped)
    .join('-')}.mount`;

const escaped = (name: string): string =>
  name.replace(/^\.|[^\w:.]/g, (sign) =>
    [...Buffer.from(sign)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );

type Assignment = readonly [section: string, key: string, value: string];

function assignments(text: string): Assignment[] {
  let section = '';
  return joined(text).flatMap((line): Assignment[] => {
    const header = /^\[(.*)\]$/.exec(line)?.[1];
    if (header !== undefined) section = header;
    const [, key, value] = /^([^=\s]+)\s*=\s*(.*)$/.exec(line) ?? [];
    return key === undefined || header !== undefined ? [] : [[section, key, value ?? '']];
  });
}

/** A backslash at its end continues a line; comments in between are skipped. */
function joined(text: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const line of text.split(/\r?\n/)) {
    const trimmed = line.trim();
    if (/^[#;]/.test(trimmed)) continue;
    if (trimmed.endsWith('\\')) {
      open += `${trimmed.slice(0, -1)} `;
      continue;
    }
    lines.push(`${open}${trimmed}`);
    open = '';
  }
  return open === '' ? lines : [...lines, open.trim()];
}
