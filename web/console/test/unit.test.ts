//! The pure parts: words for rules, layout of rejected events, numbers, addresses, and the order of live sessions.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../src/format.ts";
import { lines, pathOf } from "../src/payload.ts";
import * as words from "../src/words.ts";
import { dice, World } from "./world.ts";

Object.assign(globalThis, { location: { hash: "" }, addEventListener: () => {}, document: { hidden: false } });
const { group } = await import("../src/parts/feature-table.tsx");
const { parse, href } = await import("../src/route.ts");
const live = await import("../src/live.ts");

test("a version that waits is called by its feature's words", () => {
  assert.deepEqual(words.featureName("user.product_view_count@2_5m"), { base: "product_view_count@2", window: "5m", label: "Products viewed, version 2" });
  assert.equal(words.featureValue("idle_ms@3", 1_500), "1.5 s");
});

test("times and numbers read as people say them", () => {
  const rows: [string, string][] = [
    [format.ms(0), "0 ms"],
    [format.ms(0.004), "0 ms"],
    [format.ms(0.25), "0.25 ms"],
    [format.ms(3.1), "3.1 ms"],
    [format.ms(24), "24 ms"],
    [format.ms(61.24), "61.2 ms"],
    [format.ms(412.6), "413 ms"],
    [format.ms(2_000), "2 s"],
    [format.ms(-2.4), "-2.4 ms"],
    [format.ms(null), "–"],
    [format.ms(Number.NaN), "–"],
    [format.span(59_999), "59 s"],
    [format.span(61_000), "1 min 1 s"],
    [format.span(3_600_000), "1 h"],
    [format.span(-5), "0 s"],
    [format.bytes(999), "999 B"],
    [format.bytes(61_204_112), "61.2 MB"],
    [format.money(null), "–"],
    [format.money(12.5, "<b>"), "12.50"],
    [format.money(12.5, "EUR"), "€12.50"],
    [format.shortId("abc"), "abc"],
    [format.shortId("0123456789abcdef0"), "01234567…def0"],
  ];
  for (const [got, want] of rows) assert.equal(got, want);
});

test("a rule's condition reads as words, and stays as written where words would not be exact", () => {
  const say = (when: string) => words.conditionWords(when).map((p) => (p.exact ? `\`${p.text}\`` : p.text)).join(" and ");
  const rows: [string, string][] = [
    ["session.cart_value > 80.0 && session.order_count == 0", "the cart is worth more than 80 and nothing was bought in this session"],
    ["user.product_view_count_1h >= 5", "at least 5 products were viewed in the last 1 h"],
    ["user.max_viewed_price_1h - user.min_viewed_price_1h > 60.0", "the prices viewed in the last 1 h lie more than 60 apart"],
    ["user.max_viewed_price_1h - user.min_viewed_price_5m > 60.0", "`user.max_viewed_price_1h - user.min_viewed_price_5m > 60.0`"],
    ['session.device_class == "mobile"', "device is “mobile”"],
    ["session.a > 1.0 || session.b > 1.0", "`session.a > 1.0 || session.b > 1.0`"],
    ["", ""],
    ["true", ""],
  ];
  for (const [when, want] of rows) assert.equal(say(when), want);
});

test("triggers and caps read as words", () => {
  assert.equal(words.triggerWords({ idle: "20s" }), "When a shopper has done nothing for 20 seconds");
  assert.equal(words.triggerWords({ idle_ms: 1_500 }), "When a shopper has done nothing for 1500 ms");
  assert.equal(words.triggerWords({ idle_ms: 30_000 }), "When a shopper has done nothing for 30 seconds");
  assert.equal(words.triggerWords({ event: "add_to_cart" }), "Right after “put in cart”");
  assert.equal(words.capWords("2 per 7d"), "2 in 7 days");
  assert.equal(words.capWords("at most 2 per 1 d"), "2 in 1 day");
  assert.equal(words.capWords("1 per session"), "1 per session");
});

