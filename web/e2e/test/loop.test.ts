//! The loop in Chromium: a cart stalls, the page changes, once; and how long the way to the pixel takes.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launch, openLab, visit } from "./browser.ts";
import { Server, until } from "./server.ts";

const PAGES = Number(process.env.MIDSESSION_LOOP_PAGES ?? 4);
const SILENT_PAGES = 10;
const ROUNDS = Number(process.env.MIDSESSION_LOOP_ROUNDS ?? 2_000);
const SILENCES = Number(process.env.MIDSESSION_LOOP_SILENCES ?? 200);

const rule = (name: string, trigger: string, when: string) => `
[[intervention]]
name = "${name}"
trigger = { ${trigger} }
when = '${when}'
cap = ["1000000 per session"]
expires = "60s"
slot = "${name}"
payload = { title = "${name}", dismiss = "No" }
`;

const STALLED = `
[[intervention]]
name = "stalled"
trigger = { idle = "20s" }
when = 'session.cart_value > 80.0 && session.order_count == 0'
cap = ["1 per session"]
expires = "60s"
slot = "nudge"
payload = { title = "Still thinking?", dismiss = "No" }
`;

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const add = (page: Page, total: number) =>
  page.evaluate(
    (total) =>
      (window as any).midsession("track", "add_to_cart", {
        products: [{ id: "p1", price: total, currency: "EUR" }],
        cart: { id: "c1", total_value: total, currency: "EUR" },
      }),
    total,
  );
const cards = (page: Page) => page.locator("midsession-card section").count();

/** Server-side: which decisions were painted, by visitor. */
const paints = (server: Server) => {
  const seen = new Map<string, number>();
  for (const line of server.log("decision")) {
    if (line.schema === "decision-reaction" && line.value.name === "painted") {
      seen.set(line.value.visitor_id, (seen.get(line.value.visitor_id) ?? 0) + 1);
    }
  }
  return seen;
};

test("a cart of 90 left alone for 20 s is answered once; a purchase, a reload and a second tab change that", async () => {
  const server = await Server.start({ config: STALLED, args: ["--accept-any-key"] });
  try {
    const once = async (run: number) => {
      const quiet = await visit(browser);
      const buyer = await visit(browser);
      const twice = await visit(browser);
      const page = await openLab(server, quiet, `quiet-${run}`);
      const bought = await openLab(server, buyer, `buyer-${run}`);
      let first = await openLab(server, twice, `twice-${run}`);
      await Promise.all([add(page, 90), add(bought, 90), add(first, 90)]);
      await bought.evaluate(() =>
        (window as any).midsession("track", "transaction", {
          order: { id: "o1", revenue: 90, currency: "EUR" },
          products: [{ id: "p1", price: 90, currency: "EUR" }],
        }),
      );
      const second = await openLab(server, twice);
      await Promise.race([
        first.locator("midsession-card section").waitFor({ timeout: 180_000 }),
        second.locator("midsession-card section").waitFor({ timeout: 180_000 }),
      ]);
      await page.locator("midsession-card section").waitFor({ timeout: 180_000 });
      // Shown: it stays one after a reload, and over both tabs.
      await first.reload({ waitUntil: "domcontentloaded" });
      first = twice.pages()[0]!;
      await page.waitForTimeout(3_000);
      assert.equal(await cards(page), 1, `run ${run}: the stalled cart`);
      assert.equal(await cards(bought), 0, `run ${run}: bought first`);
      assert.ok((await cards(first)) + (await cards(second)) <= 1, `run ${run}: one card over both tabs`);
      await Promise.all([quiet.close(), buyer.close(), twice.close()]);
    };
    // Five at a time: they mostly wait, and more browsers at once would wait for each other.
    for (let run = 0; run < 10; run += 5) await Promise.all([0, 1, 2, 3, 4].map((more) => once(run + more)));
    const painted = await until(() => {
      const seen = paints(server);
      return seen.size >= 20 && seen;
    }, "all paints on the log");
    for (let run = 0; run < 10; run += 1) {
      assert.equal(painted.get(`quiet-${run}`), 1);
      assert.equal(painted.get(`twice-${run}`), 1, "reload and second tab: one in all");
      assert.equal(painted.get(`buyer-${run}`), undefined);
    }
  } finally {
    await server.stop();
  }
});

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(values.length * share) - 1)]!;

