//! Events to the collector: what they carry, when they go, and that none is lost while it cannot be reached.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page } from "./collector.ts";
import { answered, say, settle, shops, spooled, until } from "./browser.ts";

const shop = shops();
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const quiet = 'data-push="off"';
const ids = (events: { event_id: string }[]) => events.map((event) => event.event_id).sort();

test(
  "an event carries identity, time and page; the visitor keeps a first-party cookie",
  shop({}, async ({ collector, open, context }) => {
    collector.pages["/"] = page('data-auto="page"');
    const view = await open("/?utm_source=letter#top");
    await until(() => collector.named("page_view")[0], "the page view");
    const id = await say(view, "track", "add_to_cart", {
      products: [{ id: "p1", price: 90 }],
      cart: { total_value: 90, currency: "EUR" },
    });
    const added = await until(() => collector.named("add_to_cart")[0], "the cart");
    const viewed = collector.named("page_view")[0]!;
    assert.match(added.event_id, uuid);
    assert.equal(added.event_id, id);
    assert.match(added.visitor_id, uuid);
    assert.equal(added.visitor_id, viewed.visitor_id);
    assert.deepEqual(added.products, [{ id: "p1", price: 90 }]);
    assert.deepEqual(viewed.page, { url: collector.base + "/?utm_source=letter#top", title: "Shop", referrer: "" });
    assert.ok(added.sent_at >= added.occurred_at && Math.abs(added.sent_at - Date.now()) < 60_000);
    assert.ok(collector.posts.every((post) => post.type.startsWith("text/plain")));
    const cookie = (await context.cookies()).find(({ name }) => name == "_ms_vid")!;
    assert.equal(cookie.value, added.visitor_id);
    assert.equal(cookie.path, "/");
    assert.equal(cookie.sameSite, "Lax");
    const days = (cookie.expires - Date.now() / 1000) / 86_400;
    assert.ok(days > 364 && days < 366, `${days} days`);
  }),
);

test(
  "the visitor stays the same on the next page and in the next tab",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page();
    const view = await open();
    await until(() => collector.named("page_view").length == 1, "first");
    // What is in flight when its page goes comes again.
    await answered(view);
    await view.reload();
    await until(() => collector.named("page_view").length == 2, "second");
    await open();
    await until(() => collector.named("page_view").length == 3, "third");
    assert.equal(new Set(collector.events.map((event) => event.visitor_id)).size, 1);
  }),
);

test(
  "commands queued before the script loads are carried out, consent first",
  shop({}, async ({ collector, open }) => {
    collector.pages["/early.js"] = `window.midsession = window.midsession || function () {
      (midsession.q = midsession.q || []).push(arguments) };
      midsession("track", "search", { query: "linen" }); midsession("consent", "cookieless");`;
    collector.pages["/"] = page('data-auto="page"', "", '<script src="/early.js"></script>');
    await open();
    await until(() => collector.named("search").length, "the search");
    assert.deepEqual(
      collector.events.map((event) => event.name),
      ["consent", "page_view", "search"],
    );
    assert.equal(collector.events[1]!.consent!.personalization, false);
  }),
);

test(
  "what nobody waits for is batched, what somebody waits for goes at once",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page(quiet);
    const view = await open();
    await view.evaluate(() => {
      const say = window.midsession!;
      say("track", "first");
    });
    await until(() => collector.posts.length == 1, "the first event alone");
    await view.evaluate(() => {
      const say = window.midsession!;
      for (let n = 0; n < 5; n++) say("track", "product_view");
    });
    await until(() => collector.posts.length == 2, "the batch");
    assert.equal(collector.posts[1]!.events.length, 5);
    // A request that hangs does not hold up an event somebody waits for.
    let release = () => {};
    collector.hold = new Promise<void>((done) => (release = done));
    await say(view, "track", "product_view");
    await until(() => collector.came == 3, "the one that hangs");
    collector.hold = undefined;
    await say(view, "track", "transaction");
    await until(() => collector.named("transaction").length, "the overtaking");
    assert.equal(collector.named("product_view").length, 5);
    release();
    await until(() => collector.named("product_view").length == 6, "the held one");
  }),
);

