//! The console in Chromium against a mock of the admin listener: every screen, keyboard, accessibility, hostile text.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launch, until } from "./browser.ts";
import { fonts, misfits, setIn } from "../../store/test/fit.ts";
import { startMock, type Mock } from "./mock.ts";
import { World } from "./world.ts";

let browser: Browser;
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

before(async () => {
  browser = await launch();
});
after(() => browser.close());

interface Opened {
  page: Page;
  /** Errors of the page and refusals of its policy. */
  faults: string[];
}

async function open(mock: Mock, hash: string, options: { scheme?: "light" | "dark"; width?: number } = {}): Promise<Opened> {
  const { scheme = "light", width = 1440 } = options;
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => message.type() === "error" && !/status of (401|404|503)|ERR_/.test(message.text()) && faults.push(message.text()));
  await page.goto(`${mock.url}/${hash}`);
  return { page, faults };
}

async function withMock(world: World, run: (mock: Mock) => Promise<void>): Promise<void> {
  const mock = await startMock(world);
  try {
    await run(mock);
  } finally {
    for (const context of browser.contexts()) await context.close();
    await mock.close();
  }
}

const screens = (world: World): Record<string, string> => ({
  overview: "#/overview",
  sessions: "#/sessions",
  "a session": `#/sessions/${world.sessions[3]?.session_id}`,
  interventions: "#/interventions",
  "dead letters": "#/dead-letters",
  "a dead letter": `#/dead-letters/${world.deadLetters[0]?.offset}-${world.deadLetters[0]?.stamp_ms}`,
  latency: "#/budget",
  ...{ features: "#/features/u-ada", definitions: "#/features" },
});

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe;
    const { violations } = await axe.run();
    return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} ${n.failureSummary}`).join(" | ").slice(0, 700)}`);
  });
}

describe("every screen", () => {
  for (const scheme of ["light", "dark"] as const)
    for (const width of [1440, 390])
      test(`has no accessibility violation, no fault and no sideways scroll, ${scheme}, ${width} px`, () =>
        withMock(new World(7, 120), async (mock) => {
          for (const [name, hash] of Object.entries(screens(mock.world))) {
            const { page, faults } = await open(mock, hash, { scheme, width });
            await page.locator("h1").first().waitFor({ state: "attached" });
            await page.locator(".loading").first().waitFor({ state: "detached" });
            assert.deepEqual(await violations(page), [], name);
            assert.deepEqual(faults, [], name);
            const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.equal(over, 0, `${name} is ${over} px too wide`);
            await page.context().close();
          }
        }));
});

describe("a narrow page", () => {
  for (const font of fonts)
    test(`has room for everything in ${font}`, () =>
      withMock(new World(7, 120), async (mock) => {
        for (const [name, hash] of Object.entries(screens(mock.world))) {
          const { page } = await open(mock, hash, { width: 390 });
          await page.locator("h1").first().waitFor({ state: "attached" });
          await page.locator(".loading").first().waitFor({ state: "detached" });
          await setIn(page, font);
          assert.deepEqual(await misfits(page), [], name);
          await page.context().close();
        }
      }));
});

for (const width of [1440, 390])
  test(`whose decision and session it is stands in each row, whole and in sight, ${width} px`, () =>
    withMock(new World(7, 120), async (mock) => {
      const labels = new Map(mock.world.overview(Date.now()).sources.map(({ name, label }) => [name, label]));
      for (const [hash, rows] of [
        ["#/overview", ".decisions tbody tr"],
        ["#/interventions", ".decisions tbody tr"],
        ["#/sessions", ".list .row"],
      ] as const) {
        const { page } = await open(mock, hash, { width });
        await page.locator(rows).first().waitFor();
        await page.locator(rows, { hasText: "simulated shoppers" }).first().waitFor();
        const tags = await page.locator(rows).evaluateAll((rows) =>
          rows.map((row) => {
            const tag = row.querySelector(".source");
            const [inner, outer] = [tag?.getBoundingClientRect(), row.getBoundingClientRect()];
            const whole = tag && inner && inner.width > 0 && tag.scrollWidth <= tag.clientWidth && inner.left >= outer.left && inner.right <= outer.right && inner.bottom <= outer.bottom;
            return whole ? tag.textContent : `missing or cut in ${row.textContent}`;
          }),
        );
        assert.ok(tags.length > 5, hash);
        for (const tag of tags) assert.ok([...labels.values()].includes(tag ?? ""), `${hash}: ${tag}`);
        await page.context().close();
      }
    }));

