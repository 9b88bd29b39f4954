/** Tables with a row for each thing. On a phone a row becomes a card whose cells say what they are: no column is left out for want of room. Pure. */

import { type Html, html, type Part } from './html.ts';
import { scrolled } from './layout.ts';

/** What stands above a column. `number`: figures, which stand right; `hidden`: a name that nobody needs to see. */
export type Column = string | Readonly<{ name: string; is: 'number' | 'hidden' }>;

/** The first cell of a row names what the row is about. */
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

/** An empty cell is left out of a card. */
function cell(column: Column, part: Part): Html {
  const { name, is } = typeof column === 'string' ? { name: column, is: undefined } : column;
  const isLabelled = is !== 'hidden' && part !== undefined && part !== false && part !== '';
  return html`<td role="cell"${is === 'number' && html` class="number"`}${isLabelled && html` data-label="${name}"`}>${part}</td>`;
}
