/** The frame of every page: head, navigation, and a footer that says how fresh the content is. */

import { type Html, html, type Part } from './html.ts';

/** `here`: the page's entry in the navigation. */
export type Page = Readonly<{ title: string; here?: NavEntry; body: Html }>;
export type NavEntry = keyof typeof ENTRIES;

/** The signed-in user; `formToken` proves that a form came from our own page (CSRF). */
export type Viewer = Readonly<{ formToken: string; name: string; mayChange: boolean }>;

/** The complete HTML document. */
export function document({ title, here, body }: Page, viewer: Viewer | undefined): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} · Tandem</title>
<link rel="icon" href="/assets/dashboard.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/dashboard.css">
<script src="/assets/dashboard.js" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header><div class="bar">
<a class="brand" href="/"><span aria-hidden="true">◧</span> Tandem</a>
${viewer && navigation(here, viewer)}
</div></header>
<main id="content" tabindex="-1">
${body}
</main>
${viewer && FOOTER}
</body>
</html>
`.html;
}

/** A part of a page that the script replaces when it changes. */
export const live = (id: string, ...content: readonly Part[]): Html => html`<div id="${id}" data-live>${content}</div>`;

/** A container for a table wider than a phone; focusable, so that the keyboard can scroll it. */
export const scrolled = (label: string, table: Html): Html =>
  html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${table}</div>`;

export const empty = (sentence: string): Html => html`<p class="empty">${sentence}</p>`;

const ENTRIES = {
  overview: { path: '/', name: 'Overview' },
  rollouts: { path: '/rollouts', name: 'Rollouts' },
  locks: { path: '/locks', name: 'Locks' },
  failures: { path: '/failures', name: 'Failures' },
  machines: { path: '/machines', name: 'Machines' },
  audit: { path: '/audit', name: 'Audit log' },
} as const;

const navigation = (
  here: NavEntry | undefined,
  { formToken, name, mayChange }: Viewer,
): Html => html`<nav aria-label="Pages"><ul>
${Object.entries(ENTRIES).map(
  ([key, { path, name }]) => html`<li><a href="${path}"${key === here && html` aria-current="page"`}>${name}</a></li>`,
)}
</ul></nav>
<form class="out" method="post" action="/sign-out"><input type="hidden" name="form" value="${formToken}"><button class="plain" title="${name}, ${mayChange ? 'operator' : 'viewer'}">Sign out</button></form>`;

const FOOTER = html`<footer><div class="bar">
<p id="freshness" role="status">This page shows the state at the time it was loaded.</p>
<button id="follow" class="plain" hidden>Stop updating</button>
<noscript><a href="">Reload</a></noscript>
</div></footer>`;