test("what a simulation reports as painted is not called seen, and has no time to the screen; nor has what no browser timed", () =>
  withMock(new World(7, 0), async (mock) => {
    mock.world.sessions.push(mock.world.newSession(Date.now()));
    const painted = (rule: string, source: string, sent_to_painted_ms: number | null) => {
      const at_ms = Date.now();
      return { ...mock.world.newDecision(at_ms), rule, source, outcome: "served", painted_at_ms: at_ms + 3_770, clicked_at_ms: null, sent_to_painted_ms };
    };
    mock.world.decisions.push(painted("real", "shop", 42), painted("untimed", "shop", null), painted("made_up", "shoppers", 3_770));
    const { page } = await open(mock, "#/overview");
    const row = (name: string) => page.locator(".decisions tr", { hasText: name });
    await row("Real").waitFor();
    const cells = async (name: string) => [await row(name).locator(".d-outcome").textContent(), await row(name).locator(".d-screen").textContent()];
    assert.deepEqual(await cells("Real"), ["on the shopper’s screen", "42 ms"]);
    assert.deepEqual(await cells("Untimed"), ["on the shopper’s screen", "–"]);
    assert.deepEqual(await cells("Made up"), ["simulated as painted", "–"]);
    const figure = page.locator(".figure", { hasText: "Interventions painted" });
    await figure.getByText("on screens; 370 more simulated").waitFor();
    assert.equal(await figure.locator("b").textContent(), "29");
    const table = page.locator(".panel", { hasText: "From rule to screen" }).locator("tbody tr");
    assert.deepEqual(
      (await table.allInnerTexts()).map((row) => row.replaceAll(/\s+/g, " ").trim()),
      ["demo shop 31 29 6", "simulated shoppers 387 370 simulated 91", "bol.com replay 0 0 0"],
    );
  }));

test("long values break, shoppers' text keeps its direction to itself, and the form follows the address", () =>
  withMock(new World(7, 20), async (mock) => {
    const long = "u".repeat(300);
    const { page } = await open(mock, `#/features/${long}`, { width: 390 });
    await page.locator("h2", { hasText: long }).waitFor();
    assert.deepEqual(await misfits(page), []);
    await page.goto(`${mock.url}/#/features/u-bo?kind=session`);
    await page.locator("h2", { hasText: "u-bo" }).waitFor();
    assert.deepEqual(await page.locator(".lookup").locator("input, select").evaluateAll((fields) => fields.map((field) => (field as HTMLInputElement).value)), ["session", "u-bo"]);
    await page.goto(`${mock.url}/#/sessions`);
    const directions = await page.locator(".row").first().locator("b, bdi").evaluateAll((all) => all.map((element) => getComputedStyle(element).unicodeBidi));
    assert.deepEqual(directions, ["isolate", "isolate"]);
  }));

test("a rule that came true is not called a silence: an event may have done it", () =>
  withMock(new World(7, 20), async (mock) => {
    const { page } = await open(mock, screens(mock.world)["a session"] ?? "");
    await page.locator(".mark-timer").first().waitFor();
    assert.equal(await page.locator(".mark-timer").first().textContent(), "rule");
  }));