test("the furthest a decision got is its outcome", () => {
  const base = new World(1, 3).newDecision(0);
  const at = (more: object) => words.outcome({ ...base, outcome: "served", painted_at_ms: null, clicked_at_ms: null, dismissed_at_ms: null, ...more }).text;
  assert.equal(at({}), "sent to the shopper");
  assert.equal(at({ painted_at_ms: 1 }), "on the shopper’s screen");
  assert.equal(at({ painted_at_ms: 1, dismissed_at_ms: 2 }), "dismissed");
  assert.equal(at({ painted_at_ms: 1, clicked_at_ms: 2 }), "clicked");
  assert.equal(at({ outcome: "holdout" }), "held back for comparison");
});

test("the field at fault is found however its path is written", () => {
  const payload = JSON.stringify({ name: "x", products: [{ price: 1 }, { price: "24,90", "a.b": 1 }] });
  for (const field of ["products[1].price", "products.1.price", "/products/1/price", "$.products[1].price"]) {
    const found = lines(payload, field).filter((l) => l.fault);
    assert.deepEqual(found.map((l) => l.text.trim()), ['"price": "24,90",'], field);
  }
  assert.deepEqual(pathOf(""), []);
  assert.equal(lines(payload, "cart.id").some((l) => l.fault), false);
  for (const raw of ['{"a":1,"a":2}', '{"a":12345678901234567890}', '{"a":1.0}', '{"a":"\\u0041"}'])
    assert.deepEqual(lines(raw, "a"), [{ text: raw, fault: true }], "not as laid out again");
  assert.equal(lines('{ "a b" :\n"c  d" }', null).length, 3, "spaces alone make no difference");
  assert.deepEqual(lines('{"name', "name"), [{ text: '{"name', fault: true }]);
  assert.equal(lines(payload, null).map((l) => l.text.trim()).join("").replaceAll('": ', '":'), payload);
});

test("a feature of the session stands beside its windows, one without windows alone", () => {
  const { alone, windowed } = group({ cart_value: 12, "session.bounce": true, product_view_count: 2, product_view_count_5m: 1, product_view_count_24h: 7 });
  assert.deepEqual(alone.map((r) => [r.base, r.session?.value]), [["cart_value", 12], ["bounce", true]]);
  assert.deepEqual(windowed.map((r) => [r.base, r.session?.value, r.windows["5m"]?.value, r.windows["1h"], r.windows["24h"]?.value]), [["product_view_count", 2, 1, undefined, 7]]);
});

test("addresses lead where they say, and never fail", () => {
  assert.deepEqual([parse("").screen, parse("#/nowhere").screen], ["overview", "overview"]);
  const odd = "a/b?c#d %ZZ";
  assert.equal(parse(href("sessions", odd)).id, odd);
  assert.equal(parse("#/sessions/%ZZ").id, null);
  assert.equal(parse("#/sessions?q=v-1").query.get("q"), "v-1");
});

test("live sessions stay in order of their start, newest first; older versions change nothing", () => {
  const roll = dice(11);
  const world = new World(11, 0);
  const wanted = new Map<string, { version: number; started: number }>();
  const ids = Array.from({ length: 60 }, (_, i) => `s${i}`);
  for (let turn = 0; turn < 600; turn++) {
    const session_id = ids[Math.floor(roll() * ids.length)] as string;
    const row = { ...world.newSession(1_000 + Math.floor(roll() * 50)), session_id, version: Math.floor(roll() * 40) };
    live.applySessions([row]);
    const known = wanted.get(session_id);
    if (!known || row.version >= known.version) wanted.set(session_id, { version: row.version, started: row.started_at_ms });
  }
  const order = live.sessionIds();
  assert.deepEqual([...order].sort(), [...wanted.keys()].sort());
  for (const id of order) assert.equal(live.session(id)?.version, wanted.get(id)?.version, id);
  const starts = order.map((id) => live.session(id)?.started_at_ms ?? 0);
  assert.deepEqual(starts, [...starts].sort((a, b) => b - a));
});

test("no more sessions are held than a page can use", () => {
  const world = new World(12, 0);
  live.applySessions(Array.from({ length: 7_000 }, (_, i) => ({ ...world.newSession(2_000_000 + i), session_id: `many-${i}` })));
  assert.equal(live.sessionIds().length, 5_000);
  assert.equal(live.sessionIds()[0], "many-6999");
});
