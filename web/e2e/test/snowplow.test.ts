//! The loop with somebody else's tracker: the unmodified Snowplow tells the cart, ours only listens and paints, once.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launch, visit } from "./browser.ts";
import { logged } from "./compare.ts";
import { Server, until } from "./server.ts";

const work = mkdtempSync(join(tmpdir(), "midsession-snowplow-"));
const bundle = join(work, "snowplow.js");
let browser: Browser;
before(async () => {
  browser = await launch();
  // The packages as npm has them, side by side as one global.
  const contents = 'export * from "@snowplow/browser-tracker"; export * from "@snowplow/browser-plugin-snowplow-ecommerce";';
  await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    bundle: true,
    outfile: bundle,
    format: "iife",
    globalName: "snowplow",
    logLevel: "error",
  });
});
after(async () => {
  await browser.close();
  rmSync(work, { recursive: true, force: true });
});

const IDLE_MS = 2_500;
const STALLED = `
[[intervention]]
name = "stalled"
trigger = { idle = "${IDLE_MS}ms" }
when = 'session.cart_value > 80.0 && session.order_count == 0'
cap = ["1 per session"]
expires = "60s"
slot = "nudge"
payload = { title = "Still thinking?", dismiss = "No" }
`;

/** What a page sent, and whom Snowplow's cookie names. */
interface Watched {
  page: Page;
  /** Names of events that our tracker sent. */
  ours: string[];
  /** How many requests Snowplow's tracker made. */
  theirs: () => number;
  visitor: () => Promise<string>;
}

const watch = async (context: BrowserContext): Promise<Watched> => {
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  // tsx names functions through a helper that pages do not have.
  await page.addInitScript("globalThis.__name = (f) => f");
  const ours: string[] = [];
  let theirs = 0;
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname === "/com.snowplowanalytics.snowplow/tp2" && request.method() === "POST") theirs += 1;
    if (pathname === "/v1/events") ours.push(...(JSON.parse(request.postData() ?? "[]") as { name: string }[]).map(({ name }) => name));
  });
  const visitor = async () => {
    const cookie = await until(async () => (await context.cookies()).find(({ name }) => name.startsWith("_sp_id.")), "Snowplow's cookie");
    return cookie.value.split(".")[0]!;
  };
  return { page, ours, theirs: () => theirs, visitor };
};

const card = (page: Page) => page.locator("midsession-card section, [data-midsession-slot] section");

