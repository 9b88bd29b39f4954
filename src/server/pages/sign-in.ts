/** Signing in with the token of an operator, and what is said to who may not do something. Pure. */

import { type Html, html } from './html.ts';
import type { Page } from './layout.ts';

export function signInPage(wrong: boolean): Page {
  const body = html`<section class="sheet narrow"><h1>Sign in</h1>
<p>The server showed the operator’s token when it was first started. It makes another with <code class="keep">--new-operator-token</code>.</p>
${wrong && html`<p role="alert" class="badge bad" id="wrong">■ That is not the token.</p>`}
<form method="post" action="/sign-in"><label for="token">Token of an operator or viewer</label>
<input class="wide" id="token" name="token" type="password" required maxlength="256" autocomplete="current-password"${wrong && html` aria-invalid="true" aria-describedby="wrong"`}>
<div class="acts"><button>Sign in</button></div></form></section>`;
  return { title: 'Sign in', body };
}

/** A dead end with a sentence and a way back. */
export const saidPage = (title: string, sentence: string, back: Readonly<{ path: string; name: string }>): Page => ({
  title,
  body: plain(title, sentence, back),
});

const plain = (title: string, sentence: string, { path, name }: Readonly<{ path: string; name: string }>): Html =>
  html`<section class="sheet narrow"><h1>${title}</h1><p>${sentence}</p><p><a href="${path}">${name}</a></p></section>`;
