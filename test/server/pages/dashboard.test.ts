/** The pages in a real Chromium: what operators do on them, that they follow the fleet, and that everybody can use them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { faultsOf, LOOKS, type Look, openBrowser, openPage, type Page, PICTURES } from './browser.ts';
import { idOf, TestFleet, TOKEN } from './fleet.ts';

/** How often a page asks for itself again. */
const POLL_MS = 5000;

let site: TestFleet;
let browser: Browser;

before(async () => {
  site = await (await (await new TestFleet().fill(1200)).disturb()).start();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

async function signIn(page: Page): Promise<void> {
  await page.goto(`${site.url}/`);
  await page.getByLabel('Operator or viewer token').fill(TOKEN);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${site.url}/`);
}

/** Every page, by the name of its picture. */
const PAGES: Readonly<Record<string, string>> = {
  overview: '/',
  rollouts: '/rollouts',
  rollout: '/rollouts/stable',
  pause: '/rollouts/stable/pause',
  abort: '/rollouts/stable/abort',
  locks: '/locks',
  free: `/locks/web/${idOf(1)}`,
  failures: '/failures',
  audit: '/audit',
  machines: '/machines',
  'machines-found': '/machines?version=2.1.0&state=idle',
  machine: `/machines/${idOf(4)}`,
  'machine-missing': `/machines/${'0'.repeat(32)}`,
};

for (const look of Object.keys(LOOKS) as Look[])
  test(`every page is usable by everybody, fits and keeps the console quiet (${look})`, async () => {
    const { context, page, complaints } = await openPage(browser, look);
    const check = async (name: string) => {
      await page.screenshot({ path: join(PICTURES, `${name}-${look}.png`), fullPage: true });
      // What a phone shows are the same elements in the same colours.
      if (look !== 'phone') assert.deepEqual(await faultsOf(page), [], name);
      const wide = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      assert.ok(wide <= 0, `${name} is ${wide} pixels too wide`);
    };
    await page.goto(`${site.url}/sign-in`);
    await check('sign-in');
    await signIn(page);
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(`${site.url}${path}`);
      await check(name);
    }
    // That a machine is missing is an answer with the status 404, of which the browser tells.
    assert.deepEqual(
      complaints.filter((one) => !one.includes('404')),
      [],
    );
    await context.close();
  });

test('nobody sees a page without the token, and signing out ends it', async () => {
  const { context, page, complaints } = await openPage(browser, 'light');
  await page.goto(`${site.url}/machines`);
  assert.equal(page.url(), `${site.url}/sign-in`);
  await page.getByLabel('Operator or viewer token').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('Wrong token.').waitFor();
  assert.deepEqual(await context.cookies(), []);
  await signIn(page);
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict']);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(`${site.url}/sign-in`);
  await page.goto(`${site.url}/`);
  assert.equal(page.url(), `${site.url}/sign-in`);
  assert.deepEqual(
    complaints.filter((one) => !one.includes('403')),
    [],
  );
  await context.close();
});

test('what happens in the fleet appears without a hand on the page, and focus stays where it was', async () => {
  const { context, page, complaints } = await openPage(browser, 'light');
  await page.clock.install();
  await signIn(page);
  await page.getByText('Updates every few seconds').waitFor();
  await page.locator('#to-stable').focus();
  await site.fleet.pullBrake('stable', 'six machines failed', site.now);
  await page.clock.runFor(POLL_MS);
  await page.getByRole('heading', { name: /The rollout of 2.1.0 in stable is stopped/ }).waitFor();
  await page.locator('#rollouts .badge.bad', { hasText: 'stopped' }).waitFor();
  assert.equal(await page.evaluate('document.activeElement.id'), 'to-stable');
  await page.screenshot({ path: join(PICTURES, 'overview-stopped-light.png'), fullPage: true });
  assert.deepEqual(await faultsOf(page), []);
  await site.fleet.releaseBrake('stable');
  await page.clock.runFor(POLL_MS);
  await page.getByRole('heading', { name: /is stopped/ }).waitFor({ state: 'detached' });
  assert.deepEqual(complaints, []);
  await context.close();
});

for (const javaScriptEnabled of [true, false])
  test(`an operator pauses and resumes a rollout and frees a lock ${javaScriptEnabled ? 'with the keyboard' : 'without JavaScript'}`, async () => {
    const { context, page, complaints } = await openPage(browser, 'light', { javaScriptEnabled });
    await signIn(page);
    await page.locator('#to-stable').press('Enter');
    await page.getByRole('link', { name: 'Pause…' }).press('Enter');
    await page.getByLabel('Reason').fill('it breaks <b>printing</b>');
    await page.keyboard.press('Enter');
    await page.getByText('paused by an operator: it breaks <b>printing</b>').waitFor();
    assert.match((await site.fleet.ledger('stable', site.now)).braked?.reason ?? '', /breaks/);
    await page.getByRole('link', { name: 'Resume…' }).press('Enter');
    await page.getByRole('button', { name: 'Resume it' }).press('Enter');
    await page.getByRole('link', { name: 'Pause…' }).waitFor();
    assert.equal((await site.fleet.ledger('stable', site.now)).braked, undefined);
    await site.locks.take('printers', 'abc123', site.now);
    await page.getByRole('link', { name: 'Locks' }).press('Enter');
    await page.locator('#free-printers-abc123').press('Enter');
    await page.getByRole('button', { name: 'Free it' }).press('Enter');
    await page.waitForURL(`${site.url}/locks`);
    assert.deepEqual((await site.locks.show('printers', site.now)).holders, []);
    assert.deepEqual(complaints, []);
    await context.close();
  });

test('a machine is found by how its id begins, and by what it runs', async () => {
  const { context, page } = await openPage(browser, 'phone');
  await signIn(page);
  await page.goto(`${site.url}/machines`);
  await page.getByLabel('Id starts with').fill(idOf(9).slice(0, 10).toUpperCase());
  await page.keyboard.press('Enter');
  await page.getByText('1 shown of 1 searched.').waitFor();
  await page.locator('#found a').click();
  await page.getByRole('heading', { name: 'default-0009.default' }).waitFor();
  await page.getByText(idOf(9)).waitFor();
  await page.goto(`${site.url}/machines`);
  await page.getByLabel('Name or address').fill('DB-0016');
  await page.keyboard.press('Enter');
  await page.getByText('1 shown of').waitFor();
  await page.goto(`${site.url}/machines?version=2.1.0`);
  assert.equal(await page.locator('#found tbody tr').count(), 50);
  const first = await page.locator('#found tbody th').first().textContent();
  await page.getByRole('link', { name: 'Next' }).click();
  await page.getByRole('link', { name: 'First page' }).waitFor();
  assert.notEqual(await page.locator('#found tbody th').first().textContent(), first);
  const runs = await page.locator('#found tbody td:first-of-type').allTextContents();
  assert.deepEqual(
    runs.filter((one) => !one.startsWith('2.1.0')),
    [],
  );
  await context.close();
});

test('a page whose server does not answer says so, and that it is well again', async () => {
  const { context, page } = await openPage(browser, 'light');
  await page.clock.install();
  await signIn(page);
  await page.getByText('Updates every few seconds').waitFor();
  await page.route('**/*', (route) => route.abort());
  await page.clock.runFor(POLL_MS);
  await page.getByText('The server does not respond. This page may be out of date.').waitFor();
  await page.unroute('**/*');
  await page.clock.runFor(POLL_MS);
  await page.getByText('Updates every few seconds').waitFor();
  await page.getByRole('button', { name: 'Stop updating' }).press('Enter');
  await page.getByText('Updating stopped.').waitFor();
  await context.close();
});

test('the first stop of the keyboard leads past the navigation, and can be seen', async () => {
  const { context, page } = await openPage(browser, 'dark');
  await signIn(page);
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to content' });
  assert.ok(((await skip.boundingBox())?.x ?? -1) >= 0);
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate('document.activeElement.id'), 'content');
  await page.keyboard.press('Tab');
  const outline = await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle');
  assert.equal(outline, 'solid');
  await context.close();
});
