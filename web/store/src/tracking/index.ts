//! The shop's one door to a tracker: pages say what happened, the chosen backend sends it, the drawer shows it.
import { effect, signal } from "@preact/signals";
import { cart, consent, subtotal, trackerChoice, userId } from "../state.ts";
import { currency } from "../catalog.ts";
import { MidsessionBackend } from "./midsession.ts";
import { SnowplowBackend } from "./snowplow.ts";
import type { Backend, Fields, Name } from "./types.ts";

export { offeredCode } from "./midsession.ts";
export { tracked } from "./types.ts";

export interface Sent {
  at: number;
  name: string;
  detail: string;
}
interface Config {
  write_key: string;
  console_url?: string;
}

/** The last events handed to the tracker by this page, newest first. */
export const sent = signal<readonly Sent[]>([]);
export const consoleUrl = signal<string | null>(null);
export const trackerState = signal<"waiting" | "running" | "off" | "failed">("waiting");

const shown = 60;
const heldMax = 50;
const backend: Backend = trackerChoice.peek() === "snowplow" ? new SnowplowBackend() : new MidsessionBackend();
let config: Promise<Config> | null = null;
let running = false;
/** What the page on screen had to say before the visitor chose: sent on a yes, forgotten on a no or on leaving it. */
let held: [Name, Fields][] = [];

export function track(name: Name, fields: Fields = {}): void {
  if (consent.peek() === "none") return;
  if (!running) {
    if (name === "page_view") held = [];
    if (held.length < heldMax) held.push([name, fields]);
    return;
  }
  backend.track(name, fields);
  note(name, describe(fields));
}

function note(name: string, detail: string): void {
  sent.value = [{ at: Date.now(), name, detail }, ...sent.peek()].slice(0, shown);
}

export const cartNow = (): { id: string; total_value: number; currency: string } => ({
  id: cart.peek().id,
  total_value: subtotal.peek(),
  currency,
});

export const visit = (): { visitor: string | null; session: string | null } =>
  running ? backend.ids() : { visitor: null, session: null };

export function describe(fields: Fields): string {
  const parts: string[] = [];
  const first = fields.products?.[0];
  if (fields.query !== undefined) parts.push(`“${fields.query}”`);
  if (fields.list) parts.push(fields.list);
  if (fields.promotion) parts.push(fields.promotion.name);
  if (first && fields.products?.length === 1) parts.push(first.name);
  else if (fields.products?.length) parts.push(`${fields.products.length} products`);
  if (fields.step) parts.push(`step ${fields.step}`);
  if (fields.cart) parts.push(`cart ${fields.cart.total_value.toFixed(2)}`);
  if (fields.order) parts.push(`order ${fields.order.revenue.toFixed(2)}`);
  return parts.join(" · ");
}

async function begin(mode: "full" | "cookieless"): Promise<void> {
  try {
    config ??= fetch("/shop/api/config").then((answer) => {
      if (!answer.ok) throw new Error(`config ${answer.status}`);
      return answer.json() as Promise<Config>;
    });
    const { write_key, console_url } = await config;
    consoleUrl.value = console_url ?? null;
    trackerState.value = "running";
    const failed = () => (trackerState.value = "failed");
    await backend.start({ writeKey: write_key, consent: mode, userId: userId.peek(), failed });
    running = true;
    const waiting = held;
    held = [];
    for (const [name, fields] of waiting) track(name, fields);
  } catch (error) {
    config = null;
    trackerState.value = "failed";
    console.warn("The shop works, but its tracker could not start.", error);
  }
}

/** Follows the visitor's choices from now on. */
export function followChoices(): void {
  let starting: Promise<void> | null = null;
  effect(() => {
    const mode = consent.value;
    if (mode === null) return;
    if (mode === "none") {
      held = [];
      if (running) backend.consent("none");
      trackerState.value = "off";
    } else if (running) {
      backend.consent(mode);
      trackerState.value = "running";
    } else {
      starting ??= begin(mode).finally(() => (starting = null));
    }
  });
}

export function signIn(id: string): void {
  userId.value = id;
  if (!running) return;
  backend.login(id);
  note("login", id);
}

export function signOut(): void {
  userId.value = null;
  if (!running) return;
  backend.logout();
  note("logout", "");
}
