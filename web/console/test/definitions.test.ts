//! The list of definitions, in Chromium against the mock.
import assert from "node:assert/strict";
import { test } from "node:test";
import { launch } from "./browser.ts";
import { startMock } from "./mock.ts";
import { World } from "./world.ts";

test("definitions are listed, those that wait on top", async () => {
  const [browser, mock] = await Promise.all([launch(), startMock(new World(7, 20))]);
  try {
    const page = await browser.newPage();
    await page.goto(`${mock.url}/#/features`);
    const rows = page.locator(".table tbody tr");
    await rows.first().waitFor();
    assert.match((await rows.first().textContent()) ?? "", /product_view_count.*2.*Pending.*Looks back exactly/);
    assert.match((await rows.nth(1).textContent()) ?? "", /loyal.*1.*Broken.*Left out: loyal@1:4:10: `user.base` is not a feature/);
    assert.match((await page.locator("p.note[role=status]").textContent()) ?? "", /not in force: keen@2:3:8: `user.base_1h`/);
    assert.match((await rows.nth(3).textContent()) ?? "", /sale_view_count.*3.*Live, backfill 42 %.*From .* on, 27 % of its window/);
  } finally {
    await browser.close();
    await mock.close();
  }
});
