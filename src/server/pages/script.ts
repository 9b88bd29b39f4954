/** The script of the pages: it polls the page and replaces the parts that changed. Optional: every page works without it. */

/** The request header of that polling, so that it does not count as use of the session. */
export const FOLLOWS = 'tandem-follows';

export const SCRIPT = `'use strict';
const EVERY_MS = 5000;
const freshness = document.getElementById('freshness');
const follow = document.getElementById('follow');
let stopped = !freshness || !document.querySelector('[data-live]');
let tag = '';

function say(text) {
  if (freshness.textContent !== text) freshness.textContent = text;
}

// A part in which the user has selected text is left alone.
function isInUse(part) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
}

function keyOf(element) {
  return element.id ? '#' + CSS.escape(element.id) : element.href ? 'a[href="' + CSS.escape(element.getAttribute('href')) + '"]' : '';
}

function replace(part, fresh) {
  const active = part.contains(document.activeElement) ? keyOf(document.activeElement) : undefined;
  const scrolled = [...part.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
  for (const open of part.querySelectorAll('details[open][id]')) fresh.querySelector('#' + CSS.escape(open.id))?.setAttribute('open', '');
  part.replaceChildren(...fresh.childNodes);
  [...part.querySelectorAll('.scroll')].forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
  if (active) part.querySelector(active)?.focus({ preventScroll: true });
}

async function update() {
  const answer = await fetch(location.href, { headers: { '${FOLLOWS}': '1', ...(tag ? { 'if-none-match': tag } : {}) }, cache: 'no-store', redirect: 'manual' });
  if (answer.status === 304) return;
  if (answer.type === 'opaqueredirect') { stopped = true; location.reload(); return; }
  if (!answer.ok) throw new Error(String(answer.status));
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
  tag = answer.headers.get('etag') || '';
  for (const part of document.querySelectorAll('[data-live]')) {
    const fresh = next.getElementById(part.id);
    if (!fresh || fresh.innerHTML === part.innerHTML) continue;
    if (isInUse(part)) tag = '';
    else replace(part, fresh);
  }
}

async function turn() {
  if (!stopped && !document.hidden) {
    try {
      await update();
      if (!stopped) say('Updates every few seconds.');
    } catch {
      tag = '';
      say('The server does not respond. This page may be out of date.');
    }
  }
  setTimeout(turn, EVERY_MS);
}

if (!stopped && follow) {
  follow.hidden = false;
  follow.addEventListener('click', () => {
    stopped = !stopped;
    follow.textContent = stopped ? 'Resume updating' : 'Stop updating';
    say(stopped ? 'Updating stopped.' : 'Updates every few seconds.');
  });
  say('Updates every few seconds.');
  setTimeout(turn, EVERY_MS);
}
`;
