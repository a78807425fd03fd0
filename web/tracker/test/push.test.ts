//! What comes back: which tab shows it, how often, until when, and what is reported about it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { page, type Received } from "./collector.ts";
import { answered, card, heard, look, say, settle, shops, until } from "./browser.ts";

const shop = shops();

test(
  "painted once, with times by the browser's clock and the server's stamps",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await say(view, "page");
    await until(() => collector.named("page_view").length == 2, "the views");
    const cause_event_id = (await say(view, "track", "add_to_cart")) as string;
    await until(() => collector.named("add_to_cart").length, "the cart");
    // Until the browser has told of the round trip there is none to report.
    await answered(view, collector.posts.length);
    const frame = collector.intervene({ cause_event_id, preview: true });
    const painted = await until(() => collector.named("painted")[0], "the report");
    assert.equal(painted.decision_id, frame.decision_id);
    assert.equal(painted.preview, true);
    const { paint_ms, sent_to_painted_ms, rtt_ms, send_ms, ...rest } = painted.properties as Record<string, number>;
    assert.ok(paint_ms! > 0 && paint_ms! <= sent_to_painted_ms!, `${paint_ms} of ${sent_to_painted_ms}`);
    assert.ok(rtt_ms! > 0, `${rtt_ms}`);
    assert.ok(send_ms! >= 0 && send_ms! <= sent_to_painted_ms!, `${send_ms} of ${sent_to_painted_ms}`);
    assert.deepEqual(rest, {
      rule: "cart_stalled",
      s_received: 1,
      s_collected: 2,
      s_durable: 3,
      s_machine: 4,
      s_decided: 5,
      s_decision_durable: 6,
      s_pushed: 7,
    });
    await until(() => collector.named("exposure").length, "the exposure");
    assert.equal(collector.named("exposure")[0]!.decision_id, frame.decision_id);
    assert.equal(await card(view).count(), 1);
  }),
);

test(
  "the times are those of the request that carried the event, whichever was answered last",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await until(() => collector.named("page_view").length, "the view");
    let release = () => {};
    collector.hold = new Promise<void>((done) => (release = done));
    const slow = (await say(view, "track", "add_to_cart")) as string;
    await until(() => collector.came == 2, "the slow one to be held");
    collector.hold = undefined;
    // An answer that says it took the server an hour leaves its mark on the round trip of its own request alone.
    collector.answers = [{ status: 200 }, { status: 200, headers: { "server-timing": "total;dur=3600000" } }];
    const quick = (await say(view, "track", "transaction")) as string;
    await until(() => collector.named("transaction").length, "the overtaking");
    release();
    await until(() => collector.named("add_to_cart").length, "the slow one");
    // Until the browser has told of the answers.
    await answered(view, 3);
    collector.intervene({ cause_event_id: quick, rule: "quick" });
    collector.intervene({ cause_event_id: slow, rule: "slow", slot: "other" });
    await until(() => collector.named("painted").length == 2, "the reports");
    const trips = collector.named("painted").map(({ properties }) => [properties!.rule, (properties!.rtt_ms as number) > 0]);
    assert.deepEqual(Object.fromEntries(trips), { quick: true, slow: false });
  }),
);

test(
  "silence: deadline to painted; what another page caused has no way to measure",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    await listen();
    const now_ms = Date.now();
    collector.intervene({ by_silence: true, now_ms, deadline_ms: now_ms - 7, cause_event_id: "elsewhere" });
    const painted = await until(() => collector.named("painted")[0], "the report");
    const { deadline_to_painted_ms, paint_ms, sent_to_painted_ms } = painted.properties as Record<string, number>;
    assert.ok(deadline_to_painted_ms! >= 7 + paint_ms!);
    assert.equal(sent_to_painted_ms, undefined);
  }),
);

test(
  "several tabs in view: one paints, each time",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const tabs = [await listen(), await listen(), await listen()];
    const wanted = new Set<string>();
    for (let n = 0; n < 10; n++) wanted.add(collector.intervene({ slot: `s${n}` }).decision_id);
    await until(() => collector.named("painted").length >= 10, "the reports");
    await settle();
    const painted = collector.named("painted").map((event) => event.decision_id!);
    assert.equal(painted.length, 10);
    assert.deepEqual(new Set(painted), wanted);
    const counts = await Promise.all(tabs.map((tab) => card(tab).count()));
    assert.equal(counts.reduce((sum, count) => sum + count), 10, counts.join());
  }),
);