test("a session's features have room for a word, or a value before and after, in every window", () =>
  withMock(new World(7, 20), async (mock) => {
    const plain = mock.world.features.bind(mock.world);
    const words = ["", "_5m", "_1h", "_24h"].map((window) => [`top_category${window}`, "Ceramics"]);
    const prices = (step: number) => ["", "_5m", "_1h", "_24h"].map((window) => [`avg_viewed_price${window}`, 145.5 + step]);
    mock.world.features = (step) => ({ ...plain(step), ...Object.fromEntries([...words, ...prices(step)]), unique_categories_1h: 3 });
    const { page } = await open(mock, screens(mock.world)["a session"] ?? "");
    await page.locator(".features", { hasText: "Cera" }).waitFor();
    assert.deepEqual(await misfits(page), []);
  }));

describe("live", () => {
  test("a new session appears on top without a reload, and a reader further down is not moved", () =>
    withMock(new World(8, 300), async (mock) => {
      const { page } = await open(mock, "#/sessions");
      await page.locator(".row").first().waitFor();
      await until(() => mock.listeners() === 1, "the live connection");
      const fresh = (id: string) => ({ ...mock.world.newSession(Date.now() + 60_000), session_id: id, user_id: id, version: 5 });
      mock.batch({ sessions: [fresh("brand-new")] });
      await page.locator(".row", { hasText: "brand-new" }).waitFor();
      assert.match((await page.locator(".row").first().textContent()) ?? "", /brand-new/);
      await page.locator(".list").evaluate((list) => list.scrollTo({ top: 3_000 }));
      await page.locator("#s-44").waitFor();
      const text = await page.locator("#s-50 .row-who").textContent();
      mock.batch({ sessions: [fresh("newer-still")] });
      await page.getByRole("button", { name: "1 new" }).waitFor();
      assert.equal(await page.locator("#s-50 .row-who").textContent(), text);
      await page.getByRole("button", { name: "1 new" }).click();
      await page.locator(".row", { hasText: "newer-still" }).waitFor();
    }));

  test("a page that nobody looks at gives its connection back, and reads all again when somebody does", () =>
    withMock(new World(9, 30), async (mock) => {
      const { page } = await open(mock, "#/sessions");
      await page.locator(".row").first().waitFor();
      await until(() => mock.listeners() === 1, "the live connection");
      const look = (hidden: boolean) =>
        page.evaluate((hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }, hidden);
      await look(true);
      await until(() => mock.listeners() === 0, "the connection to close");
      const now = mock.world.sessions.filter((s) => s.state === "open" || s.state === "idle");
      const over = now.sort((a, b) => b.started_at_ms - a.started_at_ms)[0];
      mock.world.sessions.splice(mock.world.sessions.indexOf(over as (typeof now)[0]), 1, { ...mock.world.newSession(Date.now()), session_id: "meanwhile", user_id: "meanwhile", state: "open" });
      await look(false);
      await until(() => mock.listeners() === 1, "the connection again");
      await page.locator(".row", { hasText: "meanwhile" }).waitFor();
      await page.getByText(`${now.length} sessions`).waitFor();
    }));

  test("only the rows in sight are in the page", () =>
    withMock(new World(9, 1_000), async (mock) => {
      const { page } = await open(mock, "#/sessions");
      await page.locator(".row").first().waitFor();
      const rows = await page.locator(".list .row").count();
      assert.ok(rows > 5 && rows < 60, `${rows} rows`);
    }));

  test("the filter finds by text and by source", () =>
    withMock(new World(10, 200), async (mock) => {
      const { page } = await open(mock, "#/sessions");
      await page.locator(".row").first().waitFor();
      await page.locator("#session-source").selectOption({ label: "bol.com replay" });
      const bol = mock.world.sessions.filter((s) => s.source === "bol");
      await page.getByText(`${bol.length} sessions`).waitFor();
      await page.locator("#session-text").fill(bol[0]?.visitor_id ?? "");
      await page.getByText(/^1 session/).waitFor();
      await page.locator("#session-text").fill("no such thing");
      await page.getByText("No session matches").waitFor();
    }));

  test("a link by visitor opens that visitor's session", () =>
    withMock(new World(10, 50), async (mock) => {
      const s = mock.world.sessions[20];
      const { page } = await open(mock, `#/sessions?q=${s?.visitor_id}`);
      await page.waitForURL((url) => url.hash === `#/sessions/${s?.session_id}`);
    }));

  test("a cut connection is said, and made again by itself", () =>
    withMock(new World(11, 20), async (mock) => {
      const { page } = await open(mock, "#/overview");
      await page.getByText("Live", { exact: true }).waitFor();
      mock.failWith = 503;
      mock.cut();
      await page.getByText("Reconnecting").waitFor();
      await page.getByText("Connection lost").waitFor();
      mock.failWith = 0;
      await page.getByText("Live", { exact: true }).waitFor();
    }));

  test("a decision and a rejected event appear as they come", () =>
    withMock(new World(12, 20), async (mock) => {
      const { page } = await open(mock, "#/interventions");
      await page.locator(".decisions").waitFor();
      await until(() => mock.listeners() === 1, "the live connection");
      const decision = { ...mock.world.newDecision(Date.now()), rule: "just_now" };
      mock.batch({ decisions: [decision] });
      await page.locator(".decisions tr", { hasText: "Just now" }).waitFor();
      mock.batch({ decisions: [{ ...decision, outcome: "served", painted_at_ms: Date.now(), clicked_at_ms: Date.now() }] });
      await page.locator(".decisions tr", { hasText: "Just now" }).getByText("clicked").waitFor();
      await page.goto(`${mock.url}/#/dead-letters`);
      mock.batch({ dead_letters: [{ ...mock.world.newDeadLetter(Date.now() + 1_000), message: "Quite wrong" }] });
      await page.locator(".letter", { hasText: "Quite wrong" }).click();
      // Its bytes are asked for, not sent along.
      await page.getByRole("button", { name: "Show the event" }).click();
      await page.locator(".payload", { hasText: "e-1" }).waitFor();
    }));
});

