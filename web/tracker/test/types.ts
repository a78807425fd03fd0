//! Checked by the compiler only: the commands as a shop writes them, and what the types refuse.

import type { Midsession } from "@midsession/tracker";

declare const midsession: Midsession;

midsession("page");
midsession("track", "add_to_cart", {
  products: [{ id: "p1", name: "Shirt", price: 39.9, currency: "EUR", quantity: 1 }],
  cart: { id: "c1", total_value: 39.9, currency: "EUR" },
});
midsession("track", "wishlist_shared", { properties: { friends: 3 } });
midsession("identify", "user-1");
midsession("identify", 4711);
midsession("logout");
midsession("consent", "cookieless");
midsession("consent", { analytics: true, personalization: false });
midsession("on", "intervention", (frame, report) => {
  document.title = frame.payload.title ?? "";
  report.shown();
});
midsession("on", "retract", ({ decision_id }) => decision_id.length);

// @ts-expect-error: an id is text or a number
midsession("identify", undefined);
// @ts-expect-error: no such command
midsession("trakc", "page_view");
// @ts-expect-error: a price is a number
midsession("track", "product_view", { products: [{ id: "p1", price: "39.90" }] });
// @ts-expect-error: no such level of consent
midsession("consent", "all");