test(
  "never again: not when it is sent twice, not after a reload, not in a later tab",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    const frame = collector.intervene();
    await until(() => collector.named("painted").length == 1, "the report");
    collector.intervene(frame);
    const pushes = collector.opened.length;
    await answered(view, collector.posts.length);
    await view.reload();
    await until(() => collector.opened.length > pushes, "the push");
    collector.intervene(frame);
    const later = await listen();
    collector.intervene(frame);
    await settle();
    assert.equal(collector.named("painted").length, 1);
    assert.equal((await card(view).count()) + (await card(later).count()), 0);
  }),
);

test(
  "expired by the server's clock: never shown, however wrong the browser's is",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    const century = 100 * 365 * 86_400_000;
    collector.intervene({ now_ms: Date.now() + century, expires_at_ms: Date.now() + century - 1 });
    await settle();
    assert.equal(await card(view).count(), 0);
    collector.intervene({ now_ms: Date.now() - century, expires_at_ms: Date.now() - century + 60_000 });
    await until(() => collector.named("painted").length == 1, "the one in time");
  }),
);

test(
  "a tab that nobody looks at waits; the times of what waited are left out",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await look(view, true);
    const cause_event_id = (await say(view, "track", "add_to_cart")) as string;
    const sent = Date.now();
    const frame = collector.intervene({ cause_event_id, deadline_ms: sent });
    collector.intervene({ slot: "short", expires_at_ms: Date.now() + 100 });
    await heard(view, 2);
    // Longer than the short one lives from when it came.
    await settle();
    assert.equal(await card(view).count(), 0);
    await look(view, false);
    const painted = await until(() => collector.named("painted")[0], "the report");
    assert.equal(painted.decision_id, frame.decision_id);
    assert.equal(painted.properties!.sent_to_painted_ms, undefined);
    assert.equal(painted.properties!.deadline_to_painted_ms, undefined);
    const waited = painted.occurred_at - sent - (painted.properties!.paint_ms as number);
    assert.ok(waited > 500, `measured from when it was looked at, not from when it came: ${waited} ms of waiting left out`);
    await settle();
    assert.equal(collector.named("painted").length, 1, "the other expired while it waited");
  }),
);

test(
  "a tab opened in the background takes no connection until it is looked at",
  shop({}, async ({ collector, context }) => {
    collector.pages["/"] = page();
    const view = await context.newPage();
    await view.addInitScript(() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
    });
    await view.goto(collector.base);
    await until(() => collector.named("page_view").length, "the view");
    await settle();
    assert.equal(collector.tokens, 0);
    await look(view, false);
    await until(() => collector.pushes.size == 1, "the push");
  }),
);

test(
  "retracted: the waiting one is never shown, the painted one goes; what was painted here stays when others hear of it",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await look(view, true);
    const waiting = collector.intervene();
    collector.send("retract", { decision_id: waiting.decision_id, reason: "overtaken" });
    await heard(view, 2);
    await look(view, false);
    await settle();
    assert.equal(await card(view).count(), 0);
    const { decision_id } = collector.intervene();
    await until(() => collector.named("painted").length == 1, "the report");
    collector.send("retract", { decision_id, reason: "painted" });
    await settle();
    assert.equal(await card(view).count(), 1);
    collector.send("retract", { decision_id, reason: "overtaken" });
    await until(async () => (await card(view).count()) == 0, "the card to go");
    assert.equal(collector.named("dismiss").length, 0);
  }),
);

