//! The painted card: where it goes, that nothing moves, that it can be read, operated and trusted.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { page } from "./collector.ts";
import { card, say, seen, settle, shops, until } from "./browser.ts";
import type { Page } from "playwright-core";
import type { Payload } from "../midsession.d.ts";

const shop = shops();
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const full: Payload = {
  title: "Still thinking?",
  body: "The linen shirt in your cart is still there in your size.",
  action: "/cart",
  label: "To the cart",
  dismiss: "Not now",
  code: "AUTUMN-10",
};
const text = "<p>" + "Linen, wool and cotton. ".repeat(60) + "</p>";
const reserved = `<link rel="stylesheet" href="/style.css">`;
const style = "div[data-midsession-slot] { min-height: 300px; width: 400px } .low { min-height: 40px !important }";

/** The layout shift so far, as the browser counts it. */
const shift = (view: Page) =>
  view.evaluate(
    () =>
      new Promise<number>((done) => {
        let sum = 0;
        const observer = new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) sum += (entry as unknown as { value: number }).value;
        });
        observer.observe({ type: "layout-shift", buffered: true });
        setTimeout(() => done(sum), 300);
      }),
  );

const painted = (view: Page, count = 1) =>
  until(async () => (await card(view).count()) == count, `${count} painted`).then(() => card(view).first());

for (const [where, body, inSlot] of [
  ["no slot", text, false],
  ["an empty slot without space", `<div data-midsession-slot="nudge" class="low"></div>${text}`, false],
  ["a slot that reserves space", `<div data-midsession-slot="nudge"></div>${text}`, true],
  ["a reserved slot with its own content", `<div data-midsession-slot="nudge"><p>News</p></div>${text}`, true],
] as const) {
  test(
    `${where}: painted ${inSlot ? "in it" : "floating"}, layout shift 0, gone without a trace`,
    shop({}, async ({ collector, listen }) => {
      collector.pages["/style.css"] = style;
      collector.pages["/"] = page('data-auto="page"', body, reserved);
      const view = await listen();
      collector.intervene({ payload: full });
      const shown = await painted(view);
      await until(() => collector.named("painted").length, "the report");
      assert.equal(await shift(view), 0);
      const box = (await shown.boundingBox())!;
      const host = await shown.evaluate((element) => (element.getRootNode() as ShadowRoot).host.localName);
      assert.equal(host, inSlot ? "div" : "midsession-card");
      const slot = view.locator("div[data-midsession-slot]");
      if (inSlot) assert.deepEqual(box, await slot.boundingBox(), "all of it, and no more");
      if (!inSlot) {
        assert.ok(box.x + box.width <= 1280 - 15 && box.y + box.height <= 800 - 15, "in view");
      }
      await shown.getByRole("button", { name: "Not now" }).last().click();
      assert.equal(await card(view).count(), 0);
      assert.equal(await shift(view), 0);
    }),
  );
}

test(
  "layout shift is really measured",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-auto="page"', text);
    const view = await listen();
    await view.evaluate(() => {
      const block = document.createElement("div");
      block.textContent = "x";
      block.style.height = "200px";
      document.body.prepend(block);
    });
    await until(async () => (await shift(view)) > 0, "the shift");
  }),
);

test(
  "a slot out of view: painted there, but exposed only when it is scrolled to",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/style.css"] = style;
    const body = `${text.repeat(20)}<div data-midsession-slot="nudge"></div>`;
    collector.pages["/"] = page('data-auto="page"', body, reserved);
    const view = await listen();
    collector.intervene();
    await until(() => collector.named("painted").length, "the report");
    await settle();
    assert.equal(collector.named("exposure").length, 0);
    await card(view).scrollIntoViewIfNeeded();
    await until(() => collector.named("exposure").length == 1, "the exposure");
  }),
);

