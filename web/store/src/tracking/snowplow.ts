//! The unmodified Snowplow tracker as a backend of the shop; ours runs beside it and only listens for interventions.
import type * as Sp from "../vendor/sp.ts";
import type { ConsentMode } from "../state.ts";
import { loadTracker } from "./midsession.ts";
import type { Backend, Fields, Name, Setup } from "./types.ts";

declare global {
  var midsessionShopSnowplow: typeof Sp | undefined;
}

const listed = (fields: Fields): Sp.Product[] => (fields.products ?? []).map((p) => ({ ...p }));
const cartOf = (fields: Fields): Sp.Cart => ({
  cart_id: fields.cart?.id ?? "",
  total_value: fields.cart?.total_value ?? 0,
  currency: fields.cart?.currency ?? "EUR",
  products: listed(fields),
});

function loadVendor(): Promise<typeof Sp> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${import.meta.env.BASE_URL}vendor/sp.js`;
    script.onload = () => (globalThis.midsessionShopSnowplow ? resolve(globalThis.midsessionShopSnowplow) : reject(new Error("sp.js is empty")));
    script.onerror = () => reject(new Error("sp.js did not load"));
    document.head.append(script);
  });
}

export class SnowplowBackend implements Backend {
  #sp: typeof Sp | null = null;
  #tracker: Sp.BrowserTracker | null | undefined;
  #setup: Setup | null = null;
  #listening = false;

  async start(setup: Setup): Promise<void> {
    this.#sp = await loadVendor();
    this.#setup = setup;
    this.#tracker = this.#sp.newTracker("shop", location.origin, {
      appId: "demo-shop",
      contexts: { session: true, browser: true },
      cookieSecure: location.protocol === "https:",
      anonymousTracking: setup.consent === "cookieless" ? { withServerAnonymisation: true } : false,
      plugins: [this.#sp.SnowplowEcommercePlugin()],
    });
    this.#sp.setUserId(setup.userId);
    if (setup.consent === "full") this.#listen();
  }

  /** Ours comes second: its shopper is the one in Snowplow's cookie. */
  #listen(): void {
    if (!this.#setup || this.#listening) return;
    this.#listening = true;
    loadTracker({ key: this.#setup.writeKey, push: "on", track: "off", consent: "full" }, this.#setup.failed);
  }

  track(name: Name, fields: Fields): void {
    const sp = this.#sp;
    if (!sp) return;
    const product = listed(fields)[0];
    const send: Record<Name, () => void> = {
      page_view: () => sp.trackPageView({ title: document.title }),
      list_view: () => sp.trackProductListView({ name: fields.list ?? "", products: listed(fields) }),
      list_click: () => product && sp.trackProductListClick({ name: fields.list ?? "", product }),
      product_view: () => product && sp.trackProductView(product),
      add_to_cart: () => sp.trackAddToCart(cartOf(fields)),
      remove_from_cart: () => sp.trackRemoveFromCart(cartOf(fields)),
      checkout_step: () => sp.trackCheckoutStep({ step: fields.step ?? 1 }),
      transaction: () =>
        fields.order &&
        sp.trackTransaction({
          transaction_id: fields.order.id,
          revenue: fields.order.revenue,
          currency: fields.order.currency,
          payment_method: "demo",
          total_quantity: (fields.products ?? []).reduce((sum, p) => sum + (p.quantity ?? 1), 0),
          shipping: fields.order.shipping,
          discount_amount: fields.order.discount,
          products: listed(fields),
        }),
      promo_view: () => fields.promotion && sp.trackPromotionView(fields.promotion),
      promo_click: () => fields.promotion && sp.trackPromotionClick(fields.promotion),
      search: () =>
        sp.trackSelfDescribingEvent({
          event: { schema: "iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0", data: { terms: (fields.query ?? "").split(/\s+/) } },
        }),
      // Snowplow has no event of its own for this one.
      cart_view: () => sp.trackStructEvent({ category: "shop", action: "cart_view" }),
    };
    send[name]();
  }

  consent(mode: ConsentMode): void {
    const sp = this.#sp;
    if (!sp) return;
    if (mode === "full") {
      sp.disableAnonymousTracking();
      this.#listen();
      window.midsession?.("consent", mode);
      return;
    }
    window.midsession?.("consent", mode);
    sp.enableAnonymousTracking({ options: { withServerAnonymisation: true } });
    if (mode === "none") sp.clearUserData();
  }

  login(userId: string): void {
    this.#sp?.setUserId(userId);
    this.#sp?.trackStructEvent({ category: "shop", action: "login" });
  }
  logout(): void {
    this.#sp?.trackStructEvent({ category: "shop", action: "logout" });
    this.#sp?.setUserId(null);
  }

  ids(): { visitor: string | null; session: string | null } {
    const session = this.#sp?.getDomainSessionId("shop") ?? null;
    return { visitor: this.#tracker?.getDomainUserId() ?? null, session };
  }
}
