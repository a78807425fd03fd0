//! Consent: what is sent and stored under each, and what happens when it changes in mid-page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { page } from "./collector.ts";
import { answered, say, settle, shops, spooled, until, type Shop } from "./browser.ts";
import type { Page } from "playwright-core";

const shop = shops();

const stored = async ({ context }: Shop, view: Page) => ({
  cookies: (await context.cookies()).map(({ name }) => name),
  local: await view.evaluate(() => Object.keys(localStorage)),
  session: await view.evaluate(() => Object.keys(sessionStorage)),
});
const nothing = { cookies: [], local: [], session: [] };
/** What a page has removed is gone for the browser's own listing of cookies a moment later. */
const emptied = async (all: Shop, view: Page) => {
  let left: unknown;
  await until(async () => isDeepStrictEqual((left = await stored(all, view)), nothing), "an empty browser").catch(() =>
    assert.deepEqual(left, nothing),
  );
};

test(
  "consent none: nothing sent, nothing stored, no push",
  shop({}, async (all) => {
    const { collector, open } = all;
    collector.pages["/"] = page('data-auto="page" data-consent="none"');
    const view = await open();
    await say(view, "track", "add_to_cart");
    await say(view, "identify", "u1");
    await settle();
    assert.equal(collector.posts.length + collector.tokens, 0);
    await emptied(all, view);
  }),
);

test(
  "consent cookieless: sent, but nothing stored, no push, and another visitor on each page load",
  shop({}, async (all) => {
    const { collector, open } = all;
    collector.pages["/"] = page('data-auto="page" data-consent="cookieless"');
    collector.answers = [{ status: 503 }];
    const view = await open();
    await say(view, "identify", "u1");
    await say(view, "track", "add_to_cart");
    await until(() => collector.events.length == 2, "the events after a retry");
    await answered(view, 2);
    await emptied(all, view);
    await view.reload();
    await until(() => collector.events.length == 3, "the next page");
    assert.deepEqual(
      collector.events.map((event) => event.name),
      ["page_view", "add_to_cart", "page_view"],
    );
    assert.equal(new Set(collector.events.map((event) => event.visitor_id)).size, 2);
    assert.equal(collector.events[0]!.visitor_id, collector.events[1]!.visitor_id);
    assert.deepEqual(collector.events[0]!.consent, {
      analytics: true,
      personalization: false,
      experiments: false,
      marketing: false,
    });
    assert.ok(collector.events.every((event) => event.user_id === undefined));
    assert.equal(collector.tokens, 0);
    await emptied(all, view);
  }),
);

test(
  "consent withdrawn in mid-page: the queue stops, stored things go, the push closes, the withdrawal is told",
  shop({}, async (all) => {
    const { collector, listen } = all;
    collector.pages["/"] = page('data-auto="page" data-consent="full"');
    const view = await listen();
    await say(view, "identify", "u1");
    await until(() => collector.named("login").length == 1, "the login");
    await until(async () => (await stored(all, view)).local.length == 1, "the stored user");
    await view.evaluate(() => {
      window.midsession!("track", "product_view");
      window.midsession!("consent", "none");
      window.midsession!("track", "add_to_cart");
    });
    await until(() => collector.named("consent").length == 1, "the withdrawal");
    await until(() => collector.pushes.size == 0, "the push to close");
    await settle();
    const [withdrawal] = collector.named("consent");
    assert.equal(withdrawal!.visitor_id, collector.named("page_view")[0]!.visitor_id);
    assert.deepEqual(Object.values(withdrawal!.consent!), [false, false, false, false]);
    assert.equal(collector.named("product_view").length + collector.named("add_to_cart").length, 0);
    await emptied(all, view);
    const posts = collector.posts.length;
    await view.goto("about:blank");
    await settle();
    assert.equal(collector.posts.length, posts, "not on leaving either");
  }),
);