test("rejected events that can't be read are said to be missing", async () => {
  const world = new World(15, 20);
  world.unreadable = 2;
  await withMock(world, async (mock) => {
    const { page } = await open(mock, "#/dead-letters");
    await page.getByRole("status").filter({ hasText: "2 are missing here: the log is damaged where they stand." }).waitFor();
    await page.locator(".letter").first().waitFor();
  });
});

describe("keyboard", () => {
  test("arrows and Enter choose a session; arrows walk its timeline and its features follow", () =>
    withMock(new World(13, 60), async (mock) => {
      const { page } = await open(mock, "#/sessions");
      await page.locator(".row").first().waitFor();
      await page.getByRole("listbox", { name: "Sessions" }).focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await page.locator('[role=listbox][aria-activedescendant="s-2"]').waitFor();
      await page.keyboard.press("Enter");
      const entries = page.getByRole("listbox", { name: /Timeline/ });
      await entries.waitFor();
      await entries.focus();
      await page.keyboard.press("Home");
      await page.locator(".detail-head h3", { hasText: "Page viewed" }).waitFor();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await page.locator(".detail-head h3", { hasText: "Put in cart" }).waitFor();
      const cart = page.locator(".features tr", { hasText: "Cart is worth" });
      assert.match((await cart.locator("mark").textContent()) ?? "", /129\.00/);
      await page.keyboard.press("End");
      await page.locator(".detail .note", { hasText: "step 2" }).waitFor();
    }));

  test("Alt and a digit change the screen, and the heading is next to read", () =>
    withMock(new World(14, 5), async (mock) => {
      const { page } = await open(mock, "#/overview");
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
      await page.keyboard.press("Alt+5");
      await page.getByRole("heading", { level: 1, name: "Latency" }).waitFor();
      // The focus follows the screen in the next frame.
      await page.waitForFunction(() => document.activeElement?.id === "main");
    }));

  test("every control is reached by Tab", () =>
    withMock(new World(15, 10), async (mock) => {
      const { page } = await open(mock, "#/interventions");
      await page.locator(".rule").first().waitFor();
      const reached = new Set<string>();
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        reached.add(await page.evaluate(() => document.activeElement?.getAttribute("role") ?? document.activeElement?.tagName ?? ""));
      }
      for (const kind of ["switch", "SELECT", "BUTTON", "INPUT", "SUMMARY", "A"]) assert.ok(reached.has(kind), kind);
    }));
});

