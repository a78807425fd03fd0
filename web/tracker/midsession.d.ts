// Types of the tracker's public surface: the commands of `window.midsession` and what its callbacks get.

/** A product as an event names it. Money is in `currency`, never in cents. */
export interface Product {
  id: string;
  name?: string;
  category?: string;
  brand?: string;
  price?: number;
  /** ISO 4217. */
  currency?: string;
  quantity?: number;
  /** From 1. */
  position?: number;
}

/** The cart after the event. */
export interface Cart {
  id?: string;
  total_value?: number;
  currency?: string;
}

/** The order of a `transaction` or `refund`. */
export interface Order {
  id?: string;
  revenue?: number;
  currency?: string;
  tax?: number;
  shipping?: number;
  discount?: number;
}

/** What an event may carry beside its name; identity, time and page are filled in. */
export interface Fields {
  products?: Product[];
  cart?: Cart;
  order?: Order;
  promotion?: { id?: string; name?: string };
  list?: string;
  /** Checkout step, from 1. */
  step?: number;
  query?: string;
  page?: { url?: string; title?: string; referrer?: string };
  campaign?: { source?: string; medium?: string; name?: string; term?: string; content?: string };
  session_id?: string;
  properties?: Record<string, string | number | boolean | null>;
}

/** Names with a meaning of their own; any other name is a custom event. */
export type EventName =
  | "page_view" | "page_ping" | "product_view" | "list_view" | "list_click" | "search" | "promo_view" | "promo_click"
  | "add_to_cart" | "remove_from_cart" | "cart_view" | "checkout_step" | "transaction" | "refund"
  | (string & {});

/** What the shopper allows. */
export type Consent =
  | "full"
  | "cookieless"
  | "none"
  | { analytics?: boolean; personalization?: boolean; experiments?: boolean; marketing?: boolean };

/** The text of an intervention; any field may be translated under `locales`. */
export interface Text {
  title?: string;
  body?: string;
  /** http(s) or relative address; anything else is left out. */
  action?: string;
  /** Text of the action. Without an `action` it is a button that reports the click. */
  label?: string;
  /** Text of the second button; the close button is named after it too. */
  dismiss?: string;
  /** A discount code, shown with a button that copies it. */
  code?: string;
  copy?: string;
  copied?: string;
}

/** What to show: text, its translations, and whatever else the definition carries. */
export interface Payload extends Text {
  locales?: Record<string, Text>;
  [extra: string]: unknown;
}

/** An intervention as it was pushed. Times in epoch ms of the server's clock. */
export interface Frame {
  decision_id: string;
  rule: string;
  slot: string;
  payload: Payload;
  expires_at_ms: number;
  now_ms: number;
  preview?: boolean;
  cause_event_id?: string | null;
  by_silence?: boolean;
  deadline_ms?: number | null;
  stamps_us?: Record<string, number>;
  /** The language that the texts are in, where `payload.locales` had the page's. */
  lang?: string;
}

/** What a callback calls when it paints an intervention itself; each is reported once. */
export interface Report {
  shown(): void;
  clicked(): void;
  dismissed(): void;
}

/** The commands. Before the tracker has loaded they queue up in `midsession.q`. */
export interface Midsession {
  /** Sends an event and returns its id (nothing before the tracker has loaded, or without consent). */
  (command: "track", name: EventName, fields?: Fields): string | undefined | void;
  (command: "page", fields?: Fields): string | undefined | void;
  /** Who is signed in; may be repeated on every page. A number is taken as its text. */
  (command: "identify", userId: string | number): void;
  (command: "logout"): void;
  (command: "consent", consent: Consent): void;
  /** Takes over painting, unless the callback returns `false`, or a promise of it, or throws. */
  (command: "on", event: "intervention", callback: (frame: Frame, report: Report) => unknown): void;
  /** Told of what happens to interventions; `retract` means: take it away again. */
  (command: "on", event: "exposure" | "painted" | "click" | "dismiss", callback: (frame: Frame) => void): void;
  (command: "on", event: "retract", callback: (frame: { decision_id: string }) => void): void;
  q?: ArrayLike<unknown>[];
}

declare global {
  interface Window {
    midsession?: Midsession;
  }
}
