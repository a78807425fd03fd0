//! The latency page in Chromium: what is over its share, and what a silence is measured by.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launch } from "./browser.ts";
import { startMock, type Mock } from "./mock.ts";
import { World } from "./world.ts";

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

async function withBudget(run: (mock: Mock, open: () => Promise<Page>) => Promise<void>): Promise<void> {
  const mock = await startMock(new World(17, 3));
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  try {
    await run(mock, async () => {
      const page = await context.newPage();
      await page.goto(`${mock.url}/#/budget`);
      return page;
    });
  } finally {
    await context.close();
    await mock.close();
  }
}

test("a stage over its share is red and named; over it by too few measurements, its bar alone is red", () =>
  withBudget(async (mock, open) => {
    const budget = mock.world.budget();
    const over = { ...budget.stages[2]!, p99_ms: 14, headroom_p99_ms: -4 };
    mock.world.budget = () => ({ ...budget, stages: [{ ...over, name: "machine", count: 100 }, { ...over, name: "decide", count: 99, p50_ms: 0.4 }, { ...over, name: "push", p99_ms: 1, headroom_p99_ms: null }] });
    const page = await open();
    const row = (name: string) => page.locator(".stages tr", { has: page.getByRole("rowheader", { name }) });
    await row("Understand").waitFor();
    const red = async (name: string) => [await row(name).locator(".over").count(), await row(name).locator(".minus").count()];
    assert.deepEqual([await red("Understand"), await red("Decide"), await red("Send")], [[1, 1], [1, 0], [0, 0]]);
    assert.match((await page.locator(".over-note").textContent()) ?? "", /^Over their share: Understand \(stream\)\.$/);
    assert.deepEqual(
      await row("Understand").locator(".minus").evaluate((minus) => {
        const probe = document.createElement("p");
        probe.className = "bad";
        document.body.append(probe);
        return [getComputedStyle(minus).color === getComputedStyle(probe).color, getComputedStyle(minus).color === getComputedStyle(document.body).color];
      }),
      [true, false],
    );
  }));

test("the headline raises no alarm of fewer than 100 measurements, and says how many there are", () =>
  withBudget(async (mock, open) => {
    const budget = mock.world.budget();
    const none = { count: 0, p50_ms: 0, p99_ms: 0, p999_ms: 0, max_ms: 0, headroom_p99_ms: null };
    const late = { ...budget.silence!, p99_ms: 5_640, headroom_p99_ms: -5_490 };
    const page = await open();
    for (const [count, alarm, words] of [
      [1, false, "The slowest of 1 change was on the shopper’s screen within 5.64 s of the end of the silence; promised are 2 s for 99 of 100, which takes 100 measurements to tell."],
      [99, false, "The slowest of 99 changes so far was on the shopper’s screen within 5.64 s of the end of the silence; promised are 2 s for 99 of 100, which takes 100 measurements to tell."],
      [100, true, "99 of 100 changes are on the shopper’s screen within 5.64 s of the end of the silence; promised are 2 s."],
    ] as const) {
      mock.world.budget = () => ({ ...budget, total: { ...budget.total, ...none }, silence: { ...late, count } });
      await page.goto(`${mock.url}/#/budget`);
      await page.locator(".promise p", { hasText: words }).waitFor();
      assert.equal(await page.locator(".promise-track span").getAttribute("class"), alarm ? "over" : "few", `${count}`);
      await page.goto(`${mock.url}/#/overview`);
      await page.locator(alarm ? ".verdict-warn" : ".verdict-good, .verdict-note").waitFor();
      assert.equal(await page.getByText("The promise holds").count(), 0, "of which so few say little");
      await page.locator(".promise p", { hasText: words }).waitFor();
    }
  }));

test("where only silences were answered, their whole is the figure, and the rows of an act say that there was none", () =>
  withBudget(async (mock, open) => {
    const budget = mock.world.budget();
    const none = { count: 0, p50_ms: 0, p99_ms: 0, p999_ms: 0, max_ms: 0, headroom_p99_ms: null };
    mock.world.budget = () => ({ ...budget, total: { ...budget.total, ...none }, unexplained: { ...budget.unexplained, ...none } });
    const page = await open();
    await page.locator(".promise", { hasText: "71 ms of the end of the silence" }).waitFor();
    const row = (name: string) => page.locator(".stages tr", { has: page.getByRole("rowheader", { name }) });
    assert.match((await row("Notice a silence").textContent()) ?? "", /6\.4 ms of 50 ms/);
    assert.match((await row("From deadline to painted").textContent()) ?? "", /71 ms of 150 ms/);
    for (const name of ["From act to painted", "Unexplained"]) assert.equal(await row(name).locator(".none").textContent(), "no act");
  }));