test(
  "two slots: two cards; the same slot again: it waits until the first is gone, and is reported only then",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    collector.intervene({ slot: "a", payload: { title: "One" } });
    collector.intervene({ slot: "b", payload: { title: "Two" } });
    await painted(view, 2);
    const third = collector.intervene({ slot: "a", payload: { title: "Three" } });
    const taken = collector.intervene({ slot: "a", payload: { title: "Four" } });
    await until(() => collector.named("painted").length == 2, "the reports");
    await settle();
    assert.equal(await view.getByRole("heading", { name: "One" }).count(), 1);
    assert.equal(collector.named("painted").length, 2);
    collector.send("retract", { decision_id: taken.decision_id, reason: "overtaken" });
    await settle();
    await view.getByRole("region", { name: "One" }).getByRole("button", { name: "Close" }).click();
    await until(async () => (await view.getByRole("heading", { name: "Three" }).count()) == 1, "the next");
    await until(() => collector.named("painted").length == 3, "its report");
    assert.equal(collector.named("painted")[2]!.decision_id, third.decision_id);
    await view.getByRole("region", { name: "Three" }).getByRole("button", { name: "Close" }).click();
    await settle();
    assert.equal(await view.getByRole("heading", { name: "Four" }).count(), 0, "taken back while it waited");
    collector.intervene({ slot: "a", payload: { title: "Five" } });
    await painted(view, 2);
    const boxes = await Promise.all((await card(view).all()).map((one) => one.boundingBox()));
    assert.ok(boxes[0]!.y + boxes[0]!.height <= boxes[1]!.y, "they do not cover each other");
  }),
);

test(
  "a polite status with heading, text, action and a close button; the focus stays where it is",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-auto="page"', "<input aria-label='Search' id='search'>");
    const view = await listen();
    const live = view.locator("midsession-card [role=status][aria-live=polite]");
    await until(async () => (await live.count()) == 1, "the live region before anything is said in it");
    await view.locator("#search").focus();
    collector.intervene({ payload: full });
    const shown = await painted(view);
    assert.equal(await live.locator("section").count(), 1);
    assert.equal(await view.evaluate(() => document.activeElement!.id), "search");
    assert.equal(await shown.getByRole("heading").textContent(), full.title);
    assert.equal(await shown.locator("p").textContent(), full.body);
    assert.equal(await shown.getByRole("link").getAttribute("href"), "/cart");
    assert.equal(await view.getByRole("region", { name: full.title! }).count(), 1);
    assert.equal(await shown.getByRole("button").count(), 3);
  }),
);

test(
  "Esc closes, newest first, and gives the focus back where it came from",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-auto="page"', "<button id='add'>Add</button>");
    const view = await listen();
    await view.locator("#add").focus();
    const older = collector.intervene({ slot: "a", payload: full });
    await until(() => collector.named("exposure").length == 1, "the first in view");
    const newer = collector.intervene({ slot: "b", payload: full });
    await until(() => collector.named("exposure").length == 2, "the second in view");
    await card(view).last().getByRole("link").focus();
    await view.keyboard.press("Escape");
    await until(() => collector.named("dismiss").length == 1, "the first dismissal");
    assert.equal(collector.named("dismiss")[0]!.decision_id, newer.decision_id);
    assert.equal(await view.evaluate(() => document.activeElement!.id), "add");
    await view.keyboard.press("Escape");
    await until(() => collector.named("dismiss").length == 2, "the second dismissal");
    assert.equal(collector.named("dismiss")[1]!.decision_id, older.decision_id);
    await view.keyboard.press("Escape");
    await settle();
    assert.equal(collector.named("dismiss").length, 2);
  }),
);

test(
  "an Esc that the page has used is not ours",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await view.evaluate(() => document.addEventListener("keydown", (event) => event.preventDefault()));
    collector.intervene();
    await until(() => collector.named("exposure").length, "the card in view");
    await view.keyboard.press("Escape");
    await settle();
    assert.equal(await card(view).count(), 1);
  }),
);

