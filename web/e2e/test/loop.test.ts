//! The loop in Chromium: a cart stalls, the page changes, once; and how long the way to the pixel takes.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launch, openLab, visit } from "./browser.ts";
import { Server, until } from "./server.ts";

const PAGES = Number(process.env.MIDSESSION_LOOP_PAGES ?? 4);
const SILENT_PAGES = 10;
const ROUNDS = Number(process.env.MIDSESSION_LOOP_ROUNDS ?? 2_000);
/** Figures are told block by block too: a burst beside the test is seen in some of them, a fault of ours in all. */
const BLOCKS = 8;
const QUIET_ROUNDS = Number(process.env.MIDSESSION_LOOP_QUIET_ROUNDS ?? 400);
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

/** What a page measured of one round, and what the server told it. */
type Paint = Record<string, number>;

/** Each page adds to the cart, waits for its paint, closes the card, and goes on. */
const round = (page: Page, count: number) =>
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
    [count, 20],
  );

interface Plan {
  /** Rounds in all. */
  total: number;
  pages: number;
  blocks: number;
  /** What is done to each page's context before it opens. */
  spoil?: (context: BrowserContext) => Promise<unknown>;
}

/** Runs rounds on parallel pages, block after block; what was painted in each block, as the log has it. */
const rounds = async (server: Server, name: string, { total, pages: count, blocks, spoil }: Plan): Promise<Paint[][]> => {
  const contexts = await Promise.all([...Array(count).keys()].map(() => visit(browser)));
  const pages: Page[] = [];
  for (const [index, context] of contexts.entries()) {
    await spoil?.(context);
    pages.push(await openLab(server, context, `${name}-${index}`));
    // Nobody stands between the page and the server any more: each request would wait for this process.
    if (!spoil) await context.unrouteAll();
  }
  const each = Math.ceil(total / count / blocks);
  const known = new Set<string>();
  const found: Paint[][] = [];
  for (let block = 0; block < blocks; block += 1) {
    await Promise.all(pages.map((page) => round(page, each)));
    const lines = await until(() => {
      const painted = server.log("decision").filter((line) => line.schema === "decision-reaction" && line.value.name === "painted");
      const fresh = painted.filter(({ value }) => value.visitor_id.startsWith(`${name}-`) && !known.has(value.decision_id));
      return fresh.length >= each * count && fresh;
    }, "all paints on the log");
    lines.forEach((line) => known.add(line.value.decision_id));
    assert.equal(lines.length, each * count);
    found.push(lines.map((line) => line.value.properties as Paint));
  }
  await Promise.all(contexts.map((context) => context.close()));
  return found;
};

/** What may be left unexplained, half of all: the goal is 1 ms, which depends on the machine (0.4 to 1.2 ms were seen). */
const REST_P50_MS = 3;
/** What the whole way may take here, 99 of 100. */
const HERE_P99_MS = 500;
/** What is over its limit, in words; empty if nothing is. All rounds count, whatever else the machine does meanwhile. */
const late = (blocks: number[][]): string[] => {
  const p99_ms = percentile(blocks.flat(), 0.99);
  return p99_ms <= HERE_P99_MS ? [] : [`P99 of all rounds: ${p99_ms} ms`];
};

const summary = (blocks: number[][]) => {
  const all = blocks.flat();
  const rounded = (ms: number) => Math.round(ms * 10) / 10;
  return {
    rounds: all.length,
    p50_ms: rounded(percentile(all, 0.5)),
    p95_ms: rounded(percentile(all, 0.95)),
    p99_ms: rounded(percentile(all, 0.99)),
    max_ms: rounded(Math.max(...all)),
    block_p50_ms: blocks.map((block) => rounded(percentile(block, 0.5))),
    block_p99_ms: blocks.map((block) => rounded(percentile(block, 0.99))),
  };
};

const figures: Record<string, unknown> = {};
const print = (name: string, value: object) => {
  figures[name] = value;
  console.log(name, JSON.stringify(value));
};
after(() => {
  if (process.env.MIDSESSION_FIGURES) writeFileSync(process.env.MIDSESSION_FIGURES, JSON.stringify(figures, null, 1));
});

const totals = (blocks: Paint[][]) =>
  blocks.map((block) => {
    const times = block.map((one) => one.sent_to_painted_ms!).filter((ms) => ms !== undefined);
    assert.equal(times.length, block.length, "every round was triggered from its own page");
    return times;
  });

/** What is left of each whole, as the budget reckons it; of rounds whose parts the browser had all told. */
const rests = (blocks: Paint[][]) =>
  blocks.map((block) =>
    block
      .map((one) => Math.abs(one.sent_to_painted_ms! - one.send_ms! - (one.s_pushed! - one.s_received!) / 1_000 - one.rtt_ms! - one.paint_ms!))
      .filter((ms) => !Number.isNaN(ms)),
  );

