//! The shop in Chromium: what each step sends by either tracker, consent, offers, accessibility, hostile text.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launch, until } from "./browser.ts";
import { fonts, misfits, setIn } from "./fit.ts";
import { startMock, type Mock, type SentEvent } from "./mock.ts";

let browser: Browser;
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

before(async () => {
  browser = await launch();
});
after(() => browser.close());

interface Options {
  consent?: "full" | "cookieless" | "none" | null;
  tracker?: "midsession" | "snowplow";
  cart?: Record<string, number>;
  scheme?: "light" | "dark";
  width?: number;
}

async function visit(mock: Mock, path: string, options: Options = {}): Promise<{ page: Page; faults: string[] }> {
  const { consent = "full", tracker = "midsession", cart = {}, scheme = "light", width = 1440 } = options;
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
  await context.addInitScript(
    ([consent, tracker, cart]) => {
      if (localStorage.getItem("halden.tracker")) return;
      localStorage.setItem("halden.consent", JSON.stringify(consent));
      localStorage.setItem("halden.tracker", JSON.stringify(tracker));
      localStorage.setItem("halden.cart", JSON.stringify({ id: "c-test", quantities: cart, code: null, percent: 0 }));
    },
    [consent, tracker, cart] as const,
  );
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && !/status of 4/.test(message.text()) && faults.push(message.text()));
  await page.goto(`${mock.url}/shop/${path}`);
  return { page, faults };
}

async function withMock(run: (mock: Mock) => Promise<void>): Promise<void> {
  const mock = await startMock();
  try {
    await run(mock);
  } finally {
    for (const context of browser.contexts()) await context.close();
    await mock.close();
  }
}

const names = (mock: Mock): string[] => mock.events.map((e) => e.name).filter((n) => !["consent", "exposure", "painted"].includes(n));
const find = (mock: Mock, name: string): SentEvent | undefined => mock.events.find((e) => e.name === name);

async function buy(page: Page): Promise<void> {
  await page.getByRole("link", { name: "See the lamps" }).click();
  await page.getByRole("link", { name: "Alba table lamp" }).click();
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.getByRole("link", { name: "Go to the cart" }).click();
  await page.getByLabel("Quantity of Alba table lamp").selectOption("2");
  await page.getByLabel("Quantity of Alba table lamp").selectOption("1");
  await page.getByRole("link", { name: "Check out" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: "Place order" }).click();
  await page.getByRole("heading", { name: "Thank you" }).waitFor();
}

describe("our tracker", () => {
  test("a purchase is told step by step, in order, with the cart as it is after each", () =>
    withMock(async (mock) => {
      const { page, faults } = await visit(mock, "");
      await page.getByRole("heading", { level: 1 }).waitFor();
      await until(() => names(mock).includes("promo_view"), "the first page");
      await buy(page);
      // What somebody waits for overtakes the rest: all of it is here when there is as much as there should be.
      await until(() => names(mock).length === 21, "the purchase");
      const order = [...mock.events].sort((a, b) => Number(a["occurred_at"]) - Number(b["occurred_at"])).map((e) => e.name);
      assert.deepEqual(
        order.filter((n) => !["consent", "exposure", "painted"].includes(n)).sort(),
        [
          ...["page_view", "page_view", "page_view", "page_view", "page_view", "page_view"],
          ...["promo_view", "promo_click", "list_view", "list_view", "list_view", "list_click", "product_view"],
          ...["add_to_cart", "cart_view", "add_to_cart", "remove_from_cart", "checkout_step", "checkout_step", "checkout_step", "transaction"],
        ].sort(),
      );
      assert.ok(order.indexOf("product_view") < order.indexOf("add_to_cart") && order.indexOf("cart_view") < order.indexOf("checkout_step"));
      const carts = mock.events.filter((e) => /add_to|remove_from/.test(e.name)).map((e) => [e.name, (e["cart"] as { total_value: number }).total_value]);
      assert.deepEqual(carts, [["add_to_cart", 129], ["add_to_cart", 258], ["remove_from_cart", 129]]);
      const products = (find(mock, "add_to_cart") as SentEvent)["products"];
      assert.deepEqual(products, [{ id: "alba-table-lamp", name: "Alba table lamp", category: "Lighting", brand: "Lumi", price: 129, currency: "EUR", quantity: 1 }]);
      assert.deepEqual(mock.events.filter((e) => e.name === "checkout_step").map((e) => e["step"]), [1, 2, 3]);
      assert.deepEqual((find(mock, "transaction") as SentEvent)["order"], { id: "o-1", revenue: 129, currency: "EUR", discount: 0, shipping: 0 });
      await page.reload();
      await until(() => names(mock).filter((n) => n === "page_view").length === 7, "the page after a reload");
      const visitors = [...new Set(mock.events.map((e) => e["visitor_id"]))];
      assert.deepEqual(visitors, [(await page.context().cookies()).find((c) => c.name === "_ms_vid")?.value]);
      assert.doesNotMatch(JSON.stringify(mock.events), /robin|halden\.example/i);
      assert.deepEqual(faults, []);
    }));

  test("signing in and out is told once each, and what follows carries the user", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "sign-in");
      await page.getByRole("button", { name: /Bruno/ }).click();
      await page.getByRole("link", { name: "Kitchen", exact: true }).click();
      await page.getByRole("link", { name: /Account of Bruno/ }).click();
      await page.reload();
      await page.getByRole("button", { name: "Sign out" }).click();
      await until(() => ["logout", "login", "list_view"].every((name) => names(mock).includes(name)), "the logout, and what was before");
      // What was under way at the reload may come twice, as the same event.
      assert.equal(new Set(mock.events.filter((e) => e.name === "login").map((e) => e["event_id"])).size, 1);
      assert.equal((find(mock, "login") as SentEvent)["user_id"], "u-bruno");
      assert.equal((mock.events.find((e) => e.name === "list_view") as SentEvent)["user_id"], "u-bruno");
    }));

  test("a search is told with its words and its results", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "");
      await page.getByLabel("Search the shop").fill("wool");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Results for “wool”" }).waitFor();
      await until(() => mock.events.some((e) => e.name === "list_view" && e["list"] === "Search results"), "the results");
      assert.equal((find(mock, "search") as SentEvent)["query"], "wool");
      assert.match(page.url(), /\/shop\/search\?q=wool$/);
      await page.goBack();
      await page.getByRole("heading", { name: "Things for quiet rooms" }).waitFor();
    }));
});