test(
  "an Esc that closes the page's dialog or popover leaves the card; the next one closes it",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-auto="page"', "<dialog>One moment</dialog><div popover id='menu'>Menu</div>");
    const view = await listen();
    collector.intervene();
    await until(() => collector.named("exposure").length, "the card in view");
    await view.evaluate(() => document.querySelector("dialog")!.showModal());
    await view.keyboard.press("Escape");
    await until(() => view.evaluate(() => !document.querySelector("dialog")!.open), "the dialog to close");
    assert.equal(await card(view).count(), 1);
    await view.evaluate(() => document.getElementById("menu")!.showPopover());
    await view.keyboard.press("Escape");
    await until(() => view.evaluate(() => !document.querySelector(":popover-open")), "the popover to close");
    assert.equal(await card(view).count(), 1);
    await view.keyboard.press("Escape");
    await until(async () => !(await card(view).count()), "the card to close");
  }),
);

test(
  "an Esc closes no card that is out of view",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/style.css"] = style;
    collector.pages["/"] = page('data-auto="page"', `${text.repeat(20)}<div data-midsession-slot="nudge"></div>`, reserved);
    const view = await listen();
    collector.intervene();
    await painted(view);
    await seen(view, false);
    await view.keyboard.press("Escape");
    await settle();
    assert.equal(await card(view).count(), 1);
    await card(view).scrollIntoViewIfNeeded();
    await until(() => collector.named("exposure").length, "the exposure");
    await view.evaluate(() => scrollTo(0, 0));
    await seen(view, false);
    await view.keyboard.press("Escape");
    await settle();
    assert.equal(await card(view).count(), 1, "out of view again");
    await card(view).scrollIntoViewIfNeeded();
    await seen(view, true);
    await view.keyboard.press("Escape");
    await until(async () => !(await card(view).count()), "the card to close");
  }),
);

test(
  "the action is reported although the page goes away with it",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    collector.pages["/cart"] = page();
    const view = await listen();
    const { decision_id } = collector.intervene({ payload: full });
    await (await painted(view)).getByRole("link").click();
    await view.waitForURL("**/cart");
    const click = await until(() => collector.named("click")[0], "the click");
    assert.equal(click.decision_id, decision_id);
    assert.equal(collector.named("dismiss").length, 0);
  }),
);

test(
  "a label without an address is a button that tells the page",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await view.evaluate(() => window.midsession!("on", "click", (frame) => (document.title = "chat for " + frame.rule)));
    collector.intervene({ payload: { title: "Questions?", label: "Chat with us" } });
    await (await painted(view)).getByRole("button", { name: "Chat with us" }).click();
    await until(() => collector.named("click").length == 1, "the click");
    assert.equal(await view.title(), "chat for cart_stalled");
    assert.equal(await card(view).count(), 0);
  }),
);

test(
  "a code can be copied, and that is a click",
  shop({ permissions: ["clipboard-read", "clipboard-write"] }, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    collector.intervene({ payload: { ...full, copy: "Copy code" } });
    const shown = await painted(view);
    await shown.getByRole("button", { name: "Copy code" }).click();
    await shown.getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await view.evaluate(() => navigator.clipboard.readText()), "AUTUMN-10");
    await until(() => collector.named("click").length == 1, "the click");
    assert.equal(await card(view).count(), 1, "it stays");
  }),
);

const locales = {
  de: { title: "Noch unschlüssig?", label: "Zum Warenkorb" },
  "de-AT": { title: "Noch am Überlegen?" },
};
for (const [html, locale, lang, title, label] of [
  ["de-DE", "en-US", "de", "Noch unschlüssig?", "Zum Warenkorb"],
  ["", "de-DE", "de", "Noch unschlüssig?", "Zum Warenkorb"],
  ["", "de-AT", "de-AT", "Noch am Überlegen?", "To the cart"],
  ["en", "de-DE", "", "Still thinking?", "To the cart"],
  ["fr-FR", "de-DE", "", "Still thinking?", "To the cart"],
] as const) {
  test(
    `text for a page in "${html}" and a browser in ${locale}`,
    shop({ locale }, async ({ collector, listen }) => {
      collector.pages["/"] = page();
      const view = await listen();
      await view.evaluate((html) => void (document.documentElement.lang = html), html);
      collector.intervene({ payload: { ...full, locales } });
      const shown = await painted(view);
      assert.equal(await shown.getByRole("heading").textContent(), title);
      assert.equal(await shown.evaluate((card) => (card as HTMLElement).lang), lang);
      assert.equal(await shown.getByRole("link").textContent(), label);
      assert.equal(await shown.locator("p").textContent(), full.body);
    }),
  );
}