test(
  "consent withdrawn while the collector is away: nothing is left to be sent later",
  shop({}, async (all) => {
    const { collector, open } = all;
    collector.answers = Array.from({ length: 99 }, () => ({ status: 503 }));
    collector.pages["/"] = page('data-auto="page"');
    const view = await open();
    await until(async () => (await spooled(view)).length > 0, "storage");
    await say(view, "consent", "none");
    await until(() => collector.posts.some(({ events }) => events.some(({ name }) => name == "consent")), "the withdrawal, refused");
    collector.answers = [];
    await new Promise((done) => setTimeout(done, 2_500));
    assert.deepEqual(
      collector.events.map((event) => event.name),
      [],
    );
    await emptied(all, view);
  }),
);

test(
  "consent given in mid-page: events, cookie and push begin",
  shop({}, async (all) => {
    const { collector, open } = all;
    collector.pages["/"] = page('data-consent="none"');
    const view = await open();
    await say(view, "consent", { analytics: true, personalization: true, marketing: false });
    await say(view, "page");
    await until(() => collector.pushes.size == 1, "the push");
    await until(() => collector.named("page_view").length == 1, "the view");
    assert.deepEqual(collector.named("consent")[0]!.consent, {
      analytics: true,
      personalization: true,
      marketing: false,
    });
    assert.ok((await stored(all, view)).cookies.includes("_ms_vid"));
  }),
);

test(
  "full to cookieless: another id, nothing stored, the push closes",
  shop({}, async (all) => {
    const { collector, listen } = all;
    collector.pages["/"] = page('data-auto="page"');
    const view = await listen();
    await say(view, "consent", "cookieless");
    await say(view, "track", "add_to_cart");
    await until(() => collector.named("add_to_cart").length == 1, "the event");
    await until(() => collector.pushes.size == 0, "the push to close");
    await until(() => collector.named("page_view").length && collector.named("consent").length, "what was told before");
    assert.notEqual(collector.named("add_to_cart")[0]!.visitor_id, collector.named("page_view")[0]!.visitor_id);
    assert.equal(collector.named("consent")[0]!.visitor_id, collector.named("page_view")[0]!.visitor_id);
    await emptied(all, view);
  }),
);

test(
  "a choice made in one tab holds in the others, and is told once",
  shop({}, async (all) => {
    const { collector, open, listen } = all;
    collector.pages["/"] = page('data-auto="page"');
    const other = await listen();
    const view = await open();
    await until(() => collector.named("page_view").length == 2, "both views");
    await say(view, "consent", "none");
    await until(() => collector.named("consent").length == 1, "the withdrawal");
    await until(() => collector.pushes.size == 0, "no tab listens any more");
    const sent = collector.posts.length;
    await say(other, "track", "product_view");
    collector.intervene();
    await settle();
    assert.equal(collector.posts.length, sent);
    await emptied(all, other);
    await say(other, "consent", "full");
    await until(() => collector.named("consent").length == 2, "the grant");
    await until(() => collector.pushes.size == 2, "both tabs to listen again");
    await say(view, "track", "product_view");
    await until(() => collector.named("product_view").length == 1, "the other tab sends again");
  }),
);

test(
  "beside another tracker a withdrawal is told too, as the visitor that the token names",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page('data-track="off"');
    collector.visitor = "snowplow-duid";
    const view = await listen();
    await settle();
    await say(view, "consent", "none");
    const consent = await until(() => collector.named("consent")[0], "the withdrawal");
    assert.equal(consent.visitor_id, "snowplow-duid");
    assert.equal(consent.consent!.personalization, false);
  }),
);

test(
  "beside another tracker a consent given before the token names the visitor is told once it does",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page('data-track="off" data-consent="none"');
    collector.visitor = "snowplow-duid";
    const view = await open();
    await say(view, "consent", "full");
    const consent = await until(() => collector.named("consent")[0], "the consent");
    assert.equal(consent.visitor_id, "snowplow-duid");
    assert.equal(consent.consent!.personalization, true);
    await until(() => collector.pushes.size == 1, "the push");
    await view.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
    await until(() => collector.tokens == 2, "the next token");
    await settle();
    assert.equal(collector.named("consent").length, 1);
  }),
);