for (const [what, answer] of [
  ["503", { status: 503 }],
  ["429", { status: 429, headers: { "retry-after": "1" } }],
  ["408", { status: 408 }],
] as const) {
  test(
    `${what}: kept, sent again with the same ids, then forgotten`,
    shop({}, async ({ collector, open }) => {
      collector.answers = Array.from({ length: 99 }, () => answer);
      collector.pages["/"] = page(quiet);
      const view = await open();
      await view.evaluate(() => {
        for (let n = 0; n < 3; n++) window.midsession!("track", "product_view");
      });
      await until(async () => (await spooled(view)).length == 3, "storage");
      // Twice: Chromium itself repeats a POST answered 408 on a connection that it had used before.
      await until(() => collector.posts.length >= 3, "a refusal of the retry");
      collector.answers = [];
      await until(() => collector.events.length == 3, "the retry");
      for (const { events } of collector.posts) assert.deepEqual(ids(collector.posts[0]!.events), ids(events));
      await until(async () => (await spooled(view)).length == 0, "an empty storage");
      assert.ok(collector.posts[0]!.events[0]!.sent_at < collector.events[0]!.sent_at, "sent_at is of this sending");
      assert.equal(collector.posts.filter(({ status }) => status == 200).length, 1);
    }),
  );
}

test(
  "Retry-After is waited for",
  shop({}, async ({ collector, open }) => {
    collector.answers = [{ status: 503, headers: { "retry-after": "600" } }];
    collector.pages["/"] = page(quiet);
    const view = await open();
    await say(view, "track", "product_view");
    await answered(view);
    await new Promise((done) => setTimeout(done, 2_500));
    await say(view, "track", "transaction");
    await settle();
    assert.equal(collector.posts.length, 1);
  }),
);

for (const status of [400, 401, 403, 413]) {
  test(
    `${status} is final: dropped, counted, and the next event goes`,
    shop({}, async ({ collector, open }) => {
      collector.answers = [{ status }];
      collector.pages["/"] = page(quiet);
      const view = await open();
      await say(view, "track", "product_view");
      await until(() => collector.posts.length == 1, "the refusal");
      // The answer may still be on its way to the page.
      await until(async () => {
        await say(view, "track", "search");
        return collector.events.find((event) => event.properties!.tracker_dropped == 1);
      }, "the loss to be told");
      assert.equal(collector.named("product_view").length, 0);
      await until(async () => (await spooled(view)).length == 0, "an empty storage");
    }),
  );
}

test(
  "offline: kept over a page change, sent when the network is back",
  shop({}, async ({ collector, open, context }) => {
    collector.pages["/"] = page(quiet);
    const view = await open();
    await say(view, "track", "first");
    await until(() => collector.events.length == 1, "the first");
    await answered(view);
    await context.setOffline(true);
    const made = [await say(view, "track", "add_to_cart"), await say(view, "track", "product_view")];
    await until(async () => (await spooled(view)).length == 2, "storage");
    await context.setOffline(false);
    await until(() => collector.events.length == 3, "the return");
    assert.deepEqual(ids(collector.events.slice(1)), [...made].sort());
  }),
);

test(
  "what one page could not send the next page sends",
  shop({}, async ({ collector, open }) => {
    collector.answers = Array.from({ length: 9 }, () => ({ status: 503, headers: { "retry-after": "600" } }));
    collector.pages["/"] = page(quiet);
    const view = await open();
    const id = await say(view, "track", "add_to_cart");
    await until(() => collector.posts.length == 1, "the refusal");
    await view.goto("about:blank");
    collector.answers = [];
    await view.goto(collector.base);
    await until(() => collector.events.length == 1, "the resumed one");
    assert.equal(collector.events[0]!.event_id, id);
  }),
);

