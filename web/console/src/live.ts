//! One connection for everything that moves: overview each second, changed rows in batches, applied once a frame.
import { signal } from "@preact/signals";
import { get, signedOut, type DeadLetter, type Decision, type Overview, type Session } from "./api.ts";

export type Link = "connecting" | "live" | "lost";
interface Batch {
  sessions?: Session[];
  decisions?: Decision[];
  dead_letters?: DeadLetter[];
}

const sessionsMax = 5_000;
const openMax = 1_000;
/** A page that nobody looks at gives its connection back: over HTTP/1.1 a browser has six per host for all its tabs. */
const hiddenMax_ms = 5_000;
const decisionsMax = 500;
const deadLettersMax = 500;
/** Rows of each list that are asked for at first: there may be older ones. */
export const askedMax = 100;

export const link = signal<Link>("connecting");
export const overview = signal<Overview | null>(null);
/** Server's clock minus this browser's. ms. */
export const skew_ms = signal(0);
/** Goes up with each frame in which sessions changed. */
export const sessionsVersion = signal(0);
export const decisions = signal<readonly Decision[]>([]);
export const deadLetters = signal<readonly DeadLetter[]>([]);
/** Rejected events that can't be shown because the log is damaged where they stand. */
export const unreadable = signal(0);
export const loaded = signal({ sessions: false, decisions: false, deadLetters: false });

/** Offsets count within a partition only. */
export const letterId = (d: DeadLetter): string => `${d.offset}-${d.stamp_ms}`;

const byId = new Map<string, Session>();
/** Ids of sessions, newest start first. */
const order: string[] = [];
export const session = (id: string): Session | undefined => byId.get(id);
export const sessionIds = (): readonly string[] => order;

export const serverNow = (): number => Date.now() + skew_ms.peek();

/** Where in `order` a start time belongs. */
function place(started_at_ms: number): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((byId.get(order[middle] as string)?.started_at_ms ?? 0) > started_at_ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function applySessions(rows: readonly Session[]): void {
  for (const row of rows) {
    const known = byId.get(row.session_id);
    if (known && known.version > row.version) continue;
    if (known && known.started_at_ms !== row.started_at_ms) order.splice(order.indexOf(row.session_id), 1);
    if (!known || known.started_at_ms !== row.started_at_ms) order.splice(place(row.started_at_ms), 0, row.session_id);
    byId.set(row.session_id, row);
  }
  while (order.length > sessionsMax) byId.delete(order.pop() as string);
}

/** Forgets of some sessions those that are not among the others. */
function forget(ids: readonly string[], but: ReadonlySet<string>): void {
  const gone = new Set(ids.filter((id) => !but.has(id)));
  if (gone.size === 0) return;
  gone.forEach((id) => byId.delete(id));
  order.splice(0, order.length, ...order.filter((id) => !gone.has(id)));
  sessionsVersion.value++;
}

/** The newest word on each id wins and stands first in the order of `at`. */
function merge<T>(before: readonly T[], rows: readonly T[], id: (row: T) => string | number, at: (row: T) => number, most: number): T[] {
  const all = new Map<string | number, T>();
  for (const row of before) all.set(id(row), row);
  for (const row of rows) all.set(id(row), row);
  return [...all.values()].sort((a, b) => at(b) - at(a)).slice(0, most);
}

let waiting: Batch[] = [];
let frame = 0;

function flush(): void {
  frame = 0;
  const batches = waiting;
  waiting = [];
  const sessions = batches.flatMap((b) => b.sessions ?? []);
  const newDecisions = batches.flatMap((b) => b.decisions ?? []);
  const newDeadLetters = batches.flatMap((b) => b.dead_letters ?? []);
  if (sessions.length > 0) {
    applySessions(sessions);
    sessionsVersion.value++;
  }
  if (newDecisions.length > 0) decisions.value = merge(decisions.peek(), newDecisions, (d) => d.decision_id, (d) => d.asked_at_ms, decisionsMax);
  if (newDeadLetters.length > 0) deadLetters.value = merge(deadLetters.peek(), newDeadLetters, letterId, (d) => d.stamp_ms, deadLettersMax);
}

function take(batch: Batch): void {
  waiting.push(batch);
  // A hidden page gets no frames; it must not hoard either.
  if (document.hidden) {
    if (waiting.length > 40) flush();
  } else frame ||= requestAnimationFrame(flush);
}

function takeOverview(next: Overview): void {
  skew_ms.value = next.now_ms - Date.now();
  overview.value = next;
}

/** Loads what there is now; the stream only says what changes. */
async function load(): Promise<void> {
  const before = order.filter((id) => /open|idle/.test(byId.get(id)?.state ?? ""));
  const done = (what: Partial<typeof loaded.value>) => (loaded.value = { ...loaded.peek(), ...what });
  await Promise.allSettled([
    get<Overview>("/v1/overview").then(takeOverview),
    get<{ sessions: Session[] }>(`/v1/sessions?open=true&limit=${openMax}`).then(({ sessions }) => {
      // Over by now, and nobody said so here.
      if (sessions.length < openMax) forget(before, new Set(sessions.map((s) => s.session_id)));
      take({ sessions });
      done({ sessions: true });
    }),
    get<{ decisions: Decision[] }>(`/v1/decisions?limit=${askedMax}`).then((answer) => {
      take({ decisions: answer.decisions });
      done({ decisions: true });
    }),
    get<{ dead_letters: DeadLetter[]; unreadable?: number }>(`/v1/dead-letters?limit=${askedMax}`).then((answer) => {
      unreadable.value = answer.unreadable ?? 0;
      take({ dead_letters: answer.dead_letters });
      done({ deadLetters: true });
    }),
  ]);
}

export function connect(): void {
  let retry_ms = 1_000;
  let current: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const open = () => {
    const stream = (current = new EventSource("/v1/live"));
    stream.onopen = () => {
      retry_ms = 1_000;
      link.value = "live";
      signedOut.value = false;
      // The gap since the last connection is read again.
      void load();
    };
    stream.onerror = () => {
      link.value = "lost";
      // The browser reconnects by itself, except after an HTTP error.
      if (stream.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, retry_ms);
      retry_ms = Math.min(retry_ms * 2, 10_000);
    };
    stream.addEventListener("overview", (event) => takeOverview(JSON.parse(event.data as string) as Overview));
    stream.addEventListener("batch", (event) => take(JSON.parse(event.data as string) as Batch));
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden)
      timer = setTimeout(() => {
        current?.close();
        current = null;
      }, hiddenMax_ms);
    else if (!current || current.readyState === EventSource.CLOSED) open();
  });
  open();
  void load();
}
