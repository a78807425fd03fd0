//! A collector that refuses for a while: how long the tracker waits, and what its tabs keep for each other meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./collector.ts";
import { say, settle, shops, spooled, until } from "./browser.ts";

const shop = shops();
const quiet = 'data-push="off"';

test(
  "each refusal doubles the wait: half a second to one, one to two, … and no longer than 32 to 64 s",
  shop({}, async ({ collector, context }) => {
    collector.pages["/"] = page(quiet);
    collector.answers = Array.from({ length: 9 }, () => ({ status: 503 }));
    const view = await context.newPage();
    await view.clock.install();
    await view.goto(collector.base);
    await view.clock.pauseAt(Date.now() + 60_000);
    await say(view, "track", "add_to_cart");
    for (const [refused, wait_ms] of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000].entries()) {
      await until(() => collector.posts.length == refused + 1, `refusal ${refused + 1}`);
      // Until the page has heard of it.
      await settle();
      await view.clock.runFor(wait_ms - 10);
      await settle();
      assert.equal(collector.posts.length, refused + 1, `less than ${wait_ms} ms after refusal ${refused + 1}`);
      await view.clock.runFor(wait_ms + 20);
    }
    await until(() => collector.posts.length == 9, "the last refusal");
  }),
);

test(
  "a tab whose stored events another one has overwritten stores them again",
  shop({}, async ({ collector, open }) => {
    collector.answers = Array.from({ length: 9 }, () => ({ status: 503, headers: { "retry-after": "600" } }));
    collector.pages["/"] = page(quiet);
    collector.pages["/plain"] = "<!doctype html><title>Plain</title>";
    const [view, other] = [await open(), await open("/plain")];
    const id = await say(view, "track", "add_to_cart");
    await until(async () => (await spooled(view)).length == 1, "storage");
    // Read before the first tab stored, written after.
    await other.evaluate(() => (localStorage._ms_queue = JSON.stringify(['{"event_id":"theirs"}'])));
    await until(async () => (await spooled(view)).length == 2, "both");
    assert.deepEqual((await spooled(view)).map((event) => JSON.parse(event).event_id).sort(), [id, "theirs"].sort());
  }),
);
