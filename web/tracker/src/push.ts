//! What comes back: one push connection per visible tab, and one tab that shows each intervention.

import type { Frame, Payload, Report } from "../midsession.d.ts";
import { close, paint, prepare } from "./paint.ts";
import { calls, roundTrip, track } from "./queue.ts";
import { address, adopt, FULL, load, mode, options, save } from "./state.ts";

// A tab nobody looks at gives its connection back: over HTTP/1.1 a browser has six per host for all tabs.
const HIDDEN_MS_MAX = 3e4;
const RETRY_MS = 5e3;
const RENEW_MS_MIN = 6e4;
const RENEW_MS_MAX = 25 * 6e4;
const SEEN_MAX = 99;

interface Waiting {
  frame: Frame;
  /** When it was handed in, or when its tab came into view; ms of `performance.now`, as the two below. */
  from: number;
  until: number;
  late?: boolean;
}

/** The page's own callbacks, by the event they are for. */
export const handlers: Record<string, ((frame: Frame, report?: Report) => unknown) | undefined> = {};

const waiting = new Map<string, Waiting>();
const shown = new Set<string>();
let source: EventSource | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let releases: (() => void)[] = [];
/** Goes up with each start and stop; what an older one began is void. */
let round = 0;

const seen = (): string[] => {
  try {
    return JSON.parse(load("seen") || "[]") as string[];
  } catch {
    return [];
  }
};

const again = (ms: number) => {
  clearTimeout(timer);
  timer = setTimeout(connect, ms);
};

/** Opens the push, or renews it with a fresh token. */
export const connect = async () => {
  if (mode != FULL || options.push == "off" || document.hidden) return;
  const mine = ++round;
  again(RETRY_MS);
  try {
    const answer = await fetch(address("token?key=" + options.key), { method: "POST", credentials: "include" });
    const { token, expires_at, visitor_id } = await answer.json();
    if (mine != round || !token) return;
    if (options.track == "off") adopt(visitor_id);
    const next = new EventSource(address("push?token=" + token));
    next.addEventListener("intervention", (message) => offer(JSON.parse(message.data)));
    next.addEventListener("retract", (message) => retract(JSON.parse(message.data)));
    // A refused token closes for good; everything else the browser reconnects by itself.
    next.onerror = () => {
      if (next.readyState == 2 && next == source) again(RETRY_MS);
    };
    source?.close();
    source = next;
    prepare();
    again(Math.min(RENEW_MS_MAX, Math.max(RENEW_MS_MIN, 0.8 * (expires_at - Date.now()))));
  } catch {}
};

/** Closes the push; what is waiting stays. */
export const disconnect = () => {
  round++;
  clearTimeout(timer);
  source?.close();
  source = undefined;
};

/** Takes everything away when consent is withdrawn. */
export const stop = () => {
  disconnect();
  waiting.clear();
  shown.forEach(close);
};

const offer = (frame: Frame) => {
  const from = performance.now();
  const id = frame.decision_id;
  if (waiting.has(id)) return;
  // Both times are the server's, so a wrong clock here does not matter.
  waiting.set(id, { frame, from, until: from + frame.expires_at_ms - frame.now_ms });
  attempt(id);
};

const retract = (frame: Frame & { reason?: string }) => {
  const id = frame.decision_id;
  waiting.delete(id);
  if (frame.reason == "painted" && shown.has(id)) return;
  if (shown.delete(id)) {
    close(id);
    handlers.retract?.(frame);
  }
};

/** Shows it if it is still due, this tab is in view, and no other tab has it. */
const attempt = (id: string) => {
  const entry = waiting.get(id)!;
  if (document.hidden) {
    entry.late = true;
    return;
  }
  const now = performance.now();
  waiting.delete(id);
  if (entry.late) entry.from = now;
  const claim = () => {
    const before = seen();
    if (before.includes(id) || mode != FULL) return;
    save("seen", JSON.stringify([...before, id].slice(-SEEN_MAX)));
    shown.add(id);
    show(entry);
    return true;
  };
  if (now >= entry.until) return;
  if (!navigator.locks) claim();
  else {
    // The lock is kept until the page goes: tabs see each other's storage late, but never each other's locks.
    void navigator.locks.request("_ms_" + id, { ifAvailable: true }, (lock) => {
      if (lock && claim()) return new Promise<void>((release) => releases.push(release));
      return;
    });
  }
};

/** The payload in the shopper's language, as far as it is translated. */
const localise = ({ locales, ...payload }: Payload): Payload => {
  const language = navigator.language;
  const text = locales?.[language] ?? locales?.[language.split("-")[0]!];
  return { ...payload, ...text };
};

const show = ({ frame, from, late }: Waiting) => {
  const reported = new Set<string>();
  const report = (name: string, properties?: Record<string, number>) => {
    if (reported.has(name)) return;
    reported.add(name);
    track(name, {
      decision_id: frame.decision_id,
      preview: frame.preview || undefined,
      properties: { rule: frame.rule, ...properties },
    });
    handlers[name]?.(frame);
  };
  const painted = () =>
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        const now = performance.now();
        const properties: Record<string, number> = { paint_ms: now - from };
        const called = calls.get(frame.cause_event_id!);
        // What waited for its tab to be looked at says nothing about how fast the way is.
        if (called && !late) properties.sent_to_painted_ms = now - called;
        if (frame.deadline_ms && !late) {
          // Each part by its own clock: the server's up to the write, half a round trip, the browser's to the paint.
          properties.deadline_to_painted_ms = frame.now_ms - frame.deadline_ms + (roundTrip ?? 0) / 2 + now - from;
        }
        if (roundTrip) properties.rtt_ms = roundTrip;
        for (const stage in frame.stamps_us) properties["s_" + stage] = frame.stamps_us[stage]!;
        report("painted", properties);
      }),
    );
  frame = { ...frame, payload: localise(frame.payload) };
  const theirs = handlers.intervention;
  if (theirs) {
    const taken = theirs(frame, {
      shown: painted,
      clicked: () => report("click"),
      dismissed: () => report("dismiss"),
    });
    if (taken !== false) return report("exposure");
  }
  paint(frame, report);
  painted();
};

document.addEventListener("visibilitychange", () => {
  if (document.hidden) timer = (clearTimeout(timer), setTimeout(disconnect, HIDDEN_MS_MAX));
  else {
    if (source) again(RENEW_MS_MIN);
    else void connect();
    [...waiting.keys()].forEach(attempt);
  }
});
addEventListener("pagehide", () => {
  // An open connection or a held lock would keep the page out of the back/forward cache.
  disconnect();
  releases.forEach((release) => release());
  releases = [];
});