describe("consent", () => {
  test("nothing is sent before the choice; a yes sends the page on screen, not the ones before", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "", { consent: null });
      await page.getByRole("link", { name: "Ceramics", exact: true }).click();
      await page.getByRole("heading", { level: 1, name: "Ceramics" }).waitFor();
      assert.deepEqual(mock.events, []);
      assert.deepEqual(await page.context().cookies(), []);
      await page.getByRole("button", { name: "Yes, allow" }).click();
      await until(() => names(mock).length >= 2, "the page");
      assert.deepEqual(names(mock).sort(), ["list_view", "page_view"]);
      await until(() => mock.listeners() === 1, "the push connection");
    }));

  test("a no sends nothing, now or later", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "", { consent: null });
      await page.getByRole("button", { name: "No, nothing" }).click();
      await buy(page);
      assert.deepEqual(mock.events, []);
      assert.deepEqual(await page.context().cookies(), []);
    }));

  test("counting only leaves no cookie and opens no push connection; the choice can be widened", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "", { consent: null });
      await page.getByRole("button", { name: "Counting only" }).click();
      await until(() => names(mock).includes("page_view"), "the page");
      assert.deepEqual(await page.context().cookies(), []);
      assert.equal(mock.listeners(), 0);
      await page.getByRole("button", { name: "Change privacy choice" }).click();
      await page.getByRole("button", { name: "Yes, allow" }).click();
      await until(() => mock.listeners() === 1, "the push connection");
    }));
});

describe("Snowplow", () => {
  test("the unmodified tracker tells the same purchase; ours only listens", () =>
    withMock(async (mock) => {
      const { page, faults } = await visit(mock, "", { tracker: "snowplow" });
      await until(() => mock.snowplow.some((e) => e["e"] === "pv"), "the first page");
      await buy(page);
      const actions = () =>
        mock.snowplow.flatMap((e) => {
          const text = e["ue_pr"] ?? (e["ue_px"] ? Buffer.from(e["ue_px"], "base64url").toString() : null);
          return text ? [(JSON.parse(text) as { data: { data: { type?: string } } }).data.data.type] : [];
        });
      await until(() => actions().length === 14 && mock.snowplow.filter((e) => e["e"] === "pv").length === 6, "the purchase");
      assert.deepEqual(
        actions().sort(),
        ["promo_view", "promo_click", "list_view", "list_view", "list_view", "list_click", "product_view", "add_to_cart", "add_to_cart", "remove_from_cart", "checkout_step", "checkout_step", "checkout_step", "transaction"].sort(),
      );
      assert.equal(mock.snowplow.filter((e) => e["e"] === "pv").length, 6);
      assert.deepEqual(mock.events.filter((e) => !["painted", "exposure"].includes(e.name)), []);
      await until(() => mock.listeners() === 1, "the push connection");
      assert.deepEqual(faults, []);
    }));

  test("the switch in the footer is remembered, and our script is not the one that tracks", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "");
      await until(() => names(mock).includes("page_view"), "the first page");
      await page.getByLabel("Tracker on this page").selectOption("snowplow");
      await until(() => mock.snowplow.length > 0, "Snowplow's first event");
      assert.equal(await page.getByLabel("Tracker on this page").inputValue(), "snowplow");
      const script = page.locator('script[src="/midsession.js"]');
      await script.waitFor({ state: "attached" });
      assert.equal(await script.getAttribute("data-track"), "off");
    }));
});

