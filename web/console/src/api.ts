//! The shapes of the admin listener's answers, and how they are asked for.
import { signal } from "@preact/signals";

export type Scalar = string | number | boolean | null;
export type Features = Record<string, Scalar>;

export interface Source {
  name: string;
  label: string;
  accepted: number;
  rejected: number;
  events_per_s: number;
  /** Interventions, since a day before the start. */
  served: number;
  painted: number;
  clicked: number;
  dismissed: number;
}
export interface Rate {
  t_ms: number;
  events: number;
  interventions: number;
}
export interface Overview {
  now_ms: number;
  started_at_ms: number;
  events_per_s: number;
  accepted: number;
  rejected: number;
  duplicates: number;
  too_late: number;
  consent_dropped: number;
  bots: number;
  sessions: { open: number; idle: number; closed: number };
  shoppers: number;
  ticks: number;
  interventions: Record<"candidates" | "served" | "holdout" | "capped" | "painted" | "clicked" | "dismissed", number>;
  freshness_ms: { p50: number; p99: number };
  sources: Source[];
  log: { bytes: number; start_ms: number };
  push: { connections: number };
  rates: Rate[];
}

export type SessionState = "open" | "idle" | "merged" | "closed";
export interface Session {
  session_id: string;
  version: number;
  state: SessionState;
  merged_into: string | null;
  visitor_id: string | null;
  user_id: string | null;
  tracker_session_id: string | null;
  source: string;
  started_at_ms: number;
  ended_at_ms: number;
  events: number;
  page_views: number;
  product_views: number;
  add_to_carts: number;
  cart_value: number | null;
  currency: string | null;
  checkout_step: number;
  orders: number;
  revenue: number | null;
  abandoned: boolean;
  bot: boolean;
  device_class: string | null;
  campaign: string | null;
  shopper?: string | null;
  last_event?: string | null;
  idle_ms?: number;
}

export type EntryKind = "event" | "login" | "unmerge" | "decision" | "timer" | "too_late" | "duplicate" | "merge" | "closed";
export interface Entry {
  partition: number;
  offset: number;
  stamp_ms: number;
  occurred_at_ms: number;
  kind: EntryKind;
  name: string;
  summary: string;
  event?: Record<string, unknown>;
  decision?: Record<string, unknown>;
  features: Features;
  changed: string[];
  /** What changed, as it was right before. */
  before?: Features;
  /** Whose it was then: `visitor:ID` or `user:ID`. */
  shopper?: string;
  /** It happened before something that had come in already. */
  late?: boolean;
  /** The session that it was in, where that one has become this one. */
  joined?: string | null;
  handoff?: Handoff;
}
/** What moves between two partitions when a visitor becomes known, or is taken back. */
export interface Handoff {
  visitor_id: string;
  user_id: string;
  returns: boolean;
  from: { partition: number; offset: number };
  to: { partition: number };
  sessions: number;
}
export interface Timeline {
  session: Session;
  timeline: Entry[];
  truncated: boolean;
}

export interface Intervention {
  name: string;
  version: number | string;
  enabled: boolean;
  dry_run: boolean;
  trigger: { idle?: string; idle_ms?: number; event?: string };
  when: string | null;
  cap: string[];
  holdout: number;
  priority: number;
  expires_ms: number;
  slot: string;
  payload: Record<string, unknown>;
  counts: Record<"candidates" | "served" | "holdout" | "capped" | "expired" | "painted" | "clicked" | "dismissed", number>;
  reached_last_hour: number;
  error?: string | null;
}
export interface Decision {
  decision_id: string;
  rule: string;
  outcome: string;
  shopper: string | null;
  visitor_id: string | null;
  session_id: string | null;
  slot: string;
  payload: Record<string, unknown>;
  asked_at_ms: number;
  decided_at_ms: number;
  painted_at_ms?: number | null;
  clicked_at_ms?: number | null;
  dismissed_at_ms?: number | null;
  by_silence: boolean;
  inputs: Record<string, unknown>;
  sent_to_painted_ms?: number | null;
  source: string;
}
export interface DeadLetter {
  offset: number;
  stamp_ms: number;
  source: string;
  code: string;
  field: string | null;
  message: string;
  hint: string | null;
  owner: string | null;
  event_id: string | null;
  /** Its bytes are kept, encrypted: asked for one by one. */
  has_payload: boolean;
  /** It was longer than what is kept. */
  truncated?: boolean;
}
export interface Stage {
  name: string;
  owner: string;
  what: string;
  clock: "server" | "browser";
  budget_p50_ms: number | null;
  budget_p99_ms: number | null;
  count: number;
  p50_ms: number;
  p99_ms: number;
  p999_ms: number;
  max_ms: number;
  headroom_p99_ms: number | null;
}
/** Of fewer measurements the P99 is just the longest, which says little. */
export const saysLittle = (stage: Stage): boolean => stage.count < 100;
/** Over its share. */
export const isOver = (stage: Stage): boolean => !saysLittle(stage) && stage.headroom_p99_ms !== null && stage.headroom_p99_ms < 0;

export interface Budget {
  promise_p99_ms: number;
  stages: Stage[];
  total: Stage;
  network: Stage;
  unexplained: Stage;
  silence?: Stage;
  timer?: Stage;
  handoff?: Stage;
}
export interface FeatureAnswer {
  user?: string;
  session?: string;
  as_of: { partition: number; offset: number; now: number };
  features: Features;
  /** Features that do not count over all of their window yet, and since when they do. */
  since?: Record<string, number>;
}

/** What is wrong with a definition, and where. */
export interface Fault {
  file: string;
  line: number;
  column: number;
  message: string;
  hint?: string | null;
}

export interface Definition {
  kind: "feature" | "intervention";
  name: string;
  version: number;
  state: "live" | "pending" | "broken";
  /** What is wrong with one that is broken. */
  fault?: Fault;
  looks_back: "exactly" | "until_backfilled" | "from_now" | "from_first_event" | null;
  /** Null: as far back as anything is kept. */
  since_ms: number | null;
  /** When its longest window will hold all that it is to; null for sessions and lifetimes. */
  whole_at_ms: number | null;
  /** How much of the past has been counted in, from 0 to 1, while it is being. */
  backfill?: number;
}
export interface Definitions {
  revision: number;
  definitions: Definition[];
  /** Why edited files were not taken up at the start. */
  not_taken_up?: Fault[];
}

/** Set once the server says that this browser is not signed in. */
export const signedOut = signal(false);

export class Failure extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      ...(signal && { signal }),
      ...(body !== undefined && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "The server does not answer. It may be restarting; this page keeps trying.");
  }
  if (answer.status === 401 || answer.status === 403) signedOut.value = true;
  const text = await answer.text();
  let value: unknown = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {}
  if (!answer.ok) {
    const { detail, title } = (value ?? {}) as { detail?: string; title?: string };
    throw new Failure(answer.status, detail ?? title ?? `The server answered with status ${answer.status}.`);
  }
  return value as T;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => ask<T>("GET", path, undefined, signal);
export const put = <T>(path: string, body: unknown): Promise<T> => ask<T>("PUT", path, body);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => ask<T>("POST", path, body);