for (const [what, cookie, views] of [
  ["withdrawn", "_ms_vid=;max-age=0", 1],
  ["withdrawn and given again", "_ms_vid=another", 2],
] as const) {
  test(
    `back/forward cache: consent ${what} on another page holds on the one that comes back`,
    shop({}, async (all) => {
      const { collector, listen } = all;
      collector.pages["/"] = page();
      collector.pages["/next"] = "<!doctype html><title>Next</title>";
      const view = await listen();
      await view.evaluate(() => ((window as { mark?: number }).mark = 1));
      await answered(view);
      await view.goto(collector.base + "/next");
      await until(() => collector.pushes.size == 0, "the push to close");
      await view.evaluate((cookie) => {
        document.cookie = cookie + ";path=/";
        setTimeout(() => history.back());
      }, cookie);
      await until(() => view.evaluate(() => (window as { mark?: number }).mark).catch(() => 0), "the page from the cache");
      await until(() => collector.named("page_view").length == views && collector.pushes.size == views - 1, "the page to be itself again");
      await settle();
      assert.equal(collector.named("page_view").length, views);
      assert.equal(collector.pushes.size, views - 1);
      if (views == 2) assert.equal(collector.named("page_view")[1]!.visitor_id, "another");
      else await emptied(all, view);
    }),
  );
}

test(
  "who identified before the answer is known once it comes; who logged out meanwhile is not",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page('data-consent="none"');
    const view = await open();
    await say(view, "identify", "u0");
    await say(view, "identify", "u1");
    await say(view, "consent", "full");
    await until(() => collector.named("login").length, "the login");
    assert.deepEqual(collector.named("login").map(({ user_id }) => user_id), ["u1"]);
    const other = await open();
    await say(other, "identify", "u2");
    await say(other, "logout");
    await say(other, "consent", "full");
    await until(() => collector.named("consent").length == 2, "the consent");
    await settle();
    assert.equal(collector.named("login").length, 1);
  }),
);

test(
  "none as the answer on a page that waited for it: what an earlier page was allowed is withdrawn, told and removed",
  shop({}, async (all) => {
    const { collector, context, open } = all;
    collector.pages["/"] = page('data-auto="page" data-consent="none"');
    await context.addCookies([{ name: "_ms_vid", value: "earlier", url: collector.base }]);
    const view = await open();
    await view.evaluate(() => (localStorage._ms_user = '"u1"'));
    await settle();
    assert.deepEqual((await stored(all, view)).cookies, ["_ms_vid"], "no answer yet");
    await say(view, "consent", "none");
    const withdrawal = await until(() => collector.named("consent")[0], "the withdrawal");
    assert.equal(withdrawal.visitor_id, "earlier");
    assert.deepEqual(Object.values(withdrawal.consent!), [false, false, false, false]);
    await emptied(all, view);
    await say(view, "consent", "none");
    await settle();
    assert.deepEqual(collector.events.map(({ name }) => name), ["consent"]);
    assert.equal(collector.tokens, 0);
  }),
);

test(
  "a page that starts cookieless removes an older visitor's cookie before anything is sent",
  shop({}, async (all) => {
    const { collector, context, open } = all;
    collector.pages["/"] = page('data-auto="page" data-consent="cookieless"');
    await context.addCookies([{ name: "_ms_vid", value: "earlier", url: collector.base }]);
    const sent: (string | undefined)[] = [];
    context.on("request", async (request) => {
      if (request.url().includes("/v1/")) sent.push((await request.allHeaders()).cookie);
    });
    const view = await open();
    await until(() => collector.named("page_view").length && sent.length, "the view");
    assert.notEqual(collector.events[0]!.visitor_id, "earlier");
    assert.deepEqual(sent, [undefined]);
    await emptied(all, view);
  }),
);