describe("interventions", () => {
  const frame = (payload: object, slot = "nudge") => ({ decision_id: "d-1", rule: "cart_stalled", slot, payload, expires_at_ms: Date.now() + 60_000, now_ms: Date.now(), preview: false, cause_event_id: null, by_silence: true, stamps_us: {} });

  for (const tracker of ["midsession", "snowplow"] as const)
    test(`are painted beside ${tracker}, reported, and lead on without a reload`, () =>
      withMock(async (mock) => {
        const { page, faults } = await visit(mock, "", { tracker, cart: { "alba-table-lamp": 1 } });
        await until(() => mock.listeners() === 1, "the push connection");
        await page.evaluate(() => Object.assign(window, { stayed: true }));
        mock.push("intervention", "d-1", frame({ title: "Still thinking it over?", label: "Back to your cart", action: "/shop/cart" }));
        await page.getByText("Still thinking it over?").waitFor();
        const box = await page.getByText("Still thinking it over?").boundingBox();
        assert.ok(box && box.y > 0 && box.y + box.height < 900, `in sight: ${JSON.stringify(box)}`);
        await until(() => mock.events.some((e) => e.name === "painted" && e["decision_id"] === "d-1"), "the report");
        await page.getByRole("link", { name: "Back to your cart" }).click();
        await page.getByRole("heading", { level: 1, name: "Cart" }).waitFor();
        assert.equal(await page.evaluate(() => "stayed" in window), true);
        assert.deepEqual(faults, []);
      }));

  /** Which of them something else lies over. */
  const covered = (page: Page, selector: string): Promise<string[]> =>
    page.locator(selector).evaluateAll((elements) =>
      elements
        .filter((element) => {
          // The card's own are found too, but not by their place.
          if (element.getRootNode() !== document) return false;
          element.scrollIntoView({ block: "end" });
          const { x, y, width, height } = element.getBoundingClientRect();
          const top = document.elementFromPoint(x + width / 2, y + height / 2);
          return top !== element && !element.contains(top);
        })
        .map((element) => element.textContent ?? ""),
    );

  for (const width of [1440, 390]) {
    test(`the privacy choice lies above a card, ${width} px`, () =>
      withMock(async (mock) => {
        const { page } = await visit(mock, "", { width });
        await until(() => mock.listeners() === 1, "the push connection");
        mock.push("intervention", "d-1", frame({ title: "Still thinking it over?", body: "Your cart is kept. ".repeat(3), code: "AUTUMN-10", label: "To the cart", dismiss: "Not now" }));
        await page.getByText("Still thinking it over?").waitFor();
        await page.getByRole("button", { name: "Change privacy choice" }).click();
        await page.locator(".consent").waitFor();
        assert.deepEqual(await covered(page, ".consent button"), []);
        await page.getByRole("button", { name: "No, nothing" }).click();
        await page.getByText("Still thinking it over?").waitFor({ state: "detached" });
      }));

    for (const slot of ["nudge", "chat"])
      test(`the cart has room for a card (${slot}), which covers nothing there, ${width} px`, () =>
        withMock(async (mock) => {
          const { page, faults } = await visit(mock, "cart", { width, cart: { "dune-vase": 1, "mist-mug": 2 } });
          await until(() => mock.listeners() === 1, "the push connection");
          mock.push("intervention", "d-1", frame({ title: "Noch unentschlossen?", body: "Ihr Warenkorb ist noch so, wie Sie ihn verlassen haben.", label: "Zum Warenkorb", action: "#contact", dismiss: "Nicht jetzt" }, slot));
          const card = page.getByRole("region", { name: "Noch unentschlossen?" });
          await card.waitFor();
          assert.equal(await card.evaluate((card) => (card.getRootNode() as ShadowRoot).host.parentElement?.className), "cart-slots");
          assert.deepEqual(await covered(page, ".cart a, .cart button, .cart select, .cart input"), []);
          await card.getByRole("button", { name: "Nicht jetzt" }).first().click();
          await card.waitFor({ state: "detached" });
          await page.getByText("Your cart is kept as you leave it").waitFor();
          assert.deepEqual(faults, []);
        }));
  }

  test("on a phone a card stands above what a product is bought with, wherever the page is scrolled to", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "product/alba-table-lamp", { width: 390 });
      await until(() => mock.listeners() === 1, "the push connection");
      const buy = page.locator(".product .buy select, .product .buy button");
      mock.push("intervention", "d-1", frame({ title: "Can we help you choose?", body: "Somebody who knows these products has time for you.", label: "Talk to us", action: "#contact", dismiss: "No, thank you" }, "chat"));
      const card = page.getByRole("region", { name: "Can we help you choose?" });
      await card.waitFor();
      for (const share of [0, 0.25, 0.5, 0.75, 1]) {
        await page.evaluate((share) => scrollTo(0, share * (document.documentElement.scrollHeight - innerHeight)), share);
        const hidden = await buy.evaluateAll((elements) =>
          elements.filter((element) => {
            const { x, y, width, height } = element.getBoundingClientRect();
            return [y + 2, y + height - 2].some((at) => document.elementFromPoint(x + width / 2, at) !== element);
          }).length,
        );
        assert.equal(hidden, 0, `at ${share}`);
      }
      await buy.last().click();
      await page.getByRole("link", { name: /Cart 1 item/ }).waitFor();
      await page.getByRole("button", { name: "Change privacy choice" }).click();
      assert.equal(await page.locator(".product .buy").evaluate((buy) => getComputedStyle(buy).position), "static", "never under the privacy choice");
    }));

  for (const width of [1440, 390])
    test(`in the cart its reminder has no link to the cart, and no empty band, ${width} px`, () =>
      withMock(async (mock) => {
        const { page } = await visit(mock, "cart", { width, cart: { "dune-vase": 1, "mist-mug": 1 } });
        await until(() => mock.listeners() === 1, "the push connection");
        mock.push("intervention", "d-1", frame({ title: "Still thinking it over?", body: "Your cart is kept as you left it.", label: "Back to your cart", action: "/shop/cart", dismiss: "Not now" }));
        const card = page.getByRole("region", { name: "Still thinking it over?" });
        await card.waitFor();
        assert.equal(await card.getByRole("link").count(), 0);
        const [room, heading] = [(await card.boundingBox())!, (await card.getByRole("heading").boundingBox())!];
        assert.ok(heading.y - room.y <= 24, `${heading.y - room.y} px above the text`);
      }));

  test("the chat offer opens how to reach people, the discount fills its code in", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "product/oak-board", { cart: { "oak-board": 2 } });
      await until(() => mock.listeners() === 1, "the push connection");
      mock.push("intervention", "d-1", frame({ title: "Can we help?", label: "Talk to us", action: "#contact" }, "chat"));
      await page.getByRole("link", { name: "Talk to us" }).click();
      await page.getByRole("dialog", { name: "Talk to us" }).waitFor();
      await page.keyboard.press("Escape");
      mock.push("intervention", "d-2", { ...frame({ title: "10 % off", code: "TENOFF" }, "offer"), decision_id: "d-2" });
      await page.getByText("10 % off").waitFor();
      await page.getByRole("link", { name: /Cart 2 items/ }).click();
      await page.getByRole("button", { name: "Apply" }).click();
      await page.getByText("10 % off", { exact: false }).last().waitFor();
      await page.locator(".totals", { hasText: "€97.20" }).waitFor();
    }));
});

