//! What comes back: one push connection per visible tab, and one tab that shows each intervention.

import type { Frame, Report } from "../midsession.d.ts";
import { calls, leave, roundTrip, tellConsent, track } from "./queue.ts";
import { address, adopt, load, Mode, mode, now, options, save, silent, src, visitorId, writeCookie } from "./state.ts";

// A tab nobody looks at gives its connection back: over HTTP/1.1 a browser has six per host for all tabs.
const HIDDEN_MS_MAX = 3e4;
const RETRY_MS = 5e3;
// Tokens live for 30 minutes. By this page's own clock, since the hour it believes in may be wrong.
const RENEW_MS = 12e5;
const LOCK_MS = 5e3;
const SEEN_MAX = 99;
const KNOWN_MAX = 32;

/** The page's own callbacks, by the event they are for. */
export const handlers: Record<string, ((frame: Frame, report?: Report) => unknown) | undefined> = {};

/** Calls one of them; what it throws is the page's to see, and costs nothing here. */
const call = async (name: string, frame: Frame, report?: Report) => {
  try {
    return await handlers[name]?.(frame, report);
  } catch (error) {
    reportError(error);
    return false;
  }
};

/** What a hidden tab will try to show once it is looked at. */
const waiting = new Map<string, () => void>();
/** What was taken back, also before it could be painted. */
const retracted = new Set<string>();
/** Takes away what is shown or waits for its slot. */
type Remove = () => unknown;
/** What this tab has shown or will show when its slot is free, oldest first. */
const shown = new Map<string, Remove>();
/** What paints: a module beside this script. One that could not be loaded is asked for again when it is needed. */
let painter: Promise<typeof import("./paint.ts") | void> | undefined;
let failures = "";
const card = () =>
  (painter ??= import(new URL("midsession-card.js" + failures, src).href).catch(() => {
    painter = undefined;
    // A browser may remember for as long as the page lives that an address gave no module.
    failures = (failures || "?") + "+";
  }));
/** Gives slots that are new to the page their live region. */
export const refresh = () => source && card().then((painter) => painter?.prepare());

let source: EventSource | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

const after = (ms: number, then: () => unknown) => {
  clearTimeout(timer);
  timer = setTimeout(then, ms);
};

/** Opens the push, or renews it with a fresh token. */
export const connect = async () => {
  if (mode < Mode.Full || options.push == "off" || document.hidden) return;
  after(RETRY_MS, connect);
  // The token is for the name in the cookie, so ours must be there; where Snowplow names the visitor, an older name of
  // ours would go before it.
  if (!silent) visitorId();
  else if (/_sp_id/.test(document.cookie)) writeCookie("", 0);
  try {
    const answer = await fetch(address("token?key=" + options.key), { method: "POST", credentials: "include" });
    const { token, visitor_id } = await answer.json();
    if (mode < Mode.Full || !token) return;
    if (silent) {
      adopt(visitor_id);
      tellConsent();
    }
    source?.close();
    // What this page knows: the server answers with what of it was taken back meanwhile, and what it does not know.
    const known = [...shown.keys()].slice(-KNOWN_MAX);
    const next = (source = new EventSource(address(`push?token=${token}&last=${known}`)));
    next.addEventListener("intervention", (message) => offer(JSON.parse(message.data), message.timeStamp));
    next.addEventListener("retract", (message) => retract(JSON.parse(message.data)));
    // A refused token closes for good; everything else the browser reconnects by itself.
    next.onerror = () => {
      if (next.readyState == 2 && next == source) {
        source = undefined;
        after(RETRY_MS, connect);
      }
    };
    after(RENEW_MS, connect);
    void refresh();
  } catch {}
};

/**
 * Closes the push. An open one would keep the page out of the back/forward cache. What waits is forgotten: what is still
 * true comes again with the next connection. So is when its causes were: until then nobody waits for it.
 */
export const disconnect = () => {
  waiting.clear();
  calls.clear();
  clearTimeout(timer);
  source?.close();
  source = undefined;
};

/** Takes everything away: when consent is withdrawn, and from a page that comes back. */
export const stop = () => {
  disconnect();
  // The latest first: taking a card away makes room for the one that waits for its slot.
  [...shown.values()].reverse().forEach((remove) => remove());
  // What only waited comes again if it is still true; what was shown is known to have been.
  shown.clear();
};

