/** Charts and tables as a real browser draws them: no word leaves its picture, and no column is lost on a phone. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { curveSvg } from '../../../src/cli/rollout/curve.ts';
import type { Played } from '../../../src/rollout/simulate.ts';
import { planChart } from '../../../src/server/pages/chart.ts';
import { STYLE } from '../../../src/server/pages/style.ts';
import { LOOKS, type Look, openBrowser, openPage, type Page } from './browser.ts';
import { TestFleet, TOKEN } from './fleet.ts';

let site: TestFleet;
let browser: Browser;

before(async () => {
  site = await (await (await new TestFleet().fill(300)).disturb()).start();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
});

/** The words of the pictures on a page that stick out of them. */
const outside = (page: Page): Promise<readonly string[]> =>
  page.evaluate(() => {
    type Box = Readonly<{ left: number; right: number; top: number; bottom: number }>;
    type Node = Readonly<{ textContent: string; getBoundingClientRect(): Box; querySelectorAll(what: string): Node[] }>;
    const { document } = globalThis as unknown as { document: Node };
    const isDrawn = ({ left, right }: Box): boolean => right > left;
    return [...document.querySelectorAll('svg')].flatMap((svg) => {
      const frame = svg.getBoundingClientRect();
      const isOut = ({ left, right, top, bottom }: Box): boolean =>
        left < frame.left - 0.5 || right > frame.right + 0.5 || top < frame.top - 0.5 || bottom > frame.bottom + 0.5;
      return [...svg.querySelectorAll('text')]
        .filter((one) => isDrawn(one.getBoundingClientRect()) && isOut(one.getBoundingClientRect()))
        .map(({ textContent }) => textContent);
    });
  });

const played = (brakeAt: number): Pick<Played, 'samples' | 'braked'> => ({
  samples: [0, 600].map((at) => ({ at, waiting: 0, inFlight: 0, rebooting: 0, updated: 0, failed: 0 })),
  braked: { at: brakeAt, reason: 'many failed' },
});

test('the words of a played rollout stay in its picture, wherever the brake is pulled and however large the fleet', async () => {
  const { context, page } = await openPage(browser, 'light');
  for (const at of [0, 5, 299, 301, 590, 600])
    for (const hosts of [1, 1_000_000]) {
      await page.setContent(curveSvg(played(at), hosts));
      assert.deepEqual(await outside(page), [], `brake at ${at} of 600, ${hosts} hosts`);
    }
  await context.close();
});

for (const look of Object.keys(LOOKS) as Look[])
  test(`the words of a plan stay in its picture, however large the fleet (${look})`, async () => {
    const { context, page } = await openPage(browser, look);
    const begin = Date.UTC(2030, 0, 1);
    for (const machines of [0, 1, 99_999, 1_000_000])
      for (const hours of [1, 40, 4000]) {
        const plan = [0, machines].map((value, at) => [begin + at * hours * 3_600_000, value] as const);
        const chart = planChart(plan, plan, machines, 'a plan');
        await page.setContent(`<style>${STYLE}</style><main><section class="sheet">${chart.html}</section></main>`);
        assert.deepEqual(await outside(page), [], `${machines} machines over ${hours} h`);
      }
    await context.close();
  });

test('a phone shows every cell of every table that a wide screen shows', async () => {
  const cells = async (look: Look, path: string): Promise<readonly string[]> => {
    const { context, page } = await openPage(browser, look);
    await page.goto(`${site.url}/sign-in`);
    await page.getByLabel('Operator or viewer token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${site.url}/`);
    await page.goto(`${site.url}${path}`);
    // What is cut short on purpose, an id, is told by its link.
    const seen = await page.evaluate(() => {
      type Cell = Readonly<{
        textContent: string;
        getBoundingClientRect(): Readonly<{ left: number; right: number; width: number }>;
      }>;
      const { document, innerWidth } = globalThis as unknown as {
        document: { querySelectorAll(what: string): Iterable<Cell> };
        innerWidth: number;
      };
      return [...document.querySelectorAll('tbody th, tbody td')]
        .filter((one) => one.textContent.trim() !== '')
        .map((one) => {
          const { left, right, width } = one.getBoundingClientRect();
          return {
            text: one.textContent.trim().replace(/\s+/g, ' ').slice(0, 8),
            isSeen: width > 1 && left >= 0 && right <= innerWidth,
          };
        });
    });
    assert.deepEqual(
      seen.filter(({ isSeen }) => !isSeen),
      [],
      `${path} (${look})`,
    );
    await context.close();
    return seen.map(({ text }) => text);
  };
  for (const path of ['/', '/rollouts', '/rollouts/stable', '/locks', '/audit', '/machines'])
    assert.deepEqual(await cells('phone', path), await cells('light', path), path);
});
