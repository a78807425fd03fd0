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

/** What the demo's profile says, for the mock to push. */
const cards = {
  reminder: { slot: "nudge", payload: { title: "Still thinking it over?", body: "Your cart is kept as you left it.", label: "Back to your cart", action: "/shop/cart", dismiss: "Not now" } },
  discount: { slot: "offer", payload: { title: "10 % off today", body: "For your next order within the half hour:", label: "See the sale", action: "/shop/", dismiss: "Close", code: "5D2NG-C7Q8W-0RK4T-XM31Z-9AHBV-E6FYP-JS" } },
  chat: { slot: "chat", payload: { title: "Can we help you choose?", body: "Somebody who knows these products has time for you.", label: "Talk to us", action: "#contact", dismiss: "No, thank you" } },
};
type Card = keyof typeof cards;

/** Waits for a card: pushed by the mock, else for what the real rule asks of a shopper. */
async function comes(page: Page, card: Card): Promise<boolean> {
  const { slot, payload } = cards[card];
  if (mock) {
    await page.waitForTimeout(600);
    mock.push("intervention", card, { decision_id: card, rule: card, slot, payload, expires_at_ms: Date.now() + 60_000, now_ms: Date.now() });
  }
  const came = await page.getByText(payload.title).waitFor({ timeout: 45_000 }).then(() => true, () => false);
  await page.waitForTimeout(400);
  return came;
}

async function visit(scheme: "light" | "dark", width: number, run: (page: Page, shoot: (name: string) => Promise<void>) => Promise<boolean>): Promise<boolean> {
  const context = await browser.newContext({ userAgent, colorScheme: scheme, viewport: { width, height: width === 390 ? 844 : 900 } });
  const page = await context.newPage();
  const shoot = async (name: string) => {
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForTimeout(200);
    await writeFile(`${out}shop-${name}-${scheme}-${width}.png`, small(await page.screenshot()));
  };
  await page.goto(`${base}/shop/`);
  await page.getByRole("button", { name: "Yes, allow" }).click();
  await page.waitForTimeout(500);
  const came = await run(page, shoot);
  await context.close();
  return came;
}

const product = async (page: Page, id: string) => {
  await page.goto(`${base}/shop/product/${id}`);
  await page.getByRole("button", { name: "Add to cart" }).waitFor();
  await page.waitForTimeout(300);
};

/** The shop from its door to the checkout, with the reminder that a stalled cart gets. */
const tour: Parameters<typeof visit>[2] = async (page, shoot) => {
  const go = async (path: string) => {
    await page.goto(`${base}/shop/${path}`);
    await page.locator("h1").waitFor();
    await page.waitForTimeout(500);
  };
  await shoot("home");
  await go("search?q=lamp");
  await shoot("search");
  await go("sign-in");
  await shoot("sign-in");
  await product(page, "alba-table-lamp");
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.waitForTimeout(300);
  await shoot("product");
  await go("category/ceramics");
  await shoot("category");
  const came = await comes(page, "reminder");
  await shoot("reminder");
  await go("cart");
  await shoot("cart");
  await page.getByRole("link", { name: "Check out" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForTimeout(300);
  await shoot("checkout");
  return came;
};

/** Somebody who looks at dear things and comes back to a cheap one. */
const bargain: Parameters<typeof visit>[2] = async (page, shoot) => {
  for (const id of ["alba-table-lamp", "mist-mug", "mist-mug", "mist-mug"]) await product(page, id);
  const came = await comes(page, "discount");
  await shoot("discount");
  return came;
};

/** A dear cart, and a shopper who does not know yet. */
const question: Parameters<typeof visit>[2] = async (page, shoot) => {
  await product(page, "alba-table-lamp");
  for (let pieces = 0; pieces < 2; pieces++) await page.getByRole("button", { name: "Add to cart" }).click();
  const came = await comes(page, "chat");
  await shoot("chat");
  return came;
};

/** One shopper in ten is held back for comparison: then another one comes. */
async function shown(...args: Parameters<typeof visit>): Promise<void> {
  for (let tries = 1; !(await visit(...args)); tries++) if (tries > 3) throw new Error(`nothing was shown at ${args[1]} px`);
}

for (const width of [1440, 390])
  for (const scheme of ["light", "dark"] as const)
    // They mostly wait for a silence to be over; the mock speaks to all pages at once.
    if (mock) for (const run of [tour, bargain, question]) await shown(scheme, width, run);
    else await Promise.all([tour, bargain, question].map((run) => shown(scheme, width, run)));
await browser.close();
await mock?.close();
