//! A small made-up shop floor for the mock: shoppers, sessions, decisions, rejects, in the shapes of the admin listener.
import type { Budget, DeadLetter, Decision, Entry, EntryKind, Features, Intervention, Overview, Session, Stage } from "../src/api.ts";

/** Numbers that are the same in every run. */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const sources = [
  { name: "shop", label: "demo shop" },
  { name: "shoppers", label: "simulated shoppers" },
  { name: "bol", label: "bol.com replay" },
];
const names = ["page_view", "product_view", "list_view", "search", "add_to_cart", "cart_view", "checkout_step"];
const hex = (roll: () => number, length: number): string => Array.from({ length }, () => Math.floor(roll() * 16).toString(16)).join("");

export class World {
  readonly roll: () => number;
  readonly start_ms: number;
  readonly sessions: Session[] = [];
  readonly decisions: Decision[] = [];
  readonly deadLetters: DeadLetter[] = [];
  unreadable = 0;
  /** Timelines are longer than what is answered. */
  truncated = false;
  /** What is asked for one by one: the bytes, by offset. */
  readonly payloads = new Map<number, string>();
  interventions: Intervention[];
  #offset = 0;

  /** `text` wraps every string a shopper could have sent. */
  constructor(
    seed: number,
    count: number,
    readonly now_ms = Date.now(),
    readonly text: (plain: string) => string = (plain) => plain,
  ) {
    this.roll = dice(seed);
    this.start_ms = now_ms - 754_000;
    for (let i = 0; i < count; i++) this.sessions.push(this.newSession(now_ms - Math.floor(this.roll() * 700_000)));
    this.interventions = this.#rules();
    for (let i = 0; i < Math.min(24, count); i++) this.decisions.push(this.newDecision(now_ms - i * 9_000 - 2_000));
    for (let i = 0; i < Math.min(14, count); i++) this.deadLetters.push(this.newDeadLetter(now_ms - i * 31_000 - 4_000));
  }

  pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.roll() * all.length)] as T;
  }

  newSession(started_at_ms: number): Session {
    const { roll, text } = this;
    const source = roll() < 0.06 ? "shop" : roll() < 0.65 ? "shoppers" : "bol";
    const replay = source === "bol";
    const views = 1 + Math.floor(roll() * 9);
    const adds = replay ? 0 : Math.floor(roll() * 3);
    const known = !replay && roll() < 0.3;
    const visitor_id = replay ? String(Math.floor(roll() * 12_899_779)) : `${hex(roll, 8)}-${hex(roll, 4)}-4${hex(roll, 3)}`;
    const orders = adds > 0 && roll() < 0.15 ? 1 : 0;
    const ended_at_ms = Math.min(this.now_ms, started_at_ms + Math.floor(roll() * 300_000));
    return {
      session_id: `s${hex(roll, 15)}`,
      version: 1,
      state: "open",
      merged_into: null,
      visitor_id: text(visitor_id),
      user_id: known ? text(this.pick(["u-ada", "u-bruno", "u-chiara", "u-demir", `customer-${Math.floor(roll() * 900)}`])) : null,
      tracker_session_id: null,
      source,
      started_at_ms,
      ended_at_ms,
      events: views * 2 + adds,
      page_views: views,
      product_views: Math.ceil(views / 2),
      add_to_carts: adds,
      cart_value: adds > 0 && orders === 0 ? Math.round(roll() * 24_000) / 100 : null,
      currency: "EUR",
      checkout_step: adds > 1 ? Math.floor(roll() * 3) : 0,
      orders,
      revenue: orders * Math.round(roll() * 20_000) / 100,
      abandoned: false,
      bot: false,
      device_class: text(this.pick(["desktop", "mobile", "tablet"])),
      campaign: roll() < 0.2 ? text("autumn-lamps") : null,
      last_event: text(replay ? "product_view" : this.pick(names)),
    };
  }

  #rules(): Intervention[] {
    const rule = (name: string, rest: Partial<Intervention>): Intervention => ({
      name,
      version: 1,
      enabled: true,
      dry_run: false,
      trigger: { idle_ms: 20_000 },
      when: "session.cart_value > 80.0 && session.order_count == 0",
      cap: ["at most 1 per session", "at most 2 per 7d"],
      holdout: 0.1,
      priority: 10,
      expires_ms: 120_000,
      slot: "nudge",
      payload: { title: "Still thinking?", body: "Your cart waits for you.", label: "Back to the cart", action: "/shop/cart" },
      counts: { candidates: 412, served: 366, holdout: 41, capped: 5, expired: 12, painted: 349, clicked: 88, dismissed: 61 },
      reached_last_hour: 349,
      error: null,
      ...rest,
    });
    return [
      rule("cart_stalled", {}),
      rule("chat_offer", {
        when: "session.cart_value > 150.0 && session.checkout_step >= 1",
        trigger: { idle_ms: 30_000 },
        slot: "chat",
        cap: ["1 per session"],
        payload: { title: "A question before you buy?", body: "A person answers.", label: "How to reach us", action: "#contact" },
        counts: { candidates: 58, served: 52, holdout: 6, capped: 0, expired: 1, painted: 50, clicked: 9, dismissed: 17 },
        reached_last_hour: 50,
      }),
      rule("price_sensitive", {
        trigger: { event: "product_view" },
        when: "user.max_viewed_price_1h - user.min_viewed_price_1h > 60.0 && user.product_view_count_1h >= 5",
        slot: "offer",
        holdout: 0.2,
        dry_run: true,
        cap: ["1 per 7d"],
        payload: { title: "Ten percent on us", body: "For the next hour, on anything in your cart.", label: "Use it" },
        counts: { candidates: 131, served: 0, holdout: 27, capped: 4, expired: 0, painted: 0, clicked: 0, dismissed: 0 },
        reached_last_hour: 0,
      }),
    ];
  }

  newDecision(at_ms: number): Decision {
    const { roll } = this;
    const s = this.pick(this.sessions.filter((x) => x.source !== "bol")) ?? this.newSession(at_ms);
    const rule = this.pick(["cart_stalled", "cart_stalled", "chat_offer", "price_sensitive"]);
    const outcome = roll() < 0.12 ? "holdout" : roll() < 0.1 ? "capped" : "served";
    const painted = outcome === "served" && roll() < 0.9;
    const took_ms = 14 + roll() * 40;
    return {
      decision_id: `d${hex(roll, 15)}`,
      rule,
      outcome,
      shopper: s.user_id ? `user:${s.user_id}` : `visitor:${s.visitor_id}`,
      visitor_id: s.visitor_id,
      session_id: s.session_id,
      slot: "nudge",
      payload: { title: this.text("Still thinking?") },
      asked_at_ms: at_ms,
      decided_at_ms: at_ms + 2,
      painted_at_ms: painted ? Math.round(at_ms + took_ms) : null,
      clicked_at_ms: painted && roll() < 0.25 ? at_ms + 4_000 : null,
      dismissed_at_ms: null,
      by_silence: rule !== "price_sensitive",
      inputs: { cart_value: s.cart_value },
      sent_to_painted_ms: painted && rule === "price_sensitive" ? took_ms : null,
      source: s.source,
    };
  }

  newDeadLetter(at_ms: number): DeadLetter {
    const { text } = this;
    const kinds: (Partial<DeadLetter> & { payload: string })[] = [
      {
        code: "type",
        field: "products[0].price",
        message: text("The price is a text, not a number"),
        hint: text("Send 24.9 instead of \"24,90\"."),
        payload: JSON.stringify({ event_id: "e-17", name: "add_to_cart", visitor_id: text("v-204"), products: [{ id: text("speck-plate"), name: text("Speck plate"), price: "24,90", currency: "EUR" }], cart: { id: "c-9", total_value: 24.9, currency: "EUR" } }),
      },
      { code: "missing", field: "name", message: text("The event has no name"), hint: text("Every event needs a name, such as page_view."), payload: JSON.stringify({ event_id: "e-18", visitor_id: text("v-88"), page: { url: text("https://shop.example/lamps") } }) },
      { code: "json", field: null, message: text("This is not JSON"), hint: text("The text ends in the middle of an object."), payload: text('{"event_id":"e-19","name":"page_view","page":{"url":') },
    ];
    const { payload, ...kind } = this.pick(kinds);
    const offset = ++this.#offset;
    this.payloads.set(offset, payload);
    return {
      offset,
      stamp_ms: at_ms,
      source: this.pick(sources).name,
      code: "type",
      field: null,
      message: "",
      hint: null,
      owner: "tracker",
      event_id: text("e-17"),
      has_payload: true,
      ...kind,
    };
  }

  overview(now_ms: number): Overview {
    const wave = (t: number) => 380 + 60 * Math.sin(t / 9_000) + 25 * Math.sin(t / 2_300);
    const rates = Array.from({ length: 120 }, (_, i) => {
      const t_ms = (Math.floor(now_ms / 1000) - 119 + i) * 1000;
      const roll = dice(t_ms / 1000)();
      return { t_ms, events: Math.round(wave(t_ms) + 40 * roll), interventions: roll > 0.7 ? Math.round(roll * 4) : 0 };
    });
    const accepted = 283_114 + Math.round((now_ms - this.now_ms) * 0.4);
    return {
      now_ms,
      started_at_ms: this.start_ms,
      events_per_s: rates.at(-1)?.events ?? 0,
      accepted,
      rejected: 14,
      duplicates: 2_871,
      too_late: 18,
      consent_dropped: 41,
      bots: 260,
      sessions: { open: this.sessions.filter((s) => s.state === "open").length, idle: 37, closed: 912 },
      shoppers: 3_127,
      ticks: 8_210,
      interventions: { candidates: 601, served: 418, holdout: 74, capped: 9, painted: 399, clicked: 97, dismissed: 78 },
      freshness_ms: { p50: 3.1, p99: 9.4 },
      sources: [
        { ...(sources[0] as { name: string; label: string }), accepted: 184, rejected: 0, events_per_s: 0.4, served: 31, painted: 29, clicked: 6, dismissed: 5 },
        { ...(sources[1] as { name: string; label: string }), accepted: accepted - 41_184, rejected: 14, events_per_s: 322, served: 387, painted: 370, clicked: 91, dismissed: 73 },
        { ...(sources[2] as { name: string; label: string }), accepted: 41_000, rejected: 0, events_per_s: 61, served: 0, painted: 0, clicked: 0, dismissed: 0 },
      ],
      log: { bytes: 61_204_112, start_ms: this.start_ms },
      push: { connections: 212 },
      rates,
    };
  }

  budget(): Budget {
    const stage = (name: string, owner: string, what: string, clock: Stage["clock"], budget: [number, number] | null, p50_ms: number, p99_ms: number): Stage => ({
      name,
      owner,
      what,
      clock,
      budget_p50_ms: budget?.[0] ?? null,
      budget_p99_ms: budget?.[1] ?? null,
      count: 2_114,
      p50_ms,
      p99_ms,
      p999_ms: p99_ms * 1.6,
      max_ms: p99_ms * 2.4,
      headroom_p99_ms: budget ? budget[1] - p99_ms : null,
    });
    return {
      promise_p99_ms: 2_000,
      stages: [
        stage("collect", "collect", "first byte received to handed to the log", "server", [2, 10], 0.3, 1.4),
        stage("log", "engine-local", "handed to the log to durable", "server", [5, 20], 2.1, 8.8),
        stage("machine", "stream", "durable to a candidate", "server", [2, 10], 0.4, 1.9),
        stage("decide", "decide", "candidate to decision", "server", [1, 5], 0.1, 0.6),
        stage("log_decision", "engine-local", "decision to durable", "server", [5, 20], 2.2, 22.4),
        stage("push", "edge", "durable decision to written to the browser", "server", [2, 10], 0.5, 2.2),
        stage("render", "tracker", "frame handed in to painted", "browser", [16, 60], 9.1, 24),
      ],
      total: stage("total", "midsession", "the shopper's act to painted", "browser", [50, 100], 18.4, 61.2),
      network: stage("network", "network", "there and back", "browser", null, 1.2, 4.1),
      unexplained: stage("unexplained", "midsession", "total less stages and network", "browser", [1, 1], 0.2, 0.8),
      silence: stage("silence", "midsession", "deadline of a silence to painted", "browser", [50, 150], 24, 71),
      timer: stage("timer", "stream", "deadline of a silence to a candidate", "server", [5, 50], 2.1, 6.4),
      handoff: stage("handoff", "stream", "a login's append to in effect at the user's home", "server", [5, 20], 3, 13),
    };
  }

  definitions = [
    { kind: "feature", name: "product_view_count", version: 1, state: "live", looks_back: "exactly", since_ms: null, whole_at_ms: null },
    { kind: "feature", name: "sale_view_count", version: 3, state: "live", looks_back: "until_backfilled", since_ms: Date.now() - 1_000_000, whole_at_ms: Date.now() + 2_600_000, backfill: 0.427 },
    { kind: "feature", name: "product_view_count", version: 2, state: "pending", looks_back: "exactly", since_ms: null, whole_at_ms: null },
    { kind: "feature", name: "loyal", version: 1, state: "broken", fault: { file: "loyal@1", line: 4, column: 10, message: "`user.base` is not a feature" }, looks_back: "exactly", since_ms: null, whole_at_ms: null },
  ];
  not_taken_up = [{ file: "keen@2", line: 3, column: 8, message: "`user.base_1h` is not a feature" }];

  features(step: number): Features {
    const at = (n: number) => Math.max(0, Math.round(step * n));
    return {
      cart_value: step > 3 ? 129 : 0,
      cart_size: step > 3 ? 1 : 0,
      checkout_step: step > 9 ? 1 : 0,
      page_count: at(0.6),
      duration_ms: step * 14_200,
      bounce: step < 2,
      idle_ms: 0,
      device_class: this.text("desktop"),
      campaign: this.text("autumn-lamps"),
      product_view_count: at(0.4),
      product_view_count_5m: at(0.4),
      product_view_count_1h: at(0.4),
      product_view_count_24h: at(0.4) + 3,
      cart_add_count_5m: step > 3 ? 1 : 0,
      cart_add_count_1h: step > 3 ? 1 : 0,
      cart_add_count_24h: step > 3 ? 1 : 0,
      avg_viewed_price_5m: 64.5,
      avg_viewed_price_1h: 71.25,
      avg_viewed_price_24h: 71.25,
      top_category: this.text("Lighting"),
      top_category_5m: this.text("Lighting"),
      top_category_1h: this.text("Lighting"),
      top_category_24h: this.text("Ceramics"),
      order_count_24h: 0,
    };
  }

  timeline(s: Session): Entry[] {
    const story: [EntryKind, string, string, number][] = [
      ["event", "page_view", "Things for quiet rooms", 0],
      ["event", "list_view", "New this season, 8 products", 1],
      ["event", "product_view", "Alba table lamp, 129.00 EUR", 9],
      ["event", "product_view", "Ember candle holder, 19.00 EUR", 22],
      ["event", "add_to_cart", "Alba table lamp, cart 129.00 EUR", 31],
      ["duplicate", "add_to_cart", "the same event again, 1.2 s later", 32],
      ["login", "login", "known as u-ada from here on", 48],
      ["event", "cart_view", "1 product, 129.00 EUR", 55],
      ["timer", "cart_stalled", "20 s without a sign", 75],
      ["decision", "cart_stalled", "sent to the shopper", 75],
      ["event", "painted", "cart_stalled, 24 ms after the deadline", 75],
      ["event", "click", "cart_stalled", 83],
      ["event", "checkout_step", "step 1", 90],
      ["too_late", "page_view", "arrived 41 min after it happened", 96],
      ["event", "checkout_step", "step 2", 118],
    ];
    return story.map(([kind, name, summary, at_s], index) => {
      const features = this.features(index);
      const before = index > 0 ? this.features(index - 1) : {};
      const occurred_at_ms = s.started_at_ms + at_s * 1_000;
      const changed = kind === "duplicate" ? [] : Object.keys(features).filter((k) => features[k] !== before[k]);
      const visitor = s.visitor_id ?? "v-0";
      return {
        partition: 3,
        offset: 48_100 + index,
        stamp_ms: occurred_at_ms + (index === 3 ? 7_400 : 18),
        occurred_at_ms,
        kind,
        name: kind === "event" ? this.text(name) : name,
        summary: this.text(summary),
        ...(kind === "decision" ? { decision: { rule: name, outcome: "served" } } : { event: { event_id: `e-${index}`, name: this.text(name), page: { title: this.text("Halden"), url: this.text("/shop/") } } }),
        features,
        changed,
        before: Object.fromEntries(changed.filter((k) => k in before).map((k) => [k, before[k] ?? null])),
        shopper: index < 6 ? `visitor:${visitor}` : `user:${this.text("u-ada")}`,
        late: index === 3,
        joined: index === 2 ? "00ab00000000000000000000000000cd" : null,
        ...(kind === "login" ? { handoff: { visitor_id: visitor, user_id: this.text("u-ada"), returns: false, from: { partition: 3, offset: 48_105 }, to: { partition: 11 }, sessions: 1 } } : {}),
      };
    });
  }
}