for (const [reducedMotion, moves] of [
  ["reduce", false],
  ["no-preference", true],
] as const) {
  test(
    `motion ${reducedMotion}: ${moves ? "slides in" : "does not move"}`,
    shop({ reducedMotion }, async ({ collector, listen }) => {
      collector.pages["/"] = page();
      const view = await listen();
      const host = view.locator("midsession-card [role=status]");
      await host.waitFor({ state: "attached" });
      await host.evaluate((region) => {
        region.addEventListener("transitionrun", () => (document.title = "moves"));
      });
      collector.intervene();
      await until(() => collector.named("exposure").length, "the card in view");
      if (moves) await until(async () => (await view.title()) == "moves", "the motion");
      else await settle();
      assert.equal(await view.title(), moves ? "moves" : "Shop");
    }),
  );
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [390, 1440]) {
    test(
      `no axe violations: ${colorScheme}, ${width} px`,
      shop({ colorScheme, viewport: { width, height: 844 } }, async ({ collector, listen }) => {
        collector.pages["/"] = page('data-auto="page"', text);
        const view = await listen();
        collector.intervene({ payload: full });
        collector.intervene({ slot: "chat", payload: { title: "Questions?", label: "Chat with us" } });
        await painted(view, 2);
        await settle();
        await view.evaluate(axe);
        const { violations, passes } = await view.evaluate(async () => {
          const { axe } = window as unknown as { axe: { run(): Promise<{ violations: object[]; passes: object[] }> } };
          const { violations, passes } = await axe.run();
          return { violations, passes: passes.length };
        });
        assert.deepEqual(violations, []);
        assert.ok(passes > 10);
        const box = (await card(view).first().boundingBox())!;
        assert.ok(box.x >= 0 && box.x + box.width <= width);
        const wide = await view.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, "nothing to scroll sideways");
      }),
    );
  }
}

const pwn = "window.__pwned=1";
const hostile = [
  `<script>${pwn}</script>`,
  `<img src=x onerror=${pwn}>`,
  `<svg onload=${pwn}>`,
  `"><img src=x onerror="${pwn}">`,
  `'-${pwn}-'`,
  `javascript:${pwn}`,
  `JaVaScRiPt:${pwn}`,
  `java\nscript:${pwn}`,
  ` \u0001javascript:${pwn}`,
  `data:text/html,<script>parent.${pwn}</script>`,
  `vbscript:${pwn}`,
  `blob:${pwn}`,
  `//evil.example/%0d%0aX:1`,
  `{{constructor.constructor('${pwn}')()}}`,
  `\${${pwn}}`,
  `</section></style><style>*{display:none}`,
  `<a href="javascript:${pwn}">x</a>`,
  `<iframe srcdoc="<script>parent.${pwn}</script>">`,
  `\u202e\u0000\ufeff<b onmouseover=${pwn}>`,
  `"]'\\a{}${pwn}`,
];

