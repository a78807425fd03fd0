//! Takes the shop's pictures for the docs: from a running shop at BASE_URL, else from the mock.
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { launch } from "../test/browser.ts";
import { startMock } from "../test/mock.ts";
import { small } from "./small.ts";

const out = fileURLToPath(new URL("../../../docs/images/", import.meta.url));
await mkdir(out, { recursive: true });
const mock = process.env["BASE_URL"] ? null : await startMock();
const base = (process.env["BASE_URL"] ?? mock?.url ?? "").replace(/\/$/, "");
const browser = await launch();
// A headless browser says that it is one, and the product rightly keeps robots out of its decisions.
const userAgent = `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${browser.version()} Safari/537.36`;

/** The reminder that a stalled cart gets: pushed by the mock, or waited for. */
async function reminder(page: Page): Promise<boolean> {
  if (mock) {
    await page.waitForTimeout(600);
    const payload = { title: "Still thinking it over?", body: "Your cart is kept as you left it.", label: "Back to your cart", action: "/shop/cart", dismiss: "Not now" };
    mock.push("intervention", "d-1", { decision_id: "d-1", rule: "cart_stalled", slot: "nudge", payload, expires_at_ms: Date.now() + 60_000, now_ms: Date.now() });
  }
  const came = await page.getByText("Still thinking").waitFor({ timeout: 45_000 }).then(() => true, () => false);
  await page.waitForTimeout(400);
  return came;
}

async function visit(scheme: "light" | "dark", width: number): Promise<boolean> {
  const context = await browser.newContext({ userAgent, colorScheme: scheme, viewport: { width, height: width === 390 ? 844 : 900 } });
  const page = await context.newPage();
  const shoot = async (name: string) => {
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForTimeout(200);
    return writeFile(`${out}shop-${name}-${scheme}-${width}.png`, small(await page.screenshot()));
  };
  await page.goto(`${base}/shop/`);
  await page.getByRole("button", { name: "Yes, allow" }).click();
  await page.waitForTimeout(500);
  await shoot("home");
  await page.goto(`${base}/shop/product/alba-table-lamp`);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.waitForTimeout(300);
  await shoot("product");
  await page.goto(`${base}/shop/category/ceramics`);
  const came = await reminder(page);
  await shoot("reminder");
  await page.goto(`${base}/shop/cart`);
  await page.waitForTimeout(500);
  await shoot("cart");
  await context.close();
  return came;
}

for (const scheme of ["light", "dark"] as const)
  for (const width of [1440, 390]) {
    // One shopper in ten is held back for comparison: then another one comes.
    let tries = 1;
    while (!(await visit(scheme, width)) && tries < 4) tries++;
  }
await browser.close();
await mock?.close();
