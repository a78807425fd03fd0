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

    const context = await visit(browser);
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
