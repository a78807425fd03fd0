//! A collector that refuses for a while: how long the tracker waits, and what its tabs keep for each other meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./collector.ts";
import { say, shops, spooled, until } from "./browser.ts";

const shop = shops();
const quiet = 'data-push="off"';

test(
  "each refusal doubles the wait: half a second to one, one to two, … and no longer than 32 to 64 s",
  shop({}, async ({ collector, context }) => {
    collector.pages["/"] = page(quiet);
    collector.answers = Array.from({ length: 9 }, () => ({ status: 503 }));
    const view = await context.newPage();
    await view.clock.install();
    await view.addInitScript(() => {
      const { fetch } = window;
      const waits: number[] = [];
      let refused_at: number | undefined;
      Object.assign(window, {
        waits,
        async fetch(...request: Parameters<typeof fetch>) {
          if (!String(request[0]).includes("/v1/events")) return fetch(...request);
          if (refused_at !== undefined) waits.push(performance.now() - refused_at);
          const answer = await fetch(...request);
          refused_at = performance.now();
          return answer;
        },
      });
    });
    await view.goto(collector.base);
    await view.clock.pauseAt(Date.now() + 60_000);
    await say(view, "track", "add_to_cart");
    const least_ms = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000];
    // The page's own clock tells how long it waited, however late an answer reaches it while that clock is driven.
    await until(async () => {
      await view.clock.runFor(2_000);
      return collector.posts.length == least_ms.length + 1;
    }, "the last refusal");
    const waits = await view.evaluate(() => (window as unknown as { waits: number[] }).waits);
    for (const [n, least] of least_ms.entries()) {
      assert.ok(waits[n]! >= least && waits[n]! <= 2 * least + 10, `wait ${n + 1} of ${waits}`);
    }
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