/** Runs rounds on parallel pages: each adds to the cart, waits for its paint, and goes on. */
const rounds = async (server: Server, total: number, name: string, count: number) => {
  const pause = 20;
  const contexts = await Promise.all([...Array(count).keys()].map(() => visit(browser)));
  const pages: Page[] = [];
  for (const [index, context] of contexts.entries()) pages.push(await openLab(server, context, `${name}-${index}`));
  await Promise.all(
    pages.map((page) =>
      page.evaluate(
        async ([count, pause]) => {
          const m = (window as any).midsession;
          for (let round = 0; round < count!; round += 1) {
            await new Promise<void>((next, fail) => {
              const late = setTimeout(() => fail(new Error(`round ${round} was not painted`)), 120_000);
              m("on", "painted", () => {
                clearTimeout(late);
                // The slot's next card waits until this one is gone.
                const hosts = document.querySelectorAll("midsession-card, [data-midsession-slot]");
                const close = () => hosts.forEach((host) => host.shadowRoot?.querySelector<HTMLElement>(".x")?.click());
                setTimeout(() => (close(), next()), pause);
              });
              const value = 90 + round;
              m("track", "add_to_cart", {
                products: [{ id: "p1", price: value, currency: "EUR" }],
                cart: { id: "c1", total_value: value, currency: "EUR" },
              });
            });
          }
        },
        [Math.ceil(total / count), pause],
      ),
    ),
  );
  const wanted = Math.ceil(total / count) * count;
  const lines = await until(() => {
    const found = server.log("decision").filter((line) => line.schema === "decision-reaction" && line.value.name === "painted");
    return found.length >= wanted && found;
  }, "all paints on the log");
  await Promise.all(contexts.map((context) => context.close()));
  return lines.map((line) => line.value.properties as Record<string, number>);
};

/** From event to changed pixel, as the product promises it. */
const PROMISE_P99_MS = 2_000;
const figures: Record<string, unknown> = {};
after(() => {
  if (process.env.MIDSESSION_FIGURES) writeFileSync(process.env.MIDSESSION_FIGURES, JSON.stringify(figures, null, 1));
});

test("event to painted, by the browser's clock", async () => {
  const config = rule("added", 'event = "add_to_cart"', "session.cart_value > 80.0");
  const server = await Server.start({ config, args: ["--accept-any-key"] });
  try {
    const measured = await rounds(server, ROUNDS, "event", PAGES);
    const times = measured.map((one) => one.sent_to_painted_ms!).filter((ms) => ms !== undefined);
    assert.equal(times.length, measured.length, "every round was triggered from its own page");
    const budget = await server.ask("/v1/budget");
    figures.event_to_painted = { rounds: times.length, pages: PAGES, p50_ms: percentile(times, 0.5), p99_ms: percentile(times, 0.99), max_ms: Math.max(...times) };
    figures.budget = [...budget.stages, budget.total, budget.network, budget.unexplained].map((stage: any) => ({
      stage: stage.name, count: stage.count, p50_ms: stage.p50_ms, p99_ms: stage.p99_ms,
    }));
    console.log(JSON.stringify(figures.event_to_painted), JSON.stringify(figures.budget));
    for (const stage of budget.stages) assert.ok(stage.count > 0, `stage ${stage.name} was measured`);
    // Not a measure of speed, which depends on the machine: past the promise itself something is broken on any.
    assert.ok(percentile(times, 0.99) < PROMISE_P99_MS, `P99 ${percentile(times, 0.99)} ms`);
  } finally {
    await server.stop();
  }
});

test("the deadline of a silence to painted", async () => {
  const config = rule("silent", 'idle = "2s"', "session.cart_value > 80.0");
  const server = await Server.start({ config, args: ["--accept-any-key"] });
  try {
    const measured = await rounds(server, SILENCES, "silence", SILENT_PAGES);
    const times = measured.map((one) => one.deadline_to_painted_ms!).filter((ms) => ms !== undefined);
    assert.equal(times.length, measured.length);
    figures.deadline_to_painted = { rounds: times.length, p50_ms: percentile(times, 0.5), p95_ms: percentile(times, 0.95), max_ms: Math.max(...times) };
    console.log(JSON.stringify(figures.deadline_to_painted));
    assert.ok(percentile(times, 0.99) < PROMISE_P99_MS, `P99 ${percentile(times, 0.99)} ms`);
  } finally {
    await server.stop();
  }
});
