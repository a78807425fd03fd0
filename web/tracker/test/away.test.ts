//! A page that nobody looked at for a while: what it showed, and what it asks when it listens again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./collector.ts";
import { card, look, shops, until } from "./browser.ts";

const shop = shops();

test(
  "connected again, a tab asks about the newest card on show; what else it showed or kept waiting may be stale and goes",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    collector.intervene({ slot: "a", payload: { title: "Older" } });
    const waiting = collector.intervene({ slot: "a", payload: { title: "Waiting" } });
    const { decision_id } = collector.intervene({ slot: "b", payload: { title: "Newest" } });
    collector.intervene({ slot: "c", payload: { title: "Closed" } });
    await until(() => collector.named("painted").length == 3, "the reports");
    await view.getByRole("region", { name: "Closed" }).getByRole("button", { name: "Close" }).click();
    await look(view, true);
    await view.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    await until(() => collector.pushes.size == 0, "the push to close");
    await look(view, false);
    await until(() => collector.opened.length == 2, "a new connection");
    assert.equal(collector.opened[1], decision_id);
    assert.deepEqual(await view.getByRole("heading", { level: 2 }).allTextContents(), ["Newest"]);
    await until(() => collector.pushes.size == 1, "the push");
    collector.send("retract", { decision_id, reason: "overtaken" });
    await until(async () => (await card(view).count()) == 0, "the card to go");
    // Longer than the tab keeps what it has claimed from the others.
    await new Promise((done) => setTimeout(done, 5_500));
    collector.intervene(waiting);
    await until(() => collector.named("painted").length == 4, "what waited, still true");
    assert.equal(collector.named("dismiss").length, 1);
  }),
);

test(
  "a tab that was away for long gives its connection back, and takes it up when it is looked at",
  shop({}, async ({ collector, context }) => {
    collector.pages["/"] = page();
    const view = await context.newPage();
    await view.clock.install();
    await view.goto(collector.base);
    await until(() => collector.pushes.size == 1, "the push");
    await look(view, true);
    await view.clock.runFor(29_000);
    assert.equal(collector.pushes.size, 1);
    await view.clock.runFor(2_000);
    await until(() => collector.pushes.size == 0, "the push to close");
    await look(view, false);
    await until(() => collector.pushes.size == 1, "the push again");
  }),
);

test(
  "back/forward cache: a page that comes back shows no card of before, and reports nothing of it",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    collector.pages["/next"] = "<!doctype html><title>Next</title>";
    const view = await listen();
    await view.evaluate(() => ((window as { mark?: number }).mark = 1));
    collector.intervene();
    await until(() => collector.named("painted").length == 1, "the report");
    await view.goto(collector.base + "/next");
    await until(() => collector.pushes.size == 0, "the push to close");
    await view.evaluate(() => void setTimeout(() => history.back()));
    await until(() => view.evaluate(() => (window as { mark?: number }).mark).catch(() => 0), "the page from the cache");
    await until(() => collector.pushes.size == 1, "the push to stand again");
    assert.equal(await card(view).count(), 0);
    assert.equal(collector.opened.at(-1), undefined, "all that waits is wanted");
    collector.intervene({ payload: { title: "New" } });
    await until(() => collector.named("painted").length == 2, "the slot is free");
    assert.equal(collector.named("dismiss").length, 0);
  }),
);