test(
  "the page is told when a card is taken back; not of one that was gone already or never came",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await view.evaluate(() => {
      const told: string[] = [];
      Object.assign(window, { told });
      window.midsession!("on", "retract", ({ decision_id }) => told.push(decision_id));
    });
    const shown = collector.intervene();
    const waiting = collector.intervene();
    const closed = collector.intervene({ slot: "other", payload: { title: "Other" } });
    await until(() => collector.named("painted").length == 2, "the reports");
    await view.getByRole("region", { name: "Other" }).getByRole("button", { name: "Close" }).click();
    for (const { decision_id } of [waiting, closed, shown]) collector.send("retract", { decision_id, reason: "overtaken" });
    await until(async () => (await card(view).count()) == 0, "the card to go");
    assert.deepEqual(await view.evaluate(() => (window as unknown as { told: string[] }).told), [shown.decision_id]);
  }),
);

test(
  "what still waited for its slot when the page was left is shown on the next one, or by another tab, once",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    collector.intervene();
    const left = collector.intervene({ payload: { title: "Left" } });
    await until(() => collector.named("painted").length == 1, "the first");
    await settle();
    const pushes = collector.opened.length;
    await view.reload();
    await until(() => collector.opened.length > pushes, "the push");
    collector.intervene({ payload: { title: "Before" } });
    await until(() => collector.named("painted").length == 2, "the one before it");
    // The tab claims what waits in it, and keeps that from the others for a while.
    const given = view.evaluate(async (name) => {
      for (let claimed = false, held; !claimed || held; claimed ||= held) {
        held = (await navigator.locks.query()).held!.some((lock) => lock.name == name);
        await new Promise((again) => setTimeout(again, 20));
      }
    }, "_ms_" + left.decision_id);
    collector.intervene(left);
    const other = await view.context().newPage();
    await other.goto(collector.base);
    await given;
    await until(() => collector.pushes.size == 2, "the other tab's push");
    collector.intervene(left);
    await until(() => collector.named("painted").length == 3, "the one that was left");
    assert.equal(collector.named("painted")[2]!.decision_id, left.decision_id);
    assert.equal(await other.getByRole("heading", { name: "Left" }).count(), 1);
    await view.getByRole("region", { name: "Before" }).getByRole("button", { name: "Close" }).click();
    await settle();
    assert.equal(await card(view).count(), 0, "shown elsewhere meanwhile");
    assert.equal(collector.named("painted").length, 3);
  }),
);

test(
  "a push that breaks is taken up again after the last frame",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    await listen();
    const { decision_id } = collector.intervene();
    await until(() => collector.named("painted").length == 1, "the report");
    for (const push of collector.pushes) push.destroy();
    await until(() => collector.opened.length == 2, "the reconnect");
    assert.equal(collector.opened[1], decision_id);
    assert.equal(collector.tokens, 1);
    collector.intervene({ slot: "other" });
    await until(() => collector.named("painted").length == 2, "the next");
  }),
);

test(
  "a push that is refused gets a new token",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    await listen();
    collector.refuse = 1;
    for (const push of collector.pushes) push.destroy();
    await until(() => collector.tokens == 2, "the next token");
    await until(() => collector.pushes.size == 1, "the push");
  }),
);

test(
  "a callback takes over: exposure at once, the rest as it says, each once; false hands it back",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await view.evaluate(() => {
      const say = window.midsession!;
      say("on", "intervention", (frame, report) => {
        if (frame.slot == "theirs") return false;
        document.title = frame.payload.title!;
        report.shown();
        report.shown();
        report.clicked();
        report.dismissed();
        report.dismissed();
        return;
      });
      say("on", "retract", ({ decision_id }) => (document.title = "retracted " + decision_id));
    });
    const { decision_id } = collector.intervene({ payload: { title: "Hello", locales: { en: { title: "Hi" } } } });
    for (const name of ["exposure", "painted", "click", "dismiss"]) await until(() => collector.named(name).length, name);
    await settle();
    assert.equal(await view.title(), "Hi");
    assert.equal(await card(view).count(), 0);
    for (const name of ["exposure", "painted", "click", "dismiss"]) {
      assert.deepEqual(
        collector.named(name).map((event: Received) => event.decision_id),
        [decision_id],
        name,
      );
    }
    collector.send("retract", { decision_id, reason: "overtaken" });
    await until(async () => (await view.title()) == "retracted " + decision_id, "the retraction");
    collector.intervene({ slot: "theirs" });
    await until(async () => (await card(view).count()) == 1, "the card");
  }),
);