/** Somebody's shop with Snowplow's tracker, and ours beside it as the documentation says. */
const openShop = async (server: Server, context: BrowserContext): Promise<Watched> => {
  const url = `${server.collector}/lab`;
  await context.route(`${server.collector}/snowplow.js`, (route) =>
    route.fulfill({ contentType: "text/javascript", body: readFileSync(bundle, "utf8") }),
  );
  await context.route(url, (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<!doctype html><title>Shop</title><body><h1>Shop</h1><script src="/snowplow.js"></script>
<script>snowplow.newTracker("sp", location.origin, { appId: "shop", cookieSecure: false, plugins: [snowplow.SnowplowEcommercePlugin()] });
snowplow.trackPageView()</script>
<script async src="/midsession.js" data-key="${server.writeKey}" data-track="off"></script>`,
    }),
  );
  const watched = await watch(context);
  const push = watched.page.waitForResponse((answer) => answer.url().includes("/v1/push"));
  await watched.page.goto(url, { waitUntil: "domcontentloaded" });
  await push;
  return watched;
};

const lamp = { id: "p1", name: "Lamp", category: "Lighting", price: 90, currency: "EUR", quantity: 1 };
const add = (page: Page) =>
  page.evaluate((lamp) => (window as any).snowplow.trackAddToCart({ products: [lamp], total_value: 90, currency: "EUR", cart_id: "c1" }), lamp);
const buy = (page: Page) =>
  page.evaluate(
    (lamp) =>
      (window as any).snowplow.trackTransaction({ transaction_id: "o1", revenue: 90, currency: "EUR", payment_method: "card", total_quantity: 1, products: [lamp] }),
    lamp,
  );

/** What the log has of each reaction to a served decision: whose it is, as the event says and as the decision's partition has it. */
const reactions = (server: Server, name: string) => {
  const told = logged(server).filter((event) => event.name === name);
  const heard = server.log("decision").filter((line) => line.schema === "decision-reaction" && line.value.name === name && !line.value.preview);
  return { told: told.filter((event) => !event.preview).map((event) => event.visitor_id), heard: heard.map((line) => line.value.visitor_id) };
};

test("Snowplow's add to cart, then silence: our card is painted once, for Snowplow's visitor; after a purchase it is not", async () => {
  const server = await Server.start({ config: STALLED });
  try {
    const contexts = await Promise.all([visit(browser), visit(browser)]);
    const buyer = await openShop(server, contexts[0]!);
    const stalled = await openShop(server, contexts[1]!);
    // The buyer is through first: when the other one has been reached, a silence of the buyer's would have been over.
    await add(buyer.page);
    await buy(buyer.page);
    await until(() => logged(server).some((event) => event.name === "transaction"), "the purchase on the log");
    await add(stalled.page);
    await card(stalled.page).waitFor();
    const reported = await until(() => {
      const found = { painted: reactions(server, "painted"), exposure: reactions(server, "exposure") };
      return found.painted.heard.length && found.exposure.heard.length && found;
    }, "the reports on the log");
    const [visitor, other] = [await stalled.visitor(), await buyer.visitor()];
    assert.notEqual(visitor, other);
    for (const [name, { told, heard }] of Object.entries(reported)) {
      assert.deepEqual(told, [visitor], `${name} on behavior`);
      assert.deepEqual(heard, [visitor], `${name} on decision`);
    }

    // Two more silences of that length: nothing more comes, to nobody.
    await stalled.page.waitForTimeout(2 * IDLE_MS);
    assert.equal(await card(stalled.page).count(), 1);
    assert.equal(await card(buyer.page).count(), 0, "bought first");
    assert.deepEqual(reactions(server, "painted").heard, [visitor], "once");
    const decided = server.log("decision").filter((line) => line.schema === "decision").map((line) => line.value.visitor_id);
    assert.deepEqual(decided, [visitor], "nobody else was even considered");

    // Nor was the buyer's page deaf: a preview is painted there.
    const sent = await server.ask("/v1/interventions/stalled/preview", "POST", { visitor_id: other });
    assert.equal(sent.connections, 1);
    await card(buyer.page).waitFor();

    // Snowplow's tracker told what was done, ours what it painted, and no event has another visitor's name.
    const events = logged(server);
    const by = (name: string) => events.filter((event) => event.name === name).map((event) => event.visitor_id).sort();
    assert.deepEqual(by("page_view"), [visitor, other].sort());
    assert.deepEqual(by("add_to_cart"), [visitor, other].sort());
    assert.deepEqual(by("transaction"), [other]);
    assert.deepEqual([...new Set(events.map((event) => event.visitor_id))].sort(), [visitor, other].sort());
    assert.deepEqual(stalled.ours.toSorted(), ["exposure", "painted"]);
    assert.ok(stalled.theirs() > 0 && buyer.theirs() > 0, "Snowplow's tracker posted");
    for (const context of contexts) {
      assert.ok(!(await context.cookies()).some(({ name }) => name === "_ms_vid"), "no name of ours beside Snowplow's");
    }
    await Promise.all(contexts.map((context) => context.close()));
  } finally {
    await server.stop();
  }
});

test("the demo shop, switched to Snowplow, with the rule as it ships: 20 s after a cart of 129, once; a purchase first: never", async () => {
  const server = await Server.start({ command: "demo", args: ["--shoppers", "1", "--replay-speed", "0"] });
  try {
    const rules: { name: string; trigger: { idle_ms?: number }; when: string }[] = (await server.ask("/v1/interventions")).interventions;
    const shipped = rules.find(({ name }) => name === "cart_stalled")!;
    assert.equal(shipped.trigger.idle_ms, 20_000);
    assert.match(shipped.when, /^session\.cart_value > 80\.0 && /);

    const contexts = await Promise.all([visit(browser), visit(browser)]);
    const enter = async (context: BrowserContext) => {
      const watched = await watch(context);
      const { page } = watched;
      await page.goto(`${server.shop}product/alba-table-lamp`);
      // The switch comes before the yes, so that our tracker never has a word of its own here.
      await page.getByLabel("Tracker on this page").selectOption("snowplow");
      const push = page.waitForResponse((answer) => answer.url().includes("/v1/push"));
      await page.getByRole("button", { name: "Yes, allow" }).click();
      await push;
      assert.equal(await page.locator('script[src="/midsession.js"]').getAttribute("data-track"), "off");
      await page.getByRole("button", { name: "Add to cart" }).click();
      return watched;
    };
    const buyer = await enter(contexts[0]!);
    await buyer.page.getByRole("link", { name: "Go to the cart" }).click();
    await buyer.page.getByRole("link", { name: "Check out" }).click();
    for (const _ of [1, 2]) await buyer.page.getByRole("button", { name: "Continue" }).click();
    await buyer.page.getByRole("button", { name: "Place order" }).click();
    await buyer.page.getByRole("heading", { name: "Thank you" }).waitFor();
    const other = await buyer.visitor();
    await until(() => logged(server).some((event) => event.name === "transaction" && event.visitor_id === other), "the purchase on the log");

    const stalled = await enter(contexts[1]!);
    await card(stalled.page).filter({ hasText: "Still thinking it over?" }).waitFor();
    const visitor = await stalled.visitor();
    const mine = (name: string) => reactions(server, name).heard.filter((one) => one === visitor || one === other);
    await until(() => mine("painted").length && mine("exposure").length, "the reports on the log");
    await stalled.page.waitForTimeout(3_000);
    assert.deepEqual([mine("painted"), mine("exposure")], [[visitor], [visitor]], "once, and for Snowplow's visitor");
    assert.equal(await card(stalled.page).count(), 1);
    assert.equal(await card(buyer.page).count(), 0, "bought first");
    const events = logged(server).filter((event) => event.visitor_id === visitor);
    const at = (name: string) => events.find((event) => event.name === name)!;
    const silence_ms = (at("painted").stamps.received_at_us - at("add_to_cart").stamps.received_at_us) / 1_000;
    assert.ok(silence_ms > 20_000, `painted ${silence_ms} ms after the cart: not before the silence was over`);
    assert.deepEqual(stalled.ours.toSorted(), ["exposure", "painted"]);
    assert.ok(stalled.theirs() > 0);
    await Promise.all(contexts.map((context) => context.close()));
  } finally {
    await server.stop();
  }
});
