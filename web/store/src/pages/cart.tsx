//! The cart: what is in it, how many, what it comes to.
import { useEffect } from "preact/hooks";
import { money } from "../catalog.ts";
import { Art } from "../parts/art.tsx";
import { Icon } from "../parts/icon.tsx";
import { usePage } from "../parts/page.ts";
import { CartSlots } from "../parts/slots.tsx";
import { CodeField, Totals } from "../parts/totals.tsx";
import { lines, setQuantity, type Line } from "../state.ts";
import { cartNow, track, tracked } from "../tracking/index.ts";

/** Reports the difference as what it is: more is an add, less is a removal. */
function change({ product, quantity }: Line, wanted: number): void {
  setQuantity(product.id, wanted);
  const step = wanted - quantity;
  if (step === 0) return;
  track(step > 0 ? "add_to_cart" : "remove_from_cart", { products: [tracked(product, { quantity: Math.abs(step) })], cart: cartNow() });
}

export function CartPage({ offeredCode }: { offeredCode: string }) {
  usePage("Cart");
  useEffect(() => track("cart_view", { products: lines.peek().map((l) => tracked(l.product, { quantity: l.quantity })), cart: cartNow() }), []);
  if (lines.value.length === 0)
    return (
      <section class="wrap section empty">
        <h1>Your cart is empty</h1>
        <p>Nothing in it yet. A mug is a good start.</p>
        <a class="button" href="/shop/product/mist-mug">
          See the mug
        </a>
      </section>
    );
  return (
    <section class="wrap section">
      <h1>Cart</h1>
      <div class="cart">
        <div>
          <ul class="cart-lines">
            {lines.value.map((line) => (
              <li key={line.product.id}>
                <Art id={line.product.id} />
                <div>
                  <a class="plain" href={`/shop/product/${line.product.id}`}>
                    {line.product.name}
                  </a>
                  <p class="small">{money(line.product.price)} each</p>
                </div>
                <label class="hidden" for={`n-${line.product.id}`}>
                  Quantity of {line.product.name}
                </label>
                <select id={`n-${line.product.id}`} value={line.quantity} onChange={(event) => change(line, Number(event.currentTarget.value))}>
                  {Array.from({ length: Math.max(9, line.quantity) }, (_, i) => (
                    <option key={i + 1} value={i + 1}>
                      {i + 1}
                    </option>
                  ))}
                </select>
                <b class="price">{money(line.product.price * line.quantity)}</b>
                <button type="button" class="tool" aria-label={`Remove ${line.product.name}`} onClick={() => change(line, 0)}>
                  <Icon name="close" />
                </button>
              </li>
            ))}
          </ul>
          <CartSlots />
        </div>
        <div class="cart-sum">
          <CodeField offered={offeredCode} />
          <Totals />
          <a class="button wide" href="/shop/checkout">
            Check out
          </a>
        </div>
      </div>
    </section>
  );
}