test(
  "beside another tracker: only push, paint and reports, as the visitor the token names",
  shop({}, async ({ collector, listen, context }) => {
    collector.pages["/"] = page('data-track="off" data-auto="page"');
    collector.visitor = "snowplow-duid";
    const view = await listen();
    await say(view, "track", "add_to_cart");
    await say(view, "page");
    collector.intervene();
    await until(() => collector.named("painted").length, "the report");
    await until(() => collector.named("exposure").length, "the exposure");
    assert.deepEqual(new Set(collector.events.map((event) => event.name)), new Set(["exposure", "painted"]));
    assert.ok(collector.events.every((event) => event.visitor_id == "snowplow-duid"));
    assert.deepEqual(await context.cookies(), []);
  }),
);

test(
  "a shop that changed over to Snowplow: its cookie names the visitor, not an older one of ours",
  shop({}, async ({ collector, listen, context }) => {
    collector.pages["/"] = page('data-track="off"');
    await context.addCookies([
      { name: "_ms_vid", value: "old", url: collector.base },
      { name: "_sp_id.1fff", value: "duid.1700000000.1.1700000000.", url: collector.base },
    ]);
    await listen();
    collector.intervene();
    const painted = await until(() => collector.named("painted")[0], "the report");
    assert.equal(painted.visitor_id, "duid");
  }),
);

test(
  "data-push off: no token, no connection",
  shop({}, async ({ collector, open }) => {
    collector.pages["/"] = page('data-push="off" data-auto="page"');
    await open();
    await until(() => collector.named("page_view").length, "the view");
    await settle();
    assert.equal(collector.tokens, 0);
  }),
);

test(
  "a tab that was closed with a frame unseen leaves it to the others",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const [one, two] = [await listen(), await listen()];
    await look(one, true);
    await look(two, true);
    const frame = collector.intervene();
    await Promise.all([heard(one, 1), heard(two, 1)]);
    await one.close();
    await look(two, false);
    const painted = await until(() => collector.named("painted")[0], "the report");
    assert.equal(painted.decision_id, frame.decision_id);
  }),
);

test(
  "what a hidden tab held is forgotten with its connection: it may have been taken back meanwhile",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await look(view, true);
    collector.intervene();
    await heard(view, 1);
    await view.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    const pushes = collector.opened.length;
    await look(view, false);
    await until(() => collector.opened.length > pushes, "a new connection");
    await settle();
    assert.equal(await card(view).count(), 0);
    assert.equal(collector.named("painted").length, 0);
  }),
);

test(
  "a callback that throws, now or later, or says no later, leaves the painting to us; one that throws elsewhere harms nothing",
  shop({}, async ({ collector, listen }) => {
    collector.pages["/"] = page();
    const view = await listen();
    await view.evaluate(() => {
      const told: string[] = [];
      Object.assign(window, { told });
      addEventListener("error", (event) => {
        event.preventDefault();
        told.push(event.message);
      });
      const say = window.midsession!;
      say("on", "click", () => {
        throw new Error("click");
      });
      say("on", "intervention", async ({ slot }) => {
        await new Promise((done) => setTimeout(done, 100));
        if (slot == "throws") throw new Error("later");
        return slot == "theirs";
      });
    });
    collector.intervene({ slot: "throws" });
    collector.intervene({ slot: "no" });
    const theirs = collector.intervene({ slot: "theirs" });
    await until(() => collector.named("exposure").length == 3, "all three");
    assert.equal(await card(view).count(), 2);
    await view.evaluate(() => {
      window.midsession!("on", "intervention", () => {
        throw new Error("now");
      });
    });
    collector.intervene({ slot: "last", payload: { title: "Last", label: "Do it" } });
    await view.getByRole("button", { name: "Do it" }).click();
    await until(() => collector.named("click").length == 1, "the click");
    assert.equal(await card(view).count(), 2, "the card goes all the same");
    assert.deepEqual(
      await view.evaluate(() => (window as unknown as { told: string[] }).told),
      ["Uncaught Error: later", "Uncaught Error: now", "Uncaught Error: click"],
    );
    assert.equal(collector.named("painted").filter((event) => event.decision_id == theirs.decision_id).length, 0);
  }),
);
