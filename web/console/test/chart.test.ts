//! The chart of events in Chromium: none of its words is cut off.
import assert from "node:assert/strict";
import { test } from "node:test";
import { launch } from "./browser.ts";
import { startMock } from "./mock.ts";
import { World } from "./world.ts";

test("the last time of day has room where it stands at the very end", async () => {
  const [browser, mock] = [await launch(), await startMock(new World(17, 3))];
  try {
    const overview = mock.world.overview.bind(mock.world);
    // A time that is marked at any width.
    const end_ms = Date.UTC(2026, 10, 28, 22, 20);
    mock.world.overview = (now_ms) => {
      const now = overview(now_ms);
      return { ...now, rates: now.rates.map((rate, index, all) => ({ ...rate, t_ms: end_ms - 1_000 * (all.length - 1 - index) })) };
    };
    for (const width of [1440, 390]) {
      const page = await browser.newPage({ viewport: { width, height: 900 } });
      await page.goto(`${mock.url}/#/overview`);
      const canvas = page.locator(".chart canvas");
      await canvas.waitFor();
      await page.waitForTimeout(300);
      const [ink, cut] = await canvas.evaluate((canvas: HTMLCanvasElement) =>
        [canvas.width, 1].map((width) => canvas.getContext("2d")!.getImageData(canvas.width - width, 0, width, canvas.height).data.filter((value, index) => index % 4 === 3 && value > 0).length),
      );
      assert.ok(ink! > 1_000, "something is drawn");
      assert.equal(cut, 0, `${width} px: words end at the edge`);
      await page.close();
    }
  } finally {
    await browser.close();
    await mock.close();
  }
});
