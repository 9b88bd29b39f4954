/** HTML templates that escape every value, unless it is `Html` already. Pure. */

import { shownText } from '../../clean-text.ts';

/** Only `html` makes one. */
export type Html = Readonly<{ html: string }>;

/** A value in a template; `undefined` and `false` render as nothing. */
export type Part = Html | string | number | false | undefined | readonly Part[];

/** A piece of a page. Attribute values must be in double quotes. */
export const html = (texts: TemplateStringsArray, ...parts: readonly Part[]): Html => ({
  html: texts.map((text, at) => `${text}${textOf(parts[at])}`).join(''),
});

function textOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part));
  return 'html' in part ? part.html : part.map(textOf).join('');
}

const escaped = (text: string): string => shownText(text).replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
