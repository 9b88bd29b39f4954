/** The bytes of every method as a picture: one dot each on a logarithmic axis, fewest on top. */

import { middleBytes, type Row } from './results.ts';

const WIDTH = 860;
const LEFT = 300;
const RIGHT = 90;
const LINE = 22;

/** One panel for each pair of releases, below each other. */
export function plot(panels: readonly Readonly<{ title: string; rows: readonly Row[] }>[]): string {
  const all = panels.flatMap(({ rows }) => rows.map(middleBytes));
  const axis = axisOf(Math.min(...all), Math.max(...all));
  let top = 0;
  const drawn = panels.map(({ title, rows }) => {
    const panel = `<g transform="translate(0 ${top})">${panelOf(title, rows, axis)}</g>`;
    top += (rows.length + 3) * LINE;
    return panel;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" font-family="sans-serif" font-size="13" role="img" aria-labelledby="title">`,
    '<title id="title">Megabytes over the wire for each method, fewest first</title>',
    `<rect width="${WIDTH}" height="${top}" fill="#fff"/>`,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

type Axis = Readonly<{ powers: readonly number[]; x: (bytes: number) => number }>;

function axisOf(least: number, most: number): Axis {
  const low = Math.floor(Math.log10(least));
  const high = Math.ceil(Math.log10(most));
  const x = (bytes: number): number => LEFT + ((Math.log10(bytes) - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  return { powers: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)), x };
}

function panelOf(title: string, rows: readonly Row[], { powers, x }: Axis): string {
  const bottom = (rows.length + 1.5) * LINE;
  const grid = powers.map(
    (power) =>
      `<path d="M${x(power).toFixed(1)} ${LINE * 1.2}V${bottom}" stroke="#ddd"/>` +
      `<text x="${x(power).toFixed(1)}" y="${bottom + 14}" text-anchor="middle" fill="#666">${mb(power)} MB</text>`,
  );
  const lines = [...rows].sort((one, other) => middleBytes(one) - middleBytes(other)).map((row, i) => dot(row, i, x));
  return `<text x="8" y="${LINE * 0.8}" font-weight="bold">${title}</text>${grid.join('')}\n${lines.join('\n')}`;
}

function dot(row: Row, line: number, x: Axis['x']): string {
  const bytes = middleBytes(row);
  const y = (line + 2) * LINE;
  const own = row.id.startsWith('tandem-');
  const colour = own ? '#c2410c' : '#475569';
  const name = `${row.name}${row.format === 'erofs' ? '' : ` (${row.format})`}`;
  return (
    `<text x="${LEFT - 12}" y="${y}" text-anchor="end" fill="${colour}"${own ? ' font-weight="bold"' : ''}>${name}</text>` +
    `<circle cx="${x(bytes).toFixed(1)}" cy="${y - 4}" r="5" fill="${colour}"/>` +
    `<text x="${(x(bytes) + 10).toFixed(1)}" y="${y}" fill="#333">${mb(bytes)}</text>`
  );
}

const mb = (bytes: number): string => {
  const value = bytes / 1e6;
  return value < 1
    ? value.toFixed(value < 0.1 ? 2 : 1)
    : value < 10
      ? value.toFixed(1).replace('.0', '')
      : value.toFixed(0);
};
