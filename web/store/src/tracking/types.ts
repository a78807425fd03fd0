//! What a page may say to a tracker: the native event names with the fields that the shop uses.
import type { Product } from "../catalog.ts";
import type { ConsentMode } from "../state.ts";

export type Name =
  | "page_view"
  | "list_view"
  | "list_click"
  | "product_view"
  | "search"
  | "add_to_cart"
  | "remove_from_cart"
  | "cart_view"
  | "checkout_step"
  | "transaction"
  | "promo_view"
  | "promo_click";

export interface TrackedProduct {
  id: string;
  name: string;
  category: string;
  brand: string;
  price: number;
  currency: string;
  quantity?: number;
  position?: number;
}

export interface Fields {
  products?: TrackedProduct[];
  list?: string;
  query?: string;
  step?: number;
  cart?: { id: string; total_value: number; currency: string };
  order?: { id: string; revenue: number; currency: string; discount: number; shipping: number };
  promotion?: { id: string; name: string };
}

export interface Setup {
  writeKey: string;
  consent: ConsentMode;
  userId: string | null;
  /** Our script did not load. */
  failed(): void;
}

/** A tracker behind the shop. `start` resolves once events can be handed over. */
export interface Backend {
  start(setup: Setup): Promise<void>;
  track(name: Name, fields: Fields): void;
  consent(mode: ConsentMode): void;
  /** Says who it is, and that they came or went. */
  login(userId: string): void;
  logout(): void;
  /** The ids by which the console knows this visit. */
  ids(): { visitor: string | null; session: string | null };
}

export function tracked(product: Product, extra: { quantity?: number; position?: number } = {}): TrackedProduct {
  const { id, name, category, brand, price, currency } = product;
  return { id, name, category, brand, price, currency, ...extra };
}
