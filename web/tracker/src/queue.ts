//! Events on their way to the collector: batched, kept while it cannot be reached, handed over on page leave.

import type { Fields } from "../midsession.d.ts";
import { address, load, Mode, mode, now, options, purposes, save, silent, uuid, isKnown, visitorId } from "./state.ts";

const QUEUE_MAX = 500;
// 20,000 UTF-16 units are at most 60,000 bytes: under the 64 KiB that browsers grant keepalive and beacons.
const CHUNK_UNITS_MAX = 2e4;
const CALLS_MAX = 200;
const BATCH_MS = 100;
const TIMEOUT_MS = 15e3;
const BACKOFF_MS_MIN = 500;
const BACKOFF_DOUBLINGS_MAX = 6;
const RETRY_AFTER_MS_MAX = 36e5;

const url = address("events?key=" + options.key);
/** Serialised events that nobody has acknowledged, oldest first. Equal text means the same event. */
let queue: string[] = [];
/** Those of them that are in a request. */
const flying = new Set<string>();
let failures = 0;
let retryAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let dropped = 0;
let referrer = document.referrer;

/** The page last viewed, if any. */
export let viewed: string | undefined;

/** A request: when it was made, when it left, both by the page's clock, and its round trip without the server's own time; ms. */
type Way = [made: number, left?: number, trip?: number];
/** When each of the last events was tracked, by the page's clock, and the request that it went with; by its id. */
export const calls = new Map<string, [at: number, way?: Way]>();
/** The last requests, oldest first. */
const ways: Way[] = [];
/** Round trip of the last POST, for what no event of this page caused; ms. */
export let roundTrip = 0;
/** Consent was given before anybody knew whose it is. */
let untold = false;

/** The page's address without the fragment. */
export const here = () => location.href.split("#")[0]!;

/** Sends an event; the ones that somebody waits for go at once. */
export const track = (name: string, fields?: Fields & Record<string, unknown>): string | undefined => {
  if (!mode) return;
  // Beside another tracker only what that one can't know is told, and only of a visitor with a name.
  if (silent && !fields?.decision_id && (name != "consent" || (untold = !isKnown()))) return;
  const id = uuid();
  if (calls.size > CALLS_MAX) calls.delete([...calls.keys()][0]!);
  calls.set(id, [now()]);
  const event = {
    event_id: id,
    name,
    visitor_id: visitorId(),
    user_id: load("user"),
    occurred_at: Date.now(),
    consent: purposes,
    page: { url: location.href, title: document.title, referrer },
    ...fields,
    properties: { ...fields?.properties, tracker_dropped: dropped || undefined },
  };
  dropped = 0;
  queue.push(JSON.stringify(event));
  if (queue.length > QUEUE_MAX) {
    dropped++;
    // The oldest page ping goes first, else the oldest event.
    spool([queue.find((event) => event.includes('"name":"page_ping"')) ?? queue[0]!]);
  } else if (failures) spool();
  if (calls.size < 2 || /cart|check|trans|paint|click|log|cons/.test(name)) void Promise.resolve(true).then(flush);
  else later(BATCH_MS);
  return id;
};

/** Tells the consent that had to wait until the visitor had a name. */
export const tellConsent = () => untold && track("consent");

/** A page view; what was viewed before on this page is its referrer. */
export const view = (fields?: Fields) => {
  referrer = viewed ?? referrer;
  viewed = here();
  return track("page_view", fields as Record<string, unknown>);
};

/** Takes over what an earlier page could not send. */
export const resume = () => {
  queue = unsent();
  later(BATCH_MS);
};

/** Forgets all that has not been sent. */
export const forget = () => {
  queue = [];
};

const later = (ms: number) => {
  timer ??= setTimeout(() => {
    timer = undefined;
    void flush();
  }, ms);
};

/** What is stored, which all tabs share, and what this one has not got rid of. */
const unsent = () => [...new Set([...(load<string[]>("queue") ?? []), ...queue])];

/** Takes out what is done with, and brings the stored queue up to date. */
const spool = (done: string[] = []) => {
  const left = (events: string[]) => events.filter((event) => !done.includes(event));
  queue = left(queue);
  if (mode == Mode.Full) save("queue", left(unsent()).slice(-QUEUE_MAX));
};

/** The next events to send, as many as fit. */
const next = () => {
  let units = 0;
  return queue.filter(
    (event) => !flying.has(event) && ((units += event.length) < CHUNK_UNITS_MAX || units == event.length),
  );
};

const body = (chunk: string[]) => `[${chunk.map((event) => `{"sent_at":${Date.now()},` + event.slice(1))}]`;

/** One request at a time keeps the order; an event that somebody waits for overtakes. */
const flush = async (hot?: boolean) => {
  const chunk = next();
  if (!chunk[0] || (flying.size && !hot)) return;
  const wait = retryAt - now();
  if (wait > 0) return later(wait);
  chunk.forEach((event) => flying.add(event));
  const text = body(chunk);
  const way: Way = [now()];
  if (ways.push(way) > CALLS_MAX) ways.shift();
  for (const event of chunk) {
    const call = calls.get(JSON.parse(event).event_id);
    if (call) call[1] = way;
  }
  const [status, after] = (await fetch(url, {
    method: "POST",
    body: text,
    // Only one event alone can be longer than a chunk.
    keepalive: !text[1.1 * CHUNK_UNITS_MAX],
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).then(
    (answer) => {
      // Read, or the browser tells of the request's times only when it gets round to it.
      answer.text().catch(() => {});
      return [answer.status, +answer.headers.get("retry-after")! * 1e3];
    },
    () => [0],
  )) as [number, number];
  chunk.forEach((event) => flying.delete(event));
  if (/^[05]|408|429/.test(status as never)) {
    spool();
    retryAt =
      now() +
      Math.max(
        Math.min(after, RETRY_AFTER_MS_MAX) || 0,
        BACKOFF_MS_MIN * 2 ** Math.min(BACKOFF_DOUBLINGS_MAX, failures++) * (1 + Math.random()),
      );
  } else {
    if (status > 399) dropped += chunk.length;
    failures = 0;
    spool(chunk);
  }
  void flush();
};

/** Hands over what is left. While the collector is known to be away, what can be stored waits for the next page. */
export const leave = (anyway?: boolean) => {
  let chunk;
  while (
    (anyway || mode < Mode.Full || (!failures && navigator.onLine)) &&
    (chunk = next())[0] &&
    navigator.sendBeacon(url, body(chunk))
  ) {
    spool(chunk);
  }
  // What is in flight may yet fail with nobody left to see it; the server drops what comes twice.
  spool();
};

// Two tabs may store at the same time, and the later one wins without having seen the earlier one.
addEventListener("storage", () => failures && spool());
addEventListener("online", () => {
  retryAt = 0;
  void flush();
});
new PerformanceObserver((list) =>
  list.getEntriesByName(url).forEach((entry) => {
    const { startTime, requestStart, responseStart, serverTiming } = entry as PerformanceResourceTiming;
    roundTrip = responseStart - requestStart - (serverTiming[0]?.duration ?? 0);
    // All have one address: what tells them apart is when they were made, whichever is answered first.
    const way = ways.findLast(([made]) => made <= startTime);
    if (way) [way[1], way[2]] = [requestStart, roundTrip];
  }),
).observe({ type: "resource" });
