//! The product's names in everyday words: features, rules, outcomes, events.
import type { Decision, Intervention, Scalar } from "./api.ts";

const features: Record<string, string> = {
  product_view_count: "Products viewed",
  distinct_products: "Different products",
  list_view_count: "Lists viewed",
  search_count: "Searches",
  cart_add_count: "Put in cart",
  cart_remove_count: "Taken out of cart",
  order_count: "Orders",
  order_value: "Spent on orders",
  avg_viewed_price: "Average price viewed",
  min_viewed_price: "Lowest price viewed",
  max_viewed_price: "Highest price viewed",
  top_category: "Favourite category",
  unique_categories: "Different categories",
  cheap_return_count: "Returns to cheap products",
  cart_value: "Cart is worth",
  cart_size: "Items in cart",
  checkout_step: "Checkout step",
  duration_ms: "Session lasts",
  page_count: "Pages viewed",
  bounce: "Left after one page",
  idle_ms: "Silent for",
  cart_view_ratio: "Put in cart per product viewed",
  device_class: "Device",
  campaign: "Campaign",
};

export const windows = ["5m", "1h", "24h"] as const;
export type Window = (typeof windows)[number];
export const windowWords: Record<Window, string> = { "5m": "5 min", "1h": "1 h", "24h": "24 h" };

export interface FeatureName {
  base: string;
  window: Window | null;
  label: string;
}

export function featureName(name: string): FeatureName {
  const bare = name.replace(/^(user|session)\./, "");
  const window = windows.find((w) => bare.endsWith(`_${w}`)) ?? null;
  const base = window ? bare.slice(0, -window.length - 1) : bare;
  // A changed definition is served beside the live one as name@version.
  const [plain = base, version] = base.split("@");
  const words = features[plain] ?? plain.replaceAll("_", " ");
  return { base, window, label: version ? `${words}, version ${version}` : words };
}

const events: Record<string, string> = {
  page_view: "Page viewed",
  page_ping: "Still on the page",
  product_view: "Product viewed",
  list_view: "List viewed",
  list_click: "Product picked from a list",
  search: "Searched",
  promo_view: "Promotion seen",
  promo_click: "Promotion clicked",
  add_to_cart: "Put in cart",
  remove_from_cart: "Taken out of cart",
  cart_view: "Cart looked at",
  checkout_step: "Checkout step",
  transaction: "Bought",
  refund: "Refunded",
  login: "Signed in",
  logout: "Signed out",
  consent: "Privacy choice",
  exposure: "Intervention in sight",
  painted: "Intervention painted",
  click: "Intervention clicked",
  dismiss: "Intervention dismissed",
};
export const eventWords = (name: string): string => events[name] ?? name.replaceAll("_", " ");

export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
export const humanise = (name: string): string => sentence(name.replaceAll(/[_-]+/g, " ").trim());

const durations: Record<string, string> = { ms: "ms", s: "seconds", m: "minutes", h: "hours", d: "days" };
export function durationWords(text: string): string {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) return text;
  const [, n = "", unit = ""] = match;
  const word = durations[unit] ?? unit;
  return `${n} ${n === "1" ? word.replace(/s$/, "") : word}`;
}

/** When a rule is asked. */
export function triggerWords(trigger: Intervention["trigger"]): string {
  const idle = trigger.idle_ms ? (trigger.idle_ms % 1_000 ? `${trigger.idle_ms}ms` : `${trigger.idle_ms / 1_000}s`) : trigger.idle;
  if (idle) return `When a shopper has done nothing for ${durationWords(idle)}`;
  if (trigger.event) return `Right after “${eventWords(trigger.event).toLowerCase()}”`;
  return "When asked";
}

const amounts: Record<string, string> = { ">": "more than", ">=": "at least", "<": "less than", "<=": "at most", "==": "exactly" };

/** How a rule speaks of a number: `n` is "more than 80", `ago` is " in the last 1 h" or "". */
const phrases: Record<string, (n: string, ago: string) => string> = {
  cart_value: (n) => `the cart is worth ${n}`,
  cart_size: (n) => `the cart holds ${n} items`,
  product_view_count: (n, ago) => `${n} products were viewed${ago}`,
  distinct_products: (n, ago) => `${n} different products were viewed${ago}`,
  list_view_count: (n, ago) => `${n} lists were viewed${ago}`,
  search_count: (n, ago) => `${n} searches were made${ago}`,
  cart_add_count: (n, ago) => `${n} things were put in the cart${ago}`,
  cart_remove_count: (n, ago) => `${n} things were taken out of the cart${ago}`,
  order_count: (n, ago) => `${n} orders were placed${ago}`,
  order_value: (n, ago) => `${n} was spent${ago}`,
  avg_viewed_price: (n, ago) => `the average price viewed${ago} is ${n}`,
  unique_categories: (n, ago) => `${n} categories were viewed${ago}`,
  cheap_return_count: (n, ago) => `cheap products were looked at again ${n} times${ago}`,
  page_count: (n, ago) => `${n} pages were viewed${ago}`,
};
const nothing: Record<string, string> = {
  order_count: "nothing was bought",
  cart_size: "the cart is empty",
  checkout_step: "checkout has not begun",
  search_count: "nothing was searched for",
  cart_remove_count: "nothing was taken out of the cart",
  cart_add_count: "nothing was put in the cart",
};
const ago = (window: Window | null): string => (window ? ` in the last ${windowWords[window]}` : "");