describe("interventions", () => {
  test("the kill switch, the holdout, the dry run and the preview ask the server for just that", () =>
    withMock(new World(16, 10), async (mock) => {
      const { page } = await open(mock, "#/interventions");
      const card = page.locator(".rule", { hasText: "Cart stalled" });
      await card.waitFor();
      await card.getByRole("switch").click();
      await card.getByText("off", { exact: true }).waitFor();
      await card.getByLabel("Held back for comparison").selectOption("0.2");
      await until(() => mock.asked.length === 2, "the holdout");
      await card.getByRole("button", { name: "Whom would it have reached?" }).click();
      await card.getByText("it would have reached 37 shoppers, 41 times in all").waitFor();
      await card.getByLabel("Visitor id of your browser").fill("v-1");
      await card.getByRole("button", { name: "Preview there" }).click();
      await card.getByText("marked as a preview").waitFor();
      assert.deepEqual(mock.asked, [
        { method: "PUT", path: "/v1/interventions/cart_stalled", body: { enabled: false } },
        { method: "PUT", path: "/v1/interventions/cart_stalled", body: { holdout: 0.2 } },
        { method: "POST", path: "/v1/interventions/cart_stalled/dry-run", body: {} },
        { method: "POST", path: "/v1/interventions/cart_stalled/preview", body: { visitor_id: "v-1" } },
      ]);
    }));

  test("a preview says whom it reached, names its failure in red, needs an id and remembers it", () =>
    withMock(new World(16, 4), async (mock) => {
      const { page } = await open(mock, "#/interventions");
      const card = page.locator(".rule", { hasText: "Chat offer" });
      const button = card.getByRole("button", { name: "Preview there" });
      const answer = card.getByRole("status");
      await button.waitFor();
      assert.equal(await button.isDisabled(), true, "without an id");
      await card.getByLabel("Visitor id of your browser").fill("  v-7 ");
      mock.previewPages = 0;
      await button.click();
      await answer.getByText("no page open that listens").waitFor();
      mock.previewPages = 3;
      await button.click();
      await answer.getByText("Sent to 3 open pages of that browser").waitFor();
      assert.equal(await answer.evaluate((element) => element.classList.contains("bad")), false);
      mock.failWith = 503;
      await button.click();
      await answer.getByText("The server is restarting.").waitFor();
      assert.equal(await answer.evaluate((element) => element.classList.contains("bad")), true);
      mock.failWith = 0;
      assert.deepEqual(mock.asked, [1, 2].map(() => ({ method: "POST", path: "/v1/interventions/chat_offer/preview", body: { visitor_id: "v-7" } })));
      await page.reload();
      await card.waitFor();
      assert.equal(await card.getByLabel("Visitor id of your browser").inputValue(), "v-7");
    }));

  test("one's own visitor id is filled in where the browser has been in the shop", () =>
    withMock(new World(16, 4), async (mock) => {
      const { page } = await open(mock, "#/overview");
      await page.context().addCookies([{ name: "_ms_vid", value: "v-mine", url: mock.url }]);
      await page.goto(`${mock.url}/#/interventions`);
      await page.locator(".rule").first().waitFor();
      assert.equal(await page.getByLabel("Visitor id of your browser").first().inputValue(), "v-mine");
    }));
});

