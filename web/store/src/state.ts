//! What the shop remembers in this browser: the cart, who is signed in, consent, and which tracker runs.
import { computed, effect, signal, type Signal } from "@preact/signals";
import { byId, type Product } from "./catalog.ts";

export type ConsentMode = "full" | "cookieless" | "none";
export type TrackerChoice = "midsession" | "snowplow";
export interface User {
  id: string;
  name: string;
  line: string;
}
export interface Cart {
  id: string;
  quantities: Record<string, number>;
  code: string | null;
  /** Percent off that the code gives, as the server last said. */
  percent: number;
}
export interface Line {
  product: Product;
  quantity: number;
}

export const demoUsers: readonly User[] = [
  { id: "u-ada", name: "Ada", line: "furnishing a first flat" },
  { id: "u-bruno", name: "Bruno", line: "buys ceramics, slowly" },
  { id: "u-chiara", name: "Chiara", line: "always waits for an offer" },
  { id: "u-demir", name: "Demir", line: "shops on two devices" },
];

const newCart = (): Cart => ({ id: `c-${crypto.randomUUID()}`, quantities: {}, code: null, percent: 0 });

function isCart(value: unknown): value is Cart {
  const cart = value as Cart | null;
  return typeof cart?.id === "string" && typeof cart.quantities === "object" && cart.quantities !== null;
}

/** A signal kept in localStorage and in step with the other tabs. Storage may be refused; the page then forgets. */
function persisted<T>(key: string, initial: T, valid: (value: unknown) => value is T): Signal<T> {
  const read = (text: string | null): T => {
    try {
      const value: unknown = text === null ? initial : JSON.parse(text);
      return valid(value) ? value : initial;
    } catch {
      return initial;
    }
  };
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(key);
  } catch {}
  const value = signal(read(stored));
  effect(() => {
    try {
      localStorage.setItem(key, JSON.stringify(value.value));
    } catch {}
  });
  addEventListener("storage", (event) => {
    if (event.key === key) value.value = read(event.newValue);
  });
  return value;
}

const oneOf =
  <T>(...allowed: T[]) =>
  (value: unknown): value is T =>
    allowed.includes(value as T);

export const cart = persisted<Cart>("halden.cart", newCart(), isCart);
export const userId = persisted<string | null>("halden.user", null, oneOf<string | null>(null, ...demoUsers.map((u) => u.id)));
export const consent = persisted<ConsentMode | null>("halden.consent", null, oneOf<ConsentMode | null>(null, "full", "cookieless", "none"));
export const trackerChoice = persisted<TrackerChoice>("halden.tracker", "midsession", oneOf<TrackerChoice>("midsession", "snowplow"));

export const user = computed(() => demoUsers.find((u) => u.id === userId.value) ?? null);
export const lines = computed<Line[]>(() =>
  Object.entries(cart.value.quantities).flatMap(([id, quantity]) => {
    const product = byId(id);
    return product && quantity > 0 ? [{ product, quantity }] : [];
  }),
);
export const itemCount = computed(() => lines.value.reduce((sum, line) => sum + line.quantity, 0));
export const subtotal = computed(() => cents(lines.value.reduce((sum, line) => sum + line.quantity * line.product.price, 0)));
export const discount = computed(() => cents((subtotal.value * cart.value.percent) / 100));
export const total = computed(() => cents(subtotal.value - discount.value));

/** Sums of cents, not of binary fractions. */
export function cents(value: number): number {
  return Math.round(value * 100) / 100;
}

export function setQuantity(id: string, quantity: number): void {
  const { [id]: _, ...rest } = cart.value.quantities;
  const quantities = quantity > 0 ? { ...cart.value.quantities, [id]: Math.min(quantity, 20) } : rest;
  cart.value = { ...cart.value, quantities };
}

export function setCode(code: string | null, percent: number): void {
  cart.value = { ...cart.value, code, percent };
}

export function emptyCart(): void {
  cart.value = newCart();
}