/** One part of a condition in words, or null where only its own text says it exactly. */
function partWords(part: string): string | null {
  const spread = /^user\.max_viewed_price(_\w+)? - user\.min_viewed_price\1 (>=?) (\d+(?:\.\d+)?)$/.exec(part.trim());
  if (spread) {
    const { window } = featureName(`max_viewed_price${spread[1] ?? ""}`);
    return `the prices viewed${ago(window)} lie ${amounts[spread[2] ?? ""]} ${(spread[3] ?? "").replace(/\.0+$/, "")} apart`;
  }
  const match = /^(?:session|user)\.([a-z_0-9]+)\s*(>=|<=|==|>|<)\s*("[^"]*"|-?\d+(?:\.\d+)?)$/.exec(part.trim());
  if (!match) return null;
  const [, name = "", operator = "", quoted = ""] = match;
  const { base, window, label } = featureName(name);
  const value = quoted.replace(/^"|"$/g, "").replace(/\.0+$/, "");
  if (operator === "==" && value === "0" && nothing[base]) return `${nothing[base]}${ago(window) || " in this session"}`;
  if (base === "checkout_step" && operator === ">=") return `checkout has reached step ${value}`;
  const phrase = phrases[base];
  if (phrase) return phrase(`${amounts[operator]} ${value}`, ago(window));
  return operator === "==" ? `${label.toLowerCase()} is “${value}”` : `${label.toLowerCase()}${ago(window)} is ${amounts[operator]} ${value}${base.endsWith("_ms") ? " ms" : ""}`;
}

export interface Part {
  text: string;
  exact: boolean;
}

/** The condition of a rule, part by part. Parts that don't read as words are shown as they are written. */
export function conditionWords(when: string | null): Part[] {
  if (!when?.trim() || when.trim() === "true") return [];
  // A condition with an "or" or brackets in it is not a plain list of parts.
  if (/\|\||[()?]/.test(when)) return [{ text: when, exact: true }];
  return when.split("&&").map((part) => {
    const text = partWords(part);
    return text === null ? { text: part.trim(), exact: true } : { text, exact: false };
  });
}

/** `at most 2 per 7d` or `2 per 7d`: "2 in 7 days". */
export const capWords = (cap: string): string => cap.replace(/^at most /, "").replace(/per (\d+) ?([smhd])$/, (_, n: string, unit: string) => `in ${durationWords(n + unit)}`);

const owners: Record<string, string> = { tracker: "whoever builds the tracking", source: "whoever configures the source", midsession: "midsession itself" };
export const ownerWords = (owner: string | null): string => (owner ? (owners[owner] ?? owner) : "the sender");

/** A shopper's id without its kind (`user:ID`, `visitor:ID`). */
export const shopperName = (shopper: string): string => shopper.replace(/^(user|visitor):/, "");

const outcomes: Record<string, string> = {
  served: "sent to the shopper",
  holdout: "held back for comparison",
  capped: "held back by a cap",
  expired: "expired before it was seen",
  dry_run: "dry run, not shown",
  disabled: "switched off meanwhile",
  no_consent: "not allowed by the shopper",
};
const summaries: Record<string, string> = { "asked by silence": "after a silence", "asked by an event": "after an event" };
/** What the server says of a timeline's entry, outcomes in words. */
export const summaryWords = (summary: string): string => outcomes[summary] ?? summaries[summary] ?? summary;

export type Tone = "good" | "calm" | "quiet" | "warn";

/** What became of a decision, by the furthest it got. */
export function outcome(d: Decision, simulated = false): { text: string; tone: Tone } {
  if (d.clicked_at_ms) return { text: "clicked", tone: "good" };
  if (d.dismissed_at_ms) return { text: "dismissed", tone: "calm" };
  if (d.painted_at_ms && simulated) return { text: "simulated as painted", tone: "calm" };
  if (d.painted_at_ms) return { text: "on the shopper’s screen", tone: "good" };
  return { text: outcomes[d.outcome] ?? d.outcome.replaceAll("_", " "), tone: d.outcome === "served" ? "calm" : "quiet" };
}

const stages: Record<string, string> = {
  send: "Wait to be sent",
  collect: "Receive and check",
  log: "Make durable",
  machine: "Understand",
  decide: "Decide",
  log_decision: "Make the decision durable",
  push: "Send",
  render: "Paint",
  handoff: "Know who signed in",
  timer: "Notice a silence",
  silence: "From deadline to painted",
};
export const stageWords = (name: string): string => stages[name] ?? humanise(name);

/** A feature's value as people read it. */
export function featureValue(base: string, value: Scalar | undefined): string {
  if (value === undefined || value === null) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (/_ms(@|$)/.test(base)) return value < 60_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.floor(value / 60_000)} min ${Math.floor((value % 60_000) / 1000)} s`;
  if (/price|value/.test(base)) return value.toFixed(2);
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

/** The sources come with a label of their own; the tone keeps them apart at a glance. */
export function sourceTone(label: string): "shop" | "simulated" | "replay" | "other" {
  const text = label.toLowerCase();
  if (text.includes("simulated")) return "simulated";
  if (text.includes("replay")) return "replay";
  if (text.includes("shop")) return "shop";
  return "other";
}
