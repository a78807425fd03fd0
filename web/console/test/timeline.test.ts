//! A session's timeline in Chromium: the seam of a login, what was late or joined, features before and after.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { changedNames, isBeforeSeam } from "../src/entries.ts";
import type { Entry } from "../src/api.ts";
import { launch } from "./browser.ts";
import { startMock } from "./mock.ts";
import { World } from "./world.ts";

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

async function withSession(options: { width: number; scheme: "light" | "dark" }, run: (page: Page) => Promise<void>): Promise<void> {
  const world = new World(21, 20);
  const mock = await startMock(world);
  const context = await browser.newContext({ colorScheme: options.scheme, viewport: { width: options.width, height: 900 }, reducedMotion: "reduce" });
  try {
    const page = await context.newPage();
    await page.goto(`${mock.url}/#/sessions/${world.sessions[3]?.session_id}`);
    await page.getByRole("listbox", { name: /Timeline/ }).waitFor();
    await run(page);
  } finally {
    await context.close();
    await mock.close();
  }
}

const entry = (kind: Entry["kind"], shopper?: string): Entry => ({
  partition: 0,
  offset: 0,
  stamp_ms: 0,
  occurred_at_ms: 0,
  kind,
  name: kind,
  summary: "",
  features: { a: 1, b: 2 },
  changed: [],
  ...(shopper ? { shopper } : {}),
});

describe("timeline", () => {
  test("before the seam is what the visitor did, and nothing else", () => {
    const story = [entry("event", "visitor:v1"), entry("login", "user:u1"), entry("event", "user:u1"), entry("unmerge", "visitor:v1"), entry("event", "visitor:v1")];
    assert.deepEqual(
      story.map((_, index) => isBeforeSeam(story, index)),
      [true, false, false, false, false],
    );
    assert.equal(isBeforeSeam([entry("event"), entry("login")], 0), false, "an older server does not say whose it was");
    assert.deepEqual([...changedNames({ ...entry("event"), features: { a: 1, b: 3 } }, entry("event"))], ["b"]);
  });

  test("how long a login takes stands on the latency page", () =>
    withSession({ width: 1440, scheme: "light" }, async (page) => {
      await page.evaluate(() => (location.hash = "#/budget"));
      const row = page.locator(".stages tr", { hasText: "From login to known" });
      await row.waitFor();
      assert.match((await row.textContent()) ?? "", /13 ms of 20 ms/);
    }));

  for (const width of [1440, 390])
    for (const scheme of ["light", "dark"] as const)
      test(`the seam, late and joined events at ${width} px, ${scheme}`, () =>
        withSession({ width, scheme }, async (page) => {
          const rows = page.locator(".entry");
          const list = page.getByRole("listbox", { name: /Timeline/ });
          await list.focus();
          await page.keyboard.press("Home");
          await rows.first().waitFor();
          const marks = async (index: number) => (await page.locator(`#e-${index} .mark`).allTextContents()).join(", ");
          assert.equal(await marks(0), "as visitor");
          assert.equal(await marks(2), "as visitor, joined");
          assert.equal(await marks(3), "as visitor, late");
          assert.equal(await marks(5), "sent twice, as visitor");
          assert.equal(await marks(6), "known from here");
          for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowDown");
          const seam = page.locator(".seam");
          await seam.waitFor();
          const text = (await seam.textContent()) ?? "";
          assert.match(text, /partition 3/);
          assert.match(text, /u-ada, at home in partition 11/);
          assert.match(text, /log place 3\/48105/);
          assert.match(text, /6 entries as the visitor/);
          await page.keyboard.press("ArrowDown");
          await page.locator(".detail-head .note", { hasText: "Counted for user u-ada" }).waitFor();
          assert.equal(await marks(7), "");
          // Nothing is wider than the screen.
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
          // Before and after: the cart was empty, and is worth something.
          for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowUp");
          const cart = page.locator(".features tr", { hasText: "Cart is worth" }).locator("mark");
          await cart.waitFor();
          assert.match((await cart.textContent()) ?? "", /129\.00/);
          assert.equal(await cart.locator("s").count(), 1, "what it was before");
        }));
});
