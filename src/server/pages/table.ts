/** Tables that stay complete on a phone: each row becomes a card whose cells carry the column's name. Pure. */

import { type Html, html, type Part } from './html.ts';
import { scrolled } from './layout.ts';

/** A column heading. `number`: right-aligned; `hidden`: for screen readers only. */
export type Column = string | Readonly<{ name: string; is: 'number' | 'hidden' }>;

/** The first cell of each row is its header. */
export function table(
  label: string,
  columns: readonly Column[],
  rows: readonly (readonly Part[])[],
  caption?: Html,
): Html {
  return scrolled(
    label,
    html`<table class="cards" role="table">${caption && html`<caption>${caption}</caption>`}<thead role="rowgroup"><tr role="row">${columns.map(head)}</tr></thead><tbody role="rowgroup">${rows.map(
      (cells) =>
        html`<tr role="row">${cells.map((part, at) => (at === 0 ? html`<th scope="row" role="rowheader">${part}</th>` : cell(columns[at] ?? '', part)))}</tr>`,
    )}</tbody></table>`,
  );
}

function head(column: Column): Html {
  const { name, is } = typeof column === 'string' ? { name: column, is: undefined } : column;
  if (is === 'hidden') return html`<th scope="col" role="columnheader"><span class="hidden">${name}</span></th>`;
  return html`<th scope="col" role="columnheader"${is === 'number' && html` class="number"`}>${name}</th>`;
}

/** An empty cell gets no label, so that a card leaves it out. */
function cell(column: Column, part: Part): Html {
  const { name, is } = typeof column === 'string' ? { name: column, is: undefined } : column;
  const isLabelled = is !== 'hidden' && part !== undefined && part !== false && part !== '';
  return html`<td role="cell"${is === 'number' && html` class="number"`}${isLabelled && html` data-label="${name}"`}>${part}</td>`;
}
