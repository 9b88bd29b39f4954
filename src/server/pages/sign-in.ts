/** The sign-in page, and the page of an error or a refusal. Pure. */

import { type Html, html } from './html.ts';
import type { Page } from './layout.ts';

export function signInPage(wrong: boolean): Page {
  const body = html`<section class="sheet narrow"><h1>Sign in</h1>
<p>The server printed an operator token when it first started. To create another, start it with <code class="keep">--new-operator-token</code>.</p>
${wrong && html`<p role="alert" class="badge bad" id="wrong">■ Wrong token.</p>`}
<form method="post" action="/sign-in"><label for="token">Operator or viewer token</label>
<input class="wide" id="token" name="token" type="password" required maxlength="256" autocomplete="current-password"${wrong && html` aria-invalid="true" aria-describedby="wrong"`}>
<div class="acts"><button>Sign in</button></div></form></section>`;
  return { title: 'Sign in', body };
}

/** A page with one sentence and a link back. */
export const messagePage = (title: string, sentence: string, back: Readonly<{ path: string; name: string }>): Page => ({
  title,
  body: plain(title, sentence, back),
});

const plain = (title: string, sentence: string, { path, name }: Readonly<{ path: string; name: string }>): Html =>
  html`<section class="sheet narrow"><h1>${title}</h1><p>${sentence}</p><p><a href="${path}">${name}</a></p></section>`;
