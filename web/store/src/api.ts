//! The shop's own backend: prices, codes and orders are its word, not the page's.
export interface Order {
  order_id: string;
  total: number;
  discount: number;
  currency: string;
}
export type Answer<T> = { ok: true; value: T } | { ok: false; message: string };

const problems: Record<string, string> = {
  coupon_unknown: "We don't know this code. Check it for a typing slip.",
  coupon_used: "This code has been used already.",
  coupon_expired: "This code has expired.",
  coupon_not_yours: "This code was given to another shopper.",
};

async function post<T>(path: string, body: unknown): Promise<Answer<T>> {
  try {
    const answer = await fetch(`/shop/api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const value: unknown = await answer.json();
    if (answer.ok) return { ok: true, value: value as T };
    const { code, detail } = value as { code?: string; detail?: string };
    return { ok: false, message: problems[code ?? ""] ?? detail ?? "The shop could not do that. Please try again." };
  } catch {
    return { ok: false, message: "The shop did not answer. Please try again in a moment." };
  }
}

export const checkCode = (code: string, visitor_id: string | null): Promise<Answer<{ percent: number }>> =>
  post("coupon", { code, ...(visitor_id && { visitor_id }) });

export const placeOrder = (order: { cart_id: string; items: { id: string; quantity: number }[]; code: string | null; visitor_id: string | null }): Promise<Answer<Order>> =>
  post("checkout", { cart_id: order.cart_id, items: order.items, ...(order.code && { code: order.code }), ...(order.visitor_id && { visitor_id: order.visitor_id }) });