test(
  "page leave: a beacon as text/plain takes what is left, in pieces under 64 KiB",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page(quiet);
    collector.pages["/next"] = page(quiet);
    const view = await open();
    await say(view, "track", "first");
    await until(() => collector.events.length == 1, "the first");
    await answered(view);
    const made = await view.evaluate(() => {
      const text = "ü".repeat(400);
      const ids = [];
      for (let n = 0; n < 60; n++) ids.push(window.midsession!("track", "product_view", { properties: { text } }));
      // The same turn, so that no batch can have gone.
      location.href = "/next";
      return ids as string[];
    });
    await until(() => collector.named("product_view").length >= 60, "all of them");
    assert.deepEqual(ids([...new Set(ids(collector.named("product_view")))].map((event_id) => ({ event_id }))), made.sort());
    assert.ok(collector.posts.every((post) => post.bytes < 65_536 && post.type.startsWith("text/plain")));
  }),
);

test(
  "a beacon that the browser does not take stays in the queue",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page(quiet);
    const view = await open();
    await say(view, "track", "first");
    await until(() => collector.events.length == 1, "the first");
    await answered(view);
    const [id, stored] = await view.evaluate(() => {
      navigator.sendBeacon = () => false;
      const id = window.midsession!("track", "product_view");
      dispatchEvent(new PageTransitionEvent("pagehide"));
      // The same turn, so that no batch can have gone.
      return [id, JSON.parse(localStorage._ms_queue).length];
    });
    assert.equal(stored, 1);
    await until(() => collector.named("product_view").length, "the batch");
    assert.equal(collector.named("product_view")[0]!.event_id, id);
    await until(async () => (await spooled(view)).length == 0, "an empty storage");
  }),
);

test(
  "the queue holds 500: page pings go first, and the loss is told",
  shop({}, async ({ collector, open }) => {
    collector.answers = [{ status: 503, headers: { "retry-after": "600" } }];
    collector.pages["/"] = page(quiet);
    const view = await open();
    await say(view, "track", "first");
    await until(async () => (await spooled(view)).length == 1, "the refusal");
    await view.evaluate(() => {
      for (let n = 0; n < 10; n++) window.midsession!("track", "page_ping");
      for (let n = 0; n < 499; n++) window.midsession!("track", "product_view", { step: n });
    });
    const stored = (await spooled(view)).map((event) => JSON.parse(event) as { name: string; step: number });
    assert.equal(stored.length, 500);
    assert.equal(stored.filter(({ name }) => name == "page_ping").length, 0);
    assert.equal(stored[0]!.name, "first");
    await say(view, "track", "product_view", { step: 499 });
    const later = (await spooled(view)).map((event) => JSON.parse(event) as { name: string; step: number });
    assert.equal(later.length, 500);
    assert.equal(later[0]!.step, 0, "then the oldest event");
    const dropped = await view.evaluate(() => JSON.parse(JSON.parse(localStorage._ms_queue).at(-1)).properties);
    assert.ok(dropped.tracker_dropped > 0);
    const total = (await spooled(view)).reduce((sum, event) => sum + (JSON.parse(event).properties.tracker_dropped ?? 0), 0);
    assert.equal(total, 10, "each loss is told once; the last one with the next event");
  }),
);

test(
  "two tabs share the stored queue without losing each other's events",
  shop({}, async ({ collector, open }) => {
    const ill = { status: 503, headers: { "retry-after": "600" } };
    collector.answers = [ill, ill];
    collector.pages["/"] = page(quiet);
    const [one, two] = [await open(), await open()];
    const made = [await say(one, "track", "add_to_cart"), await say(two, "track", "add_to_cart")];
    await until(async () => (await spooled(one)).length == 2, "both stored");
    collector.answers = [];
    await one.close();
    await two.reload();
    await until(() => collector.events.length >= 2, "both sent");
    assert.deepEqual([...new Set(ids(collector.events))], [...made].sort());
  }),
);

