//! A page that nobody looked at for a while: what it showed, and what it asks when it listens again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./collector.ts";
import { answered, card, look, say, shops, until } from "./browser.ts";

const shop = shops();

test(
  "connected again, a tab keeps what it showed and asks about all of it; what was taken back meanwhile goes",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    const older = collector.intervene({ slot: "a", payload: { title: "Older" } });
    const waiting = collector.intervene({ slot: "a", payload: { title: "Waiting" } });
    const newest = collector.intervene({ slot: "b", payload: { title: "Newest" } });
    const closed = collector.intervene({ slot: "c", payload: { title: "Closed" } });
    await until(() => collector.named("painted").length == 3, "the reports");
    await view.getByRole("region", { name: "Closed" }).getByRole("button", { name: "Close" }).click();
    await look(view, true);
    await view.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    await until(() => collector.pushes.size == 0, "the push to close");
    await look(view, false);
    await until(() => collector.opened.length == 2, "a new connection");
    const ids = (frames: { decision_id: string }[]) => frames.map(({ decision_id }) => decision_id).sort();
    assert.deepEqual(collector.opened[1]!.split(",").sort(), ids([older, waiting, newest, closed]));
    const titles = async () => (await view.getByRole("heading", { level: 2 }).allTextContents()).sort();
    assert.deepEqual(await titles(), ["Newest", "Older"]);
    await until(() => collector.pushes.size == 1, "the push");
    for (const { decision_id } of [older, newest]) collector.send("retract", { decision_id, reason: "overtaken" });
    await until(async () => `${await titles()}` == "Waiting", "the cards to go, and the one that waited to come");
    await until(() => collector.named("painted").length == 4, "its report");
    assert.equal(collector.named("dismiss").length, 1);
  }),
);

test(
  "what was caused before the page was left has no way to measure once it is back; what is caused then has",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    const before = (await say(view, "track", "add_to_cart")) as string;
    await until(() => collector.named("add_to_cart").length == 1, "the cart");
    await look(view, true);
    await view.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    await until(() => collector.pushes.size == 0, "the push to close");
    await look(view, false);
    await until(() => collector.pushes.size == 1, "the push");
    const after = (await say(view, "track", "add_to_cart")) as string;
    collector.intervene({ slot: "a", rule: "before", cause_event_id: before });
    collector.intervene({ slot: "b", rule: "after", cause_event_id: after });
    await until(() => collector.named("painted").length == 2, "the reports");
    const measured = collector.named("painted").map(({ properties }) => [properties!.rule, properties!.sent_to_painted_ms !== undefined]);
    assert.deepEqual(Object.fromEntries(measured), { before: false, after: true });
  }),
);

test(
  "only the last 32 are asked about: an address has an end",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    const frames = Array.from({ length: 40 }, (_, n) => collector.intervene({ slot: `s${n}` }));
    await until(() => collector.named("painted").length == 40, "the reports");
    await view.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    await look(view, false);
    await until(() => collector.opened.length == 2, "a new connection");
    assert.deepEqual(collector.opened[1]!.split(",").sort(), frames.slice(8).map((frame) => frame.decision_id).sort());
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
    await answered(view, collector.posts.length);
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
