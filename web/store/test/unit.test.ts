//! The pure parts: the catalog and its search, the sums of the cart, what the drawer says of an event.
import assert from "node:assert/strict";
import { test } from "node:test";
import { byId, categories, products, related, search } from "../src/catalog.ts";

const stored = new Map<string, string>();
Object.assign(globalThis, {
  addEventListener: () => {},
  localStorage: { getItem: (k: string) => stored.get(k) ?? null, setItem: (k: string, v: string) => void stored.set(k, v) },
});
stored.set("halden.cart", '{"id":7,"quantities":null}');
stored.set("halden.user", '"u-nobody"');
const state = await import("../src/state.ts");

test("the catalog is whole: ids are unique, prices in range, one currency, a handful of categories", () => {
  assert.equal(new Set(products.map((p) => p.id)).size, products.length);
  assert.equal(products.length, 24);
  assert.ok(categories.length >= 4 && categories.length <= 5);
  for (const p of products) {
    assert.ok(p.price >= 9 && p.price <= 240, p.id);
    assert.equal(p.currency, "EUR");
    assert.match(p.id, /^[a-z-]+$/);
    assert.ok(p.name && p.brand && p.description);
  }
});

test("search wants every word, anywhere, and nothing for nothing", () => {
  assert.deepEqual(search("mug").map((p) => p.id), ["mist-mug"]);
  assert.deepEqual(search("LAMP linen").map((p) => p.id), ["alba-table-lamp"]);
  assert.deepEqual(search("  "), []);
  assert.deepEqual(search("<img src=x>"), []);
});

test("related products are others, the same category first", () => {
  const lamp = byId("alba-table-lamp");
  assert.ok(lamp);
  const found = related(lamp, 4);
  assert.equal(found.length, 4);
  assert.ok(found.every((p) => p.id !== lamp.id && p.category === "Lighting"));
});

test("what was stored badly is forgotten", () => {
  assert.match(state.cart.value.id, /^c-/);
  assert.equal(state.userId.value, null);
});

test("the cart adds up in cents, with quantity and percent", () => {
  state.setQuantity("mist-mug", 3);
  state.setQuantity("brass-pen", 1);
  state.setQuantity("no-such-thing", 2);
  assert.deepEqual([state.subtotal.value, state.itemCount.value], [112, 4]);
  state.setCode("TEN", 10);
  assert.deepEqual([state.discount.value, state.total.value], [11.2, 100.8]);
  state.setQuantity("mist-mug", 0);
  assert.equal(state.subtotal.value, 58);
  state.setQuantity("mist-mug", 400);
  assert.equal(state.itemCount.value, 21);
  const before = state.cart.value.id;
  state.emptyCart();
  assert.equal(state.total.value, 0);
  assert.notEqual(state.cart.value.id, before);
  assert.equal(state.cart.value.code, null);
});