test(
  "single-page shop: each address is viewed once, with the page before as referrer",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page('data-auto="spa"');
    const view = await open();
    await until(() => collector.named("page_view").length == 1, "the first");
    await view.evaluate(() => {
      history.pushState({}, "", "/p/1");
      document.title = "Product 1";
    });
    await until(() => collector.named("page_view").length == 2, "the second");
    await view.evaluate(() => {
      history.replaceState({ scroll: 1 }, "");
      history.pushState({}, "", "#reviews");
    });
    await settle();
    assert.equal(collector.named("page_view").length, 2, "neither state nor fragment is a page");
    await view.goBack();
    await view.goBack();
    await until(() => collector.named("page_view").length == 3, "the way back");
    await view.evaluate(() => history.replaceState({}, "", "/p/2"));
    await until(() => collector.named("page_view").length == 4, "the replaced one");
    const pages = collector.named("page_view").map((event) => event.page);
    assert.deepEqual(
      pages.map(({ url, title, referrer }) => [url, title, referrer].map((text) => text.replace(collector.base, ""))),
      [
        ["/", "Shop", ""],
        ["/p/1", "Product 1", "/"],
        ["/", "Product 1", "/p/1"],
        ["/p/2", "Product 1", "/"],
      ],
    );
  }),
);

test(
  "back/forward cache: a page that comes back is viewed again and listens again",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    collector.pages["/next"] = "<!doctype html><title>Next</title>";
    const view = await listen();
    await view.evaluate(() => ((window as { mark?: number }).mark = 1));
    await answered(view);
    await view.goto(collector.base + "/next");
    await until(() => collector.pushes.size == 0, "the push to close");
    // A page out of the cache does not load, so there is no load to wait for.
    await view.evaluate(() => void setTimeout(() => history.back()));
    await until(() => view.evaluate(() => (window as { mark?: number }).mark).catch(() => 0), "the page from the cache");
    await until(() => collector.named("page_view").length == 2, "the second view");
    await until(() => collector.pushes.size == 1, "the push to stand again");
  }),
);

test(
  "identify is a login once, logout ends it",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page(quiet);
    const view = await open();
    await say(view, "identify", "u1");
    await until(() => collector.named("login").length == 1, "the login");
    await view.reload();
    await say(view, "identify", "u1");
    await say(view, "track", "search");
    await until(() => collector.named("search").length == 1, "the search");
    // What was in flight at the reload may come twice, as the same event.
    assert.equal(new Set(ids(collector.named("login"))).size, 1);
    assert.equal(collector.named("search")[0]!.user_id, "u1");
    await say(view, "logout");
    await say(view, "track", "cart_view");
    await until(() => collector.named("cart_view").length == 1, "the cart");
    // One that somebody waits for may overtake the other.
    await until(() => collector.named("logout").length == 1, "the logout");
    assert.equal(collector.named("logout")[0]!.user_id, "u1");
    assert.equal(collector.named("cart_view")[0]!.user_id, undefined);
  }),
);

test(
  "identify takes a number as its text, and warns of what is no id",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page(quiet);
    const view = await open();
    const warnings: string[] = [];
    view.on("console", (message) => message.type() == "warning" && warnings.push(message.text()));
    await say(view, "identify", 4711);
    await until(() => collector.named("login").length == 1, "the login");
    await view.reload();
    await say(view, "identify", 4711);
    await say(view, "identify", "4711");
    for (const nobody of [undefined, null, "", 0, NaN, true, {}, ["u1"]]) await say(view, "identify", nobody);
    await say(view, "track", "search");
    await until(() => collector.named("search").length == 1, "the search");
    assert.equal(new Set(ids(collector.named("login"))).size, 1);
    assert.equal(collector.named("login")[0]!.user_id, "4711");
    assert.equal(collector.named("search")[0]!.user_id, "4711");
    assert.deepEqual(warnings, ["undefined", "null", "", "0", "NaN", "true", "{}", "[u1]"].map((id) => `identify ${id}`));
  }),
);

