//! `midsession demo`: it starts, shows something soon, sells with a code that works once, and goes on where it was.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { launch, visit } from "./browser.ts";
import { Server, until } from "./server.ts";

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test("the demo", async () => {
  let server = await Server.start({ command: "demo" });
  try {
    // The promise is 30 s from the start.
    await until(async () => (await server.ask("/v1/overview")).interventions.served > 0, "a first intervention", 30_000);

    // Real clicks within seconds too, and the console says which is which.
    const sessionsOf = async (source: string) => (await server.ask(`/v1/sessions?source=${source}&limit=1000`)).sessions as any[];
    const replayed = await until(async () => ((await sessionsOf("bol")).length > 3 ? sessionsOf("bol") : false), "sessions of the replay", 30_000);
    assert.ok(replayed.every((one) => one.source === "bol" && /^bol-\d+$/.test(one.visitor_id) && one.product_views > 0), JSON.stringify(replayed[0]));
    assert.ok(replayed.every((one) => one.add_to_carts === 0 && one.cart_value === null), "the sample has no carts");
    const labels = Object.fromEntries((await server.ask("/v1/overview")).sources.map((one: any) => [one.name, one.label]));
    assert.deepEqual([labels.bol, labels.simulated], ["bol.com replay", "simulated shoppers"]);

    const context = await visit(browser);
    const watch = await context.newPage();
    await watch.goto(server.console);
    const nav = (name: string) => watch.getByRole("navigation").getByRole("link", { name }).click();
    const rows = watch.locator("[role=option], tr");
    await nav("Sessions");
    for (const label of ["bol.com replay", "simulated shoppers"]) await rows.filter({ hasText: label }).first().waitFor();
    await nav("Interventions");
    await rows.filter({ hasText: "simulated shoppers" }).first().waitFor();
    await watch.close();
    // No page of the shop is open: whoever was reached by a cart is simulated, and told as such.
    const served = (await server.ask("/v1/decisions?limit=1000")).decisions.filter((one: any) => one.outcome === "served");
    assert.deepEqual([...new Set(served.map((one: any) => one.source))], ["simulated"]);
    const { sources, interventions } = await server.ask("/v1/overview");
    const reached = Object.fromEntries(sources.map((one: any) => [one.name, one.served]));
    assert.ok(reached.simulated > 0 && reached.simulated <= interventions.served, JSON.stringify(reached));
    assert.deepEqual([reached.bol, reached.shop ?? 0], [0, 0]);
    for (const [what, url] of [["shop", server.shop!], ["console", server.console]] as const) {
      const page = await context.newPage();
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(error.message));
      const answer = await page.goto(url);
      assert.equal(answer?.status(), 200, what);
      await page.locator("h1").first().waitFor();
      assert.deepEqual(errors, [], what);
      await page.close();
    }
    await context.close();

    const offer = await until(
      async () => (await server.ask("/v1/decisions?limit=1000")).decisions.find((one: any) => one.outcome === "served" && one.payload?.code),
      "a discount is offered",
      300_000,
    );
    const catalog: any = await (await fetch(new URL("catalog.json", server.shop!))).json();
    const item = (catalog.products ?? catalog)[0];
    const order = async (cart_id: string) => {
      const body = JSON.stringify({ cart_id, items: [{ id: item.id, quantity: 1 }], code: offer.payload.code, visitor_id: offer.visitor_id });
      const answer = await fetch(new URL("api/checkout", server.shop!), { method: "POST", body });
      return { status: answer.status, value: (await answer.json()) as any };
    };
    const first = await order("cart-1");
    assert.equal(first.status, 200, JSON.stringify(first.value));
    assert.ok(first.value.discount > 0);
    const another = await order("cart-2");
    assert.deepEqual([another.status, another.value.code], [409, "coupon_used"]);
    assert.deepEqual(await order("cart-1"), first, "an order that is sent again is the same order");

    const before = server.log("behavior").length;
    assert.equal(await server.stop("SIGTERM", true), 0, "drains");
    server = await Server.start({ command: "demo", data: server.data });
    await until(async () => (await fetch(`${server.collector}/ready`)).ok, "caught up", 120_000);
    assert.ok(server.log("behavior").length >= before, "goes on in the same log");
    const later = await order("cart-3");
    assert.deepEqual([later.status, later.value.code], [409, "coupon_used"], "what was used stays used");
  } finally {
    await server.stop();
  }
});
