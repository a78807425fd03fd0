//! Takes the console's pictures for the docs: from a running server at ADMIN_URL (with its ?token=), else from the mock.
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "../test/browser.ts";
import { startMock } from "../test/mock.ts";
import { World } from "../test/world.ts";
import { small } from "./small.ts";

const out = fileURLToPath(new URL("../../../docs/images/", import.meta.url));
await mkdir(out, { recursive: true });
const mock = process.env["ADMIN_URL"] ? null : await startMock(new World(7, 420));
const start = process.env["ADMIN_URL"] ?? `${mock?.url}/`;
const browser = await launch();

/** With the collector's address too: a shop that says its prices as texts, refused by the real server. */
const collector = process.env["BASE_URL"]?.replace(/\/$/, "");
if (collector) {
  const { write_key } = (await (await fetch(`${collector}/shop/api/config`)).json()) as { write_key: string };
  const product = (price: unknown) => [{ id: "speck-plate", name: "Speck plate", category: "Ceramics", price, currency: "EUR" }];
  const bad = [
    { event_id: crypto.randomUUID(), name: "product_view", visitor_id: "v-docs", products: product("24,90") },
    { event_id: crypto.randomUUID(), visitor_id: "v-docs", page: { url: "https://shop.example/lamps" } },
    { event_id: crypto.randomUUID(), name: "add_to_cart", visitor_id: "v-docs", products: product(24), cart: { total_value: -24, currency: "EUR" } },
  ];
  for (const event of bad) await fetch(`${collector}/v1/events?key=${write_key}`, { method: "POST", body: JSON.stringify([event]) });
}

for (const scheme of ["light", "dark"] as const)
  for (const width of [1440, 390]) {
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: width === 390 ? 844 : 900 } });
    const page = await context.newPage();
    const shoot = async (name: string) => writeFile(`${out}console-${name}-${scheme}-${width}.png`, small(await page.screenshot()));
    const show = async (hash: string) => {
      await page.evaluate((hash) => (location.hash = hash), hash);
      await page.waitForTimeout(1_500);
    };
    await page.goto(start);
    await page.locator(".figure").first().waitFor();
    await show("#/overview");
    await shoot("overview");
    await show("#/interventions");
    await shoot("interventions");
    // The session of somebody who was reached says most, and what they were reached for.
    const reached = page.locator(".decisions tbody tr a");
    const link = (await reached.count()) > 0 ? ((await reached.first().getAttribute("href")) ?? "#/sessions") : "#/sessions";
    await show("#/sessions");
    await shoot("sessions");
    await show(link);
    await page.locator(".entry").first().waitFor();
    await shoot("session");
    await show("#/budget");
    // All of it: a window as high as the page.
    const size = page.viewportSize()!;
    await page.setViewportSize({ width, height: await page.evaluate(() => document.documentElement.scrollHeight) });
    await page.waitForTimeout(500);
    await shoot("latency");
    await page.setViewportSize(size);
    await show("#/dead-letters");
    await shoot("dead-letters");
    const shopper = await page.evaluate(async () => {
      const { decisions } = (await (await fetch("/v1/decisions?limit=100")).json()) as { decisions: { outcome: string; shopper?: string }[] };
      return decisions.find((d) => d.outcome === "served")?.shopper?.replace(/^(user|visitor):/, "") ?? "u-ada";
    });
    await show("#/features");
    await shoot("definitions");
    await show(`#/features/${encodeURIComponent(shopper)}`);
    await shoot("features");
    await context.close();
  }
await browser.close();
await mock?.close();