test(
  "an endpoint of its own, as behind a first-party proxy",
  shop({}, async ({ collector, context, listen }) => {
    collector.pages["/"] = page('data-auto="page" data-endpoint="/proxy"');
    const paths = new Set<string>();
    context.on("request", (request) => paths.add(new URL(request.url()).pathname));
    const view = await listen();
    await say(view, "track", "add_to_cart");
    await until(() => collector.named("add_to_cart").length, "the event");
    assert.deepEqual(
      [...paths].filter((path) => path.includes("/v1/")).sort(),
      ["/proxy/v1/events", "/proxy/v1/push", "/proxy/v1/token"],
    );
  }),
);

test(
  "a script included twice runs once",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page('data-auto="page"', '<script src="/midsession.js" data-key="k" data-auto="page"></script>');
    const view = await open();
    await until(() => collector.named("page_view").length, "the view");
    await settle();
    await say(view, "track", "search");
    await until(() => collector.named("search").length, "the search");
    assert.equal(collector.named("page_view").length, 1);
    assert.equal(collector.named("search").length, 1);
  }),
);

test(
  "requests outlive their page, unless one is too long for that; the cookie has the domain it was told",
  shop({}, async ({ collector, open, context }) => {
    collector.pages["/"] = page(`${quiet} data-domain="shop.localhost"`);
    collector.base = collector.base.replace("127.0.0.1", "www.shop.localhost");
    await context.addInitScript(() => {
      const { fetch } = window;
      const kept: unknown[] = [];
      Object.assign(window, {
        kept,
        fetch(url: string, options: RequestInit) {
          if (url.includes("/v1/events")) kept.push([options.keepalive, !!options.signal]);
          return fetch(url, options);
        },
      });
    });
    const view = await open();
    await say(view, "track", "first");
    await until(() => collector.events.length == 1, "the first");
    await answered(view);
    await say(view, "track", "add_to_cart", { properties: { text: "x".repeat(70_000) } });
    await until(() => collector.events.length == 2, "the long one");
    assert.deepEqual(await view.evaluate(() => (window as unknown as { kept: unknown }).kept), [
      [true, true],
      [false, true],
    ]);
    assert.deepEqual(
      (await context.cookies()).map(({ name, domain, sameSite }) => [name, domain, sameSite]),
      [["_ms_vid", ".shop.localhost", "Lax"]],
    );
  }),
);

for (const scheme of ["http", "https"]) {
  test(
    `over ${scheme} the visitor's cookie ${scheme == "https" ? "goes over https alone" : "works too"}`,
    shop({}, async ({ collector, context }) => {
      collector.pages["/"] = page(quiet);
      // What stands before a shop ends TLS; the collector behind it is the same.
      await context.route(`${scheme}://shop.example/**`, async (route) => {
        const url = new URL(route.request().url());
        await route.fulfill({ response: await route.fetch({ url: collector.base + url.pathname + url.search }) });
      });
      const view = await context.newPage();
      await view.goto(`${scheme}://shop.example/`);
      await say(view, "track", "first");
      const cookies = await until(async () => ((await context.cookies())[0] ? context.cookies() : null), "the cookie");
      assert.deepEqual(
        cookies.map(({ name, secure }) => [name, secure]),
        [["_ms_vid", scheme == "https"]],
      );
    }),
  );
}

test(
  "back online, what waited goes at once, however long it was to wait",
  shop({}, async ({ collector, open }) => {
    collector.answers = [{ status: 503, headers: { "retry-after": "600" } }];
    collector.pages["/"] = page(quiet);
    const view = await open();
    await say(view, "track", "product_view");
    await until(async () => (await spooled(view)).length == 1, "the refusal");
    await settle();
    assert.equal(collector.events.length, 0);
    await view.evaluate(() => dispatchEvent(new Event("online")));
    await until(() => collector.events.length == 1, "the retry");
  }),
);
