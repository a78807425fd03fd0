//! Three short steps to an order that costs nothing, and a thank-you. What is typed here stays on this page.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { placeOrder, type Order } from "../api.ts";
import { money } from "../catalog.ts";
import { Icon } from "../parts/icon.tsx";
import { usePage } from "../parts/page.ts";
import { CodeField, Totals } from "../parts/totals.tsx";
import { cart, emptyCart, lines, user } from "../state.ts";
import { track, tracked, visit, cartNow } from "../tracking/index.ts";

const steps = ["Contact", "Delivery", "Payment"] as const;
const lastOrder = signal<Order | null>(null);

function Steps({ at }: { at: number }) {
  return (
    <ol class="steps" aria-label="Checkout steps">
      {steps.map((name, index) => (
        <li key={name} aria-current={index + 1 === at ? "step" : undefined} class={index + 1 < at ? "done" : ""}>
          <span>{index + 1 < at ? <Icon name="check" /> : index + 1}</span>
          {name}
        </li>
      ))}
    </ol>
  );
}

function Contact() {
  return (
    <>
      <label for="name">Name</label>
      <input id="name" name="name" required autocomplete="off" defaultValue={user.value ? `${user.value.name} Demo` : "Robin Demo"} />
      <label for="email">E-mail</label>
      <input id="email" name="email" type="email" required autocomplete="off" defaultValue="robin@halden.example" />
      <p class="note">Filled in for you. It stays in this page: neither shop nor tracker sends it anywhere.</p>
    </>
  );
}

function Choice(props: { name: string; value: string; title: string; text: string; checked?: boolean }) {
  return (
    <label class="choice">
      <input type="radio" name={props.name} value={props.value} defaultChecked={props.checked ?? false} />
      <span>
        <b>{props.title}</b>
        <small>{props.text}</small>
      </span>
    </label>
  );
}

export function CheckoutPage() {
  usePage("Checkout");
  const { route } = useLocation();
  const [step, setStep] = useState(1);
  const [busy, setBusy] = useState(false);
  const [message, setMessage] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  const empty = lines.value.length === 0;
  useEffect(() => {
    if (!empty) track("checkout_step", { step, cart: cartNow() });
    if (step > 1) heading.current?.focus();
  }, [step]);
  if (empty)
    return (
      <section class="wrap section empty">
        <h1>Nothing to check out</h1>
        <p>Your cart is empty.</p>
        <a class="button" href="/shop/">
          Back to the shop
        </a>
      </section>
    );
  const order = async () => {
    setBusy(true);
    setMessage("");
    const bought = lines.peek();
    const items = bought.map((l) => ({ id: l.product.id, quantity: l.quantity }));
    const answer = await placeOrder({ cart_id: cart.peek().id, items, code: cart.peek().code, visitor_id: visit().visitor });
    setBusy(false);
    if (!answer.ok) {
      setMessage(answer.message);
      return;
    }
    const { order_id, total, discount, currency } = answer.value;
    track("transaction", {
      products: bought.map((l) => tracked(l.product, { quantity: l.quantity })),
      order: { id: order_id, revenue: total, currency, discount, shipping: 0 },
    });
    lastOrder.value = answer.value;
    emptyCart();
    route("/shop/thank-you");
  };
  const next = (event: SubmitEvent) => {
    event.preventDefault();
    if (step < 3) setStep(step + 1);
    else void order();
  };
  return (
    <section class="wrap section">
      <h1>Checkout</h1>
      <Steps at={step} />
      <div class="cart">
        <form class="fields" onSubmit={next}>
          <h2 ref={heading} tabIndex={-1}>
            {steps[step - 1]}
          </h2>
          {step === 1 && <Contact />}
          {step === 2 && (
            <fieldset>
              <legend class="hidden">Delivery</legend>
              <Choice name="delivery" value="parcel" title="Parcel" text="2 to 4 days, free" checked />
              <Choice name="delivery" value="pickup" title="Pick up" text="in the shop that does not exist, free" />
            </fieldset>
          )}
          {step === 3 && (
            <fieldset>
              <legend class="hidden">Payment</legend>
              <Choice name="payment" value="demo" title="Demo card" text="ends in 0000, is never charged" checked />
              <Choice name="payment" value="invoice" title="Invoice" text="that nobody will send" />
            </fieldset>
          )}
          <p class="note bad" role="alert">
            {message}
          </p>
          <div class="buy">
            {step > 1 && (
              <button type="button" class="button quiet" onClick={() => setStep(step - 1)}>
                Back
              </button>
            )}
            <button type="submit" class="button" disabled={busy}>
              {step < 3 ? "Continue" : busy ? "Placing the order…" : "Place order"}
            </button>
          </div>
        </form>
        <div class="cart-sum">
          <ul class="mini">
            {lines.value.map((l) => (
              <li key={l.product.id}>
                <span>
                  {l.quantity} × {l.product.name}
                </span>
                <span class="price">{money(l.product.price * l.quantity)}</span>
              </li>
            ))}
          </ul>
          <CodeField />
          <Totals />
        </div>
      </div>
    </section>
  );
}

export function ThanksPage() {
  usePage("Thank you");
  const order = lastOrder.value;
  return (
    <section class="wrap section empty">
      <span class="big-check">
        <Icon name="check" />
      </span>
      <h1>Thank you</h1>
      {order ? (
        <p>
          Order <b>{order.order_id}</b> over {money(order.total)} is placed
          {order.discount > 0 && <>, {money(order.discount)} off</>}. Nothing was charged and nothing will be sent.
        </p>
      ) : (
        <p>Your order is placed. Nothing was charged and nothing will be sent.</p>
      )}
      <a class="button" href="/shop/">
        Keep looking around
      </a>
    </section>
  );
}