test("an unknown code is refused in words", () =>
  withMock(async (mock) => {
    const { page } = await visit(mock, "cart?code=NOPE", { cart: { "mist-mug": 1 } });
    await page.getByText("We don't know this code").waitFor();
    await page.getByLabel("Discount code").fill("TENOFF");
    await page.keyboard.press("Enter");
    await page.locator(".totals", { hasText: "€16.20" }).waitFor();
  }));

test("the drawer shows what was sent and leads to the console", () =>
  withMock(async (mock) => {
    const { page } = await visit(mock, "");
    await until(() => names(mock).includes("page_view"), "the first page");
    await page.getByRole("button", { name: "Your events" }).first().click();
    await page.getByRole("dialog", { name: "Your events" }).getByText("page view").waitFor();
    const link = page.getByRole("link", { name: "See this visit in the console" });
    const visitor = (await page.context().cookies()).find((c) => c.name === "_ms_vid")?.value;
    assert.equal(await link.getAttribute("href"), `http://127.0.0.1:8081/#/sessions?q=${visitor}`);
  }));

const pages = ["", "category/ceramics", "product/dune-vase", "search?q=lamp", "search?q=zzz", "cart", "checkout", "sign-in", "thank-you", "nowhere"];

describe("every page", () => {
  for (const scheme of ["light", "dark"] as const)
    for (const width of [1440, 390])
      test(`has no accessibility violation, no fault and no sideways scroll, ${scheme}, ${width} px`, () =>
        withMock(async (mock) => {
          for (const [index, path] of pages.entries()) {
            const { page, faults } = await visit(mock, path, { scheme, width, cart: { "dune-vase": 1, "mist-mug": 2 }, consent: index % 2 ? "none" : null });
            await page.locator("h1").waitFor();
            await page.evaluate(axeSource);
            const violations = await page.evaluate(async () => {
              const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe;
              return (await axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 140)} ${n.failureSummary}`).join(" | ").slice(0, 600)}`);
            });
            assert.deepEqual(violations, [], path);
            assert.deepEqual(faults, [], path);
            const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.equal(over, 0, `${path} is ${over} px too wide`);
            await page.context().close();
          }
        }));
});