const retract = ({ decision_id, reason }: Frame & { reason?: string }) => {
  waiting.delete(decision_id);
  retracted.add(decision_id);
  // What this tab painted stays when the others are told of it; what still waits here for its slot looks again.
  if (reason != "painted") shown.get(decision_id)?.();
};

/** What any tab has shown. */
const seen = () => load<string[]>("seen") ?? [];

/** Shows an intervention if it is still due, this tab is in view, and no other tab has it. */
const offer = (
  frame: Frame,
  // When the browser handed it in; reading it is ours.
  from: number,
  // Both times are the server's, so a wrong clock here does not matter.
  until = now() + frame.expires_at_ms - frame.now_ms,
) => {
  const id = frame.decision_id;
  // A tab that has it asks for no lock, not even for a moment: another one may be free to paint.
  if (shown.has(id)) return;
  const claim = async () => {
    // Before it is claimed: what can't be painted here is left to another tab.
    const painter = await card();
    if (!painter && !handlers.intervention) return;
    const due = () => now() <= until && mode == Mode.Full && !seen().includes(id) && !retracted.has(id);
    if (!due()) return;
    const remove = await show(frame, from, due, painter);
    shown.set(id, remove);
    // A callback may take its time.
    if (retracted.has(id)) remove();
    // Tabs see each other's storage a little late, but never each other's locks.
    return new Promise((release) => setTimeout(release, LOCK_MS));
  };
  waiting.delete(id);
  if (document.hidden) {
    // What waits for its tab to be looked at will say nothing about how fast the way is.
    frame.cause_event_id = frame.deadline_ms = null;
    waiting.set(id, () => offer(frame, now(), until));
  } else if (navigator.locks) {
    void navigator.locks.request("_ms_" + id, { ifAvailable: true }, (lock) => lock && claim());
  } else void claim();
};

/** Hands an intervention to the page's callback or paints it; returns how to take it away again. */
const show = async (
  frame: Frame,
  from: number,
  due: () => boolean,
  painter: typeof import("./paint.ts") | void,
): Promise<Remove> => {
  const reported = new Set<string>();
  const report = (name: string, properties?: Record<string, number | undefined>) => {
    if (reported.has(name)) return;
    reported.add(name);
    track(name, { decision_id: frame.decision_id, preview: frame.preview, properties: { rule: frame.rule, ...properties } });
    void call(name, frame);
  };
  /** From here on it is nobody's any more; what only waits for its slot may still be shown by the next page. */
  const take = () => save("seen", [...seen(), frame.decision_id].slice(-SEEN_MAX));
  const painted = () =>
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        const at = now();
        const [called, way] = calls.get(frame.cause_event_id!) ?? [];
        const trip = way?.[2] ?? roundTrip;
        const properties: Record<string, number | undefined> = { paint_ms: at - from, rtt_ms: trip || undefined };
        if (called) properties.sent_to_painted_ms = at - called;
        if (way?.[1]) properties.send_ms = way[1] - called!;
        // Each part by its own clock: the server's up to the write, half a round trip, the browser's to the paint.
        if (frame.deadline_ms) {
          properties.deadline_to_painted_ms = frame.now_ms - frame.deadline_ms + roundTrip / 2 + at - from;
        }
        for (const stage in frame.stamps_us) properties["s_" + stage] = frame.stamps_us[stage]!;
        report("painted", properties);
      }),
    );
  const language = document.documentElement.lang || navigator.language;
  const texts = frame.payload.locales;
  const lang = [language, language.slice(0, 2)].find((lang) => texts?.[lang]);
  if (lang) {
    frame.lang = lang;
    frame.payload = { ...frame.payload, ...texts![lang] };
  }
  const help = { shown: painted, clicked: () => report("click"), dismissed: () => report("dismiss") };
  const told = () => call("retract", frame);
  if (handlers.intervention && (await call("intervention", frame, help)) !== false) {
    take();
    report("exposure");
    return told;
  }
  const remove = painter?.paint(frame, due, report, () => {
    take();
    painted();
  });
  return () => remove?.() && told();
};

/** The tab came into view, or went out of it. */
export const turn = () => {
  if (document.hidden) {
    leave();
    after(HIDDEN_MS_MAX, disconnect);
  } else {
    if (source) after(RENEW_MS, connect);
    else void connect();
    waiting.forEach((offer) => offer());
  }
};