test(
  "hostile text stays text, wherever it stands",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-auto="page"', '<div data-midsession-slot="x"></div>');
    const view = await listen();
    const foreign: string[] = [];
    view.on("request", (request) => {
      if (!request.url().startsWith(collector.base)) foreign.push(request.url());
    });
    for (const [index, evil] of hostile.entries()) {
      collector.intervene({
        slot: evil,
        rule: evil,
        payload: { title: evil, body: evil, action: evil, label: evil, dismiss: evil, code: evil, copy: evil },
      });
      await painted(view, index + 1);
      const shown = card(view).last();
      assert.equal(await shown.locator("h2").textContent(), evil);
      assert.equal(await shown.locator("p").textContent(), evil);
      for (const link of await shown.getByRole("link").all()) {
        const protocol = await link.evaluate((element) => (element as HTMLAnchorElement).protocol);
        assert.match(protocol, /^https?:$/, evil);
      }
      for (const button of await shown.getByRole("button").all()) {
        if (await button.isVisible()) await button.evaluate((element) => (element as HTMLElement).click());
        if (!(await shown.count())) break;
      }
      // A closed one makes room for counting the next.
      collector.intervene({ slot: evil, payload: { title: "kept" } });
      await painted(view, index + 1);
    }
    assert.equal(await view.evaluate(() => (window as { __pwned?: number }).__pwned), undefined);
    assert.deepEqual(foreign, []);
    const tags = await view.evaluate(() => document.querySelectorAll("iframe, img, svg, style").length);
    assert.equal(tags, 0);
  }),
);

test(
  "broken frames are left alone and the next one is shown",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    collector.intervene({ payload: {} });
    await painted(view);
    await say(view, "page");
    collector.intervene({ slot: "b", payload: { title: "Fine" } });
    await until(async () => (await view.getByRole("heading", { name: "Fine" }).count()) == 1, "the next");
  }),
);

test(
  "a slot that takes no shadow root: the card floats; a slot that comes later has its live region before its first text",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-auto="page"', '<ul><li data-midsession-slot="nudge"></li></ul>');
    const view = await listen();
    await view.evaluate(() => {
      const late = document.createElement("div");
      late.dataset.midsessionSlot = "late";
      document.querySelector("main")!.append(late);
    });
    await say(view, "page");
    await view.locator("[data-midsession-slot=late] [role=status]").waitFor({ state: "attached" });
    collector.intervene();
    await view.locator("midsession-card section[part=card]").waitFor();
    await until(() => collector.named("painted").length, "the report");
  }),
);

test(
  "the card can't be loaded: nothing is reported; the next intervention asks under an address that is new to the browser",
  shop({}, async ({ collector, context, listen }) => {
    collector.pages["/"] = page();
    collector.cardless = true;
    const asked: string[] = [];
    context.on("request", (request) => request.url().includes("midsession-card") && asked.push(request.url()));
    const view = await listen();
    // Once at once, and again for the intervention: each time until the page knows that there is none.
    const refused = (times: number) =>
      until(
        () => view.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => name.includes("card")).length).then((n) => n == times),
        `${times} refusals`,
      );
    await refused(1);
    const lost = collector.intervene();
    await refused(2);
    await settle();
    assert.equal(collector.named("painted").length + (await card(view).count()), 0);
    assert.ok(!(await view.evaluate(() => localStorage._ms_seen ?? "")).includes(lost.decision_id), "free for another tab");
    collector.cardless = false;
    collector.intervene();
    await until(() => collector.named("painted").length, "the report");
    assert.equal(await card(view).count(), 1);
    assert.equal(new Set(asked).size, asked.length, asked.join());
  }),
);

test(
  "a slot that is too narrow gets no card; who looks elsewhere when a card closes keeps the focus there",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/style.css"] = "div[data-midsession-slot] { height: 900px; width: 200px }";
    const body = '<div data-midsession-slot="nudge"></div><button id="one">1</button><button id="two">2</button>';
    collector.pages["/"] = page('data-auto="page"', body, reserved);
    const view = await listen();
    await view.locator("#one").focus();
    collector.intervene({ payload: { title: "Hi" } });
    await until(() => collector.named("exposure").length, "the card in view");
    assert.equal(await view.locator("midsession-card section").count(), 1);
    await view.locator("#two").focus();
    await view.keyboard.press("Escape");
    await until(async () => !(await card(view).count()), "the card to close");
    assert.equal(await view.evaluate(() => document.activeElement!.id), "two");
  }),
);
