//! The discount code field and the sum of the cart, the same on the cart and in the checkout.
import { useEffect, useState } from "preact/hooks";
import { checkCode } from "../api.ts";
import { money } from "../catalog.ts";
import { cart, discount, setCode, subtotal, total } from "../state.ts";
import { offeredCode, visit } from "../tracking/index.ts";

export function CodeField({ offered = "" }: { offered?: string }) {
  const [text, setText] = useState(offered || offeredCode.peek());
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const apply = async (code: string) => {
    const wanted = code.trim();
    if (!wanted) return;
    setBusy(true);
    const answer = await checkCode(wanted, visit().visitor);
    setBusy(false);
    if (answer.ok) {
      setCode(wanted, answer.value.percent);
      setText("");
      setMessage("");
    } else setMessage(answer.message);
  };
  useEffect(() => {
    if (offered && cart.peek().code !== offered) void apply(offered);
  }, [offered]);
  const { code, percent } = cart.value;
  if (code)
    return (
      <p class="code-on" role="status">
        <span>
          Code <b>{code.length > 18 ? `${code.slice(0, 17)}…` : code}</b>, {percent} % off
        </span>
        <button type="button" class="link" onClick={() => setCode(null, 0)}>
          Remove
        </button>
      </p>
    );
  return (
    <form
      class="code"
      onSubmit={(event) => {
        event.preventDefault();
        void apply(text);
      }}
    >
      <label for="code">Discount code</label>
      <div class="code-row">
        <input id="code" value={text} maxLength={256} autocomplete="off" spellcheck={false} aria-invalid={message !== ""} aria-describedby="code-note" onInput={(event) => setText(event.currentTarget.value)} />
        <button type="submit" class="button quiet" disabled={busy}>
          {busy ? "Checking…" : "Apply"}
        </button>
      </div>
      <p id="code-note" class="note bad" role="status">
        {message}
      </p>
    </form>
  );
}

export function Totals() {
  return (
    <dl class="totals">
      <div>
        <dt>Goods</dt>
        <dd>{money(subtotal.value)}</dd>
      </div>
      {discount.value > 0 && (
        <div>
          <dt>Discount</dt>
          <dd>−{money(discount.value)}</dd>
        </div>
      )}
      <div>
        <dt>Delivery</dt>
        <dd>free</dd>
      </div>
      <div class="total">
        <dt>Total</dt>
        <dd>{money(total.value)}</dd>
      </div>
    </dl>
  );
}
