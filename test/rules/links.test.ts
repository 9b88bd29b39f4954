/** Links between pages lead somewhere, and the index of the documentation lists every page. */

import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';

const TOP = join(import.meta.dirname, '..', '..');
const INDEX = 'docs/README.md';

type Link = Readonly<{ page: string; target: string; heading: string }>;

const textOf = (page: string): string => readFileSync(join(TOP, page), 'utf8');
const pages = globSync(['*.md', 'docs/**/*.md', 'test/*/*.md'], { cwd: TOP });

/** Links of a page to files of the repository; a heading of its own page has the page as its target. */
const linksOf = (page: string, text = textOf(page)): readonly Link[] =>
  [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)/g)].map(([, path = '', heading = '']) => ({
    page,
    target: path === '' ? page : posix.normalize(posix.join(posix.dirname(page), path)),
    heading,
  }));

/** As GitHub names the headings of a page. */
const headingsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

const isBroken = ({ target, heading }: Link): boolean =>
  !existsSync(join(TOP, target)) || (heading !== '' && !headingsOf(textOf(target)).has(heading));

test('every link of a page leads to a file, and to a heading in it', () => {
  const links = pages.flatMap((page) => linksOf(page));
  assert.ok(links.length > 120);
  assert.deepEqual(links.filter(isBroken), []);
});

test('the index of the documentation lists every page', () => {
  const listed = new Set(linksOf(INDEX).map(({ target }) => target));
  const all = globSync(['docs/*.md', 'docs/*.8', 'docs/openapi.json'], { cwd: TOP }).filter((page) => page !== INDEX);
  assert.deepEqual(
    all.filter((page) => !listed.has(page)),
    [],
  );
});

test('the rule sees a file and a heading that are missing', () => {
  const links = linksOf(INDEX, '[a](gone.md) [b](server.md#gone) [c](server.md#https) [d](https://example.com/x)');
  assert.deepEqual(
    links.filter(isBroken).map(({ target, heading }) => `${target}#${heading}`),
    ['docs/gone.md#', 'docs/server.md#gone'],
  );
});