describe("when things are not well", () => {
  test("a rule that can't be carried out is marked, and says why", () =>
    withMock(new World(17, 3), async (mock) => {
      Object.assign(mock.world.interventions[1]!, { error: "no such feature: user.cart_count" });
      const { page } = await open(mock, "#/interventions");
      const card = page.locator(".rule-broken");
      await card.waitFor();
      assert.equal(await card.getByRole("heading").textContent(), "Chat offer");
      assert.equal((await card.getByRole("alert").textContent())?.trim(), "no such feature: user.cart_count");
      assert.equal(await page.getByRole("alert").count(), 1);
    }));

  test("who is not signed in is told how", () =>
    withMock(new World(17, 3), async (mock) => {
      mock.failWith = 401;
      const { page } = await open(mock, "#/overview");
      await page.getByText("This browser is not signed in").waitFor();
      assert.deepEqual(await violations(page), []);
    }));

  test("a failing server is said with a way to try again", () =>
    withMock(new World(18, 3), async (mock) => {
      mock.failWith = 503;
      const { page } = await open(mock, "#/interventions");
      await page.getByText("Could not be loaded").waitFor();
      assert.deepEqual(await violations(page), []);
      mock.failWith = 0;
      await page.getByRole("button", { name: "Try again" }).click();
      await page.locator(".rule").first().waitFor();
    }));

  test("an empty shop is said in words", () =>
    withMock(new World(19, 0), async (mock) => {
      mock.world.interventions = [];
      for (const [hash, words] of [
        ["#/sessions", "Nobody is in the shop"],
        ["#/interventions", "No interventions are defined"],
        ["#/dead-letters", "every event so far was accepted"],
        ["#/sessions/gone", "No such session"],
        ["#/features/nobody", "Nobody by that id"],
      ] as const) {
        const { page } = await open(mock, hash);
        await page.getByText(words).first().waitFor();
        await page.context().close();
      }
    }));
});

test("what a shopper sends is text and nothing else, on every screen", () =>
  withMock(
    new World(20, 30, Date.now(), (plain) => `${plain}"'><img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script><svg onload=window.__pwned=1></svg>javascript:window.__pwned=1`),
    async (mock) => {
      for (const hash of Object.values(screens(mock.world))) {
        const { page, faults } = await open(mock, hash);
        await page.locator("h1").first().waitFor();
        await page.locator(".loading").first().waitFor({ state: "detached" });
        const found = await page.evaluate(() => ({
          pwned: "__pwned" in window,
          planted: document.querySelectorAll("#app img, #app script, #app iframe, #app [onerror], #app [onload]").length,
          links: [...document.querySelectorAll("a[href], form[action], [src]")].map((a) => a.getAttribute("href") ?? a.getAttribute("src") ?? "").filter((u) => !/^(#\/|#main$|\/)/.test(u)),
        }));
        assert.deepEqual(found, { pwned: false, planted: 0, links: [] }, hash);
        assert.deepEqual(faults, [], hash);
        await page.context().close();
      }
    },
  ));

test("the theme is the system's, also when that changes, until one is chosen, which is remembered", () =>
  withMock(new World(21, 3), async (mock) => {
    const { page } = await open(mock, "#/overview", { scheme: "light" });
    const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await colour();
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForFunction((was) => getComputedStyle(document.body).backgroundColor !== was, light); // told a moment later
    const dark = await colour();
    const other = page.getByRole("button", { name: "Switch between light and dark" });
    await other.click();
    assert.equal(await colour(), light);
    await other.click();
    assert.equal(await colour(), dark);
    await page.emulateMedia({ colorScheme: "light" });
    assert.equal(await colour(), dark, "chosen");
    await page.reload();
    assert.equal(await colour(), dark);
  }));