const EVENT = { config: rule("added", 'event = "add_to_cart"', "session.cart_value > 80.0"), args: ["--accept-any-key"] };

test("event to painted, by the browser's clock: at most 500 ms for 99 of 100", async () => {
  const server = await Server.start(EVENT);
  try {
    const blocks = totals(await rounds(server, "event", { total: ROUNDS, pages: PAGES, blocks: BLOCKS }));
    print("event_to_painted", { pages: PAGES, ...summary(blocks) });
    const budget = await server.ask("/v1/budget");
    const rows = [...budget.stages, budget.total, budget.network, budget.unexplained];
    print("budget", rows.map(({ name, count, p50_ms, p99_ms }: any) => ({ stage: name, count, p50_ms, p99_ms })));
    for (const stage of budget.stages) assert.ok(stage.count > 0, `stage ${stage.name} was measured`);
    assert.deepEqual(late(blocks), []);
  } finally {
    await server.stop();
  }
});

test("what is not explained of the way is a millisecond or so for half of all, where pages do not wait for each other", async () => {
  const server = await Server.start(EVENT);
  try {
    const paints = await rounds(server, "quiet", { total: QUIET_ROUNDS, pages: 1, blocks: BLOCKS });
    const left = rests(paints);
    print("unexplained", summary(left));
    print("event_to_painted_alone", summary(totals(paints)));
    assert.ok(left.flat().length > 0.8 * paints.flat().length, "the parts of most rounds are known");
    // One page, since four on two cores wait for each other where no clock of theirs sees it; the quietest block, since
    // others may run beside the test.
    const quietest = Math.min(...left.map((block) => percentile(block, 0.5)));
    assert.ok(quietest < REST_P50_MS, `P50 of the quietest block: ${quietest} ms`);
    // The row of the budget is that same figure over all blocks: its histogram has two digits, and the server may know the
    // parts of a round more or less.
    const { unexplained } = await server.ask("/v1/budget");
    const p50 = percentile(left.flat(), 0.5);
    const known = left.flat().length;
    assert.ok(Math.abs(unexplained.count - known) <= 0.02 * known, `${unexplained.count} of ${known}`);
    assert.ok(Math.abs(unexplained.p50_ms - p50) < 0.05 * p50 + 0.02, `${unexplained.p50_ms} is ${p50}`);
  } finally {
    await server.stop();
  }
});

test("a way that takes too long, and one that nobody answers for, are noticed", async () => {
  const server = await Server.start(EVENT);
  try {
    const plan = { total: 24, pages: 2, blocks: 2 };
    const held = await rounds(server, "held", {
      ...plan,
      spoil: (context) =>
        context.route("**/v1/events?*", async (route) => {
          await new Promise((done) => setTimeout(done, HERE_P99_MS + 100));
          await route.continue().catch(() => {});
        }),
    });
    assert.match(late(totals(held)).join(), /P99 of all rounds/);
    const hidden = await rounds(server, "hidden", {
      ...plan,
      pages: 1,
      // Between the connection and the tracker, where neither clock looks.
      spoil: (context) =>
        context.addInitScript(() => {
          const { EventSource } = window;
          window.EventSource = class extends EventSource {
            override addEventListener(name: string, listener: any) {
              super.addEventListener(name, (message) => setTimeout(() => listener(new MessageEvent(name, { data: message.data })), 5));
            }
          };
        }),
    });
    const quietest = Math.min(...rests(hidden).map((block) => percentile(block, 0.5)));
    assert.ok(quietest >= 4, `5 ms that nobody answers for are in the rest: ${quietest} ms`);
  } finally {
    await server.stop();
  }
});

test("the deadline of a silence to painted", async () => {
  const config = rule("silent", 'idle = "2s"', "session.cart_value > 80.0");
  const server = await Server.start({ config, args: ["--accept-any-key"] });
  try {
    const paints = await rounds(server, "silence", { total: SILENCES, pages: SILENT_PAGES, blocks: 4 });
    const blocks = paints.map((block) => block.map((one) => one.deadline_to_painted_ms!).filter((ms) => ms !== undefined));
    assert.equal(blocks.flat().length, paints.flat().length);
    print("deadline_to_painted", summary(blocks));
    assert.deepEqual(late(blocks), []);
    // The budget has the whole and its first part, by the server's clock, and no act that a total could be of.
    const { silence, timer, total, unexplained } = await server.ask("/v1/budget");
    print("silence", [timer, silence].map(({ name, count, p50_ms, p99_ms }) => ({ stage: name, count, p50_ms, p99_ms })));
    assert.equal(silence.count, blocks.flat().length);
    assert.ok(timer.count >= silence.count, `${timer.count} silences were noticed`);
    assert.ok(timer.p50_ms <= silence.p50_ms);
    assert.deepEqual([total.count, unexplained.count], [0, 0]);
  } finally {
    await server.stop();
  }
});