describe("a narrow page", () => {
  for (const font of fonts)
    test(`has room for everything in ${font}`, () =>
      withMock(async (mock) => {
        for (const path of pages) {
          const { page } = await visit(mock, path, { width: 390, cart: { "dune-vase": 1, "mist-mug": 2 } });
          await page.locator("h1").waitFor();
          await setIn(page, font);
          assert.deepEqual(await misfits(page), [], path);
          await page.context().close();
        }
        const { page } = await visit(mock, "cart", { width: 390, cart: { "dune-vase": 1 } });
        await setIn(page, font);
        await until(() => mock.listeners() === 1, "the push connection");
        const code = "5D2NG-C7Q8W-0RK4T-XM31Z-9AHBV-E6FYP-JS";
        const payload = { title: "10 % off today", body: "For your next order within the half hour:", label: "See the sale", action: "/shop/", dismiss: "Close", code };
        mock.push("intervention", "d-1", { decision_id: "d-1", rule: "offer", slot: "offer", payload, expires_at_ms: Date.now() + 60_000, now_ms: Date.now() });
        await page.getByText(code).waitFor();
        assert.deepEqual(await misfits(page), [], "the discount");
        const lines = await page.getByText(code).evaluate((element: HTMLElement) => element.offsetHeight / parseFloat(getComputedStyle(element).lineHeight));
        assert.ok(lines < 3.2, `the code takes ${lines} lines with its padding`);
      }));

  test("and one that has not is noticed", () =>
    withMock(async (mock) => {
      const { page } = await visit(mock, "", { width: 390 });
      await page.locator("h1").waitFor();
      await page.evaluate(() => document.querySelector<HTMLElement>(".cats")?.style.setProperty("flex-wrap", "nowrap"));
      await page.evaluate(() => document.querySelector<HTMLElement>(".cats")?.style.setProperty("letter-spacing", "1em"));
      await setIn(page, "DejaVu Sans Mono");
      assert.match((await misfits(page)).join(), /Desk/);
    }));
});

test("the shop can be used by keyboard alone", () =>
  withMock(async (mock) => {
    const { page } = await visit(mock, "product/mist-mug", { consent: "none" });
    const press = async (name: string) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((name) => (document.activeElement?.textContent ?? "").trim() === name, name)) return page.keyboard.press("Enter");
      }
      throw new Error(`${name} is not reached by Tab`);
    };
    await press("Add to cart");
    await press("Go to the cart");
    await page.getByRole("heading", { level: 1, name: "Cart" }).waitFor();
    await press("Check out");
    await page.getByRole("heading", { level: 2, name: "Contact" }).waitFor();
    for (const _ of [1, 2]) await press("Continue");
    await press("Place order");
    await page.getByRole("heading", { name: "Thank you" }).waitFor();
  }));

test("what stands in the address is text and nothing else", () =>
  withMock(async (mock) => {
    const evil = encodeURIComponent(`"><img src=x onerror="__pwned=1"><script>__pwned=1</script>`);
    for (const path of [`search?q=${evil}`, `cart?code=${evil}`, `product/${evil}`, `category/%ZZ`, `search?q=%F0%28`]) {
      const { page, faults } = await visit(mock, path, { cart: { "mist-mug": 1 } });
      await page.locator("h1").waitFor();
      const found = await page.evaluate(() => ({ pwned: "__pwned" in window, planted: document.querySelectorAll("#app img, #app script, #app [onerror]").length }));
      assert.deepEqual(found, { pwned: false, planted: 0 }, path);
      assert.deepEqual(faults, [], path);
      await page.context().close();
    }
  }));
