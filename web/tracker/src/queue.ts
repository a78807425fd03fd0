//! Events on their way to the collector: batched, kept while it cannot be reached, handed over on page leave.

import type { Fields } from "../midsession.d.ts";
import { address, FULL, load, mode, options, purposes, save, uuid, visitorId, withdrawals } from "./state.ts";

const QUEUE_MAX = 500;
// 20,000 UTF-16 units are at most 60,000 bytes: under the 64 KiB that browsers grant keepalive and beacons.
const CHUNK_UNITS_MAX = 2e4;
const CALLS_MAX = 200;
const BATCH_MS = 100;
const TIMEOUT_MS = 15e3;
const RETRY_AFTER_MS_MAX = 36e5;
const BACKOFF_MS_MAX = 6e4;

const url = address("events?key=" + options.key);
/** Serialised events, oldest first. Equal text means the same event. */
let queue: string[] = [];
let flying: string[] = [];
let requests = 0;
let failures = 0;
let retryAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let first = true;
let dropped = 0;

/** When each of the last events was tracked, by its id; ms of `performance.now`. */
export const calls = new Map<string, number>();
/** Round trip of the last POST without the server's own time, where it says so; ms. */
export let roundTrip: number | undefined;

const make = (name: string, fields?: Fields & Record<string, unknown>) => ({
  event_id: uuid(),
  name,
  visitor_id: visitorId(),
  user_id: load("user") || undefined,
  occurred_at: Date.now(),
  consent: purposes,
  ...fields,
  page: { url: location.href, title: document.title, referrer: document.referrer, ...fields?.page },
});

/** Sends an event; the ones that somebody waits for go at once. */
export const track = (name: string, fields?: Fields & Record<string, unknown>): string | undefined => {
  if (!mode) return;
  if (dropped) fields = { ...fields, properties: { ...fields?.properties, tracker_dropped: dropped } };
  dropped = 0;
  const event = make(name, fields);
  calls.set(event.event_id, performance.now());
  if (calls.size > CALLS_MAX) calls.delete(calls.keys().next().value!);
  queue.push(JSON.stringify(event));
  bound(queue);
  if (failures) spool();
  if (first || /cart|checkout|transaction|painted|click|log|consent/.test(name)) void Promise.resolve(3).then(flush);
  else later(BATCH_MS);
  first = false;
  return event.event_id;
};

/** The last word of a visitor who withdraws consent; it goes past the queue, which may be gone. */
export const withdraw = (visitor: string) => {
  navigator.sendBeacon(url, body([JSON.stringify(make("consent", { visitor_id: visitor }))]));
};

/** Takes over what an earlier page could not send. */
export const resume = () => {
  queue = [...new Set([...stored(), ...queue])];
  later(BATCH_MS);
};

/** Forgets all that has not been sent. */
export const forget = () => {
  queue = [];
  flying = [];
};

const later = (ms: number) => {
  timer ??= setTimeout(() => {
    timer = undefined;
    void flush();
  }, ms);
};

/** The oldest page ping goes first, else the oldest event. */
const bound = (list: string[]) => {
  while (list.length > QUEUE_MAX) {
    list.splice(Math.max(0, list.findIndex((event) => event.includes('"name":"page_ping"'))), 1);
    dropped++;
  }
  return list;
};

const stored = (): string[] => {
  try {
    return JSON.parse(load("queue") || "[]") as string[];
  } catch {
    return [];
  }
};

/** Brings the stored queue, which all tabs share, up to date with this tab's. */
const spool = (done: string[] = [], unsent = queue) => {
  const before = stored();
  if (mode == FULL && (before.length || unsent.length)) {
    const after = bound([...new Set([...before, ...unsent])].filter((event) => !done.includes(event)));
    save("queue", after.length ? JSON.stringify(after) : "");
  }
};

const take = () => {
  let units = 0;
  let count = 0;
  for (; count < queue.length; count++) if ((units += queue[count]!.length) > CHUNK_UNITS_MAX && count) break;
  return queue.splice(0, count);
};

const body = (chunk: string[]) => `[${chunk.map((event) => `{"sent_at":${Date.now()},` + event.slice(1))}]`;

/** One request at a time keeps the order; an event somebody waits for may overtake with a few more. */
const flush = async (most = 1) => {
  if (!queue.length || requests >= most) return;
  const wait = retryAt - performance.now();
  if (wait > 0) return later(wait);
  const chunk = take();
  const consented = withdrawals;
  flying.push(...chunk);
  requests++;
  let status = 0;
  let after = 0;
  try {
    const text = body(chunk);
    const answer = await fetch(url, {
      method: "POST",
      body: text,
      keepalive: text.length <= 2 * CHUNK_UNITS_MAX,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    status = answer.status;
    const header = answer.headers.get("retry-after");
    if (header) after = +header * 1e3 || Date.parse(header) - Date.now() || 0;
  } catch {}
  requests--;
  flying = flying.filter((event) => !chunk.includes(event));
  if (!status || status > 499 || status == 429 || status == 408) {
    if (consented == withdrawals) queue = bound([...chunk, ...queue]);
    spool();
    const backoff = Math.min(BACKOFF_MS_MAX, 1e3 * 2 ** failures++) * (0.5 + Math.random() / 2);
    retryAt = performance.now() + Math.max(Math.min(after, RETRY_AFTER_MS_MAX), backoff);
  } else {
    if (status > 399) dropped += chunk.length;
    failures = 0;
    spool(chunk, []);
  }
  void flush();
};

/** Hands over what is left. While the collector is known to be away, what can be stored is kept for the next page. */
const leave = () => {
  const store = mode == FULL;
  while (queue.length && !(store && (failures || !navigator.onLine))) {
    const chunk = take();
    if (!navigator.sendBeacon(url, body(chunk))) {
      queue = [...chunk, ...queue];
      break;
    }
    spool(chunk, []);
  }
  // What is in flight may yet fail with nobody left to see it; the server drops what comes twice.
  spool([], [...flying, ...queue]);
};

addEventListener("pagehide", leave);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) leave();
});
addEventListener("online", () => {
  retryAt = 0;
  void flush();
});
new PerformanceObserver((list) => {
  for (const entry of list.getEntries() as PerformanceResourceTiming[]) {
    if (entry.name == url && entry.responseStart) {
      roundTrip = entry.responseStart - entry.requestStart - (entry.serverTiming[0]?.duration ?? 0);
    }
  }
}).observe({ type: "resource" });
