//! Everybody who is in the shop now; one of them in full beside the list.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, type Session } from "../api.ts";
import { count, money, shortId, span } from "../format.ts";
import { applySessions, loaded, overview, serverNow, session, sessionIds, sessionsVersion } from "../live.ts";
import { Loading, SourceTag, Title } from "../parts/bits.tsx";
import { go, href, route } from "../route.ts";
import { second, useHeld, useVirtual, wide } from "../use.ts";
import { eventWords } from "../words.ts";
import { TimelinePane } from "./timeline.tsx";

type StateFilter = "now" | "all";
const rowPx = 84;

export function matches(s: Session, text: string, source: string, state: StateFilter): boolean {
  if (source && s.source !== source) return false;
  if (state === "now" && s.state !== "open" && s.state !== "idle") return false;
  if (!text) return true;
  const needle = text.toLowerCase();
  return [s.session_id, s.tracker_session_id, s.visitor_id, s.user_id, s.shopper, s.last_event, s.campaign, s.device_class].some((v) => v?.toLowerCase().includes(needle));
}

const who = (s: Session): string => s.user_id ?? s.visitor_id ?? s.session_id;

function stage(s: Session): string {
  if (s.orders > 0) return "bought";
  if (s.checkout_step > 0) return `checkout, step ${s.checkout_step}`;
  if ((s.cart_value ?? 0) > 0 || s.add_to_carts > 0) return "has a cart";
  return s.product_views > 0 ? "looking" : "arrived";
}

function Row({ s, now_ms }: { s: Session; now_ms: number }) {
  const idle_ms = Math.max(0, now_ms - s.ended_at_ms);
  return (
    <>
      <span class={`state state-${s.state}`} title={s.state} />
      <span class="row-who">
        <b>{s.user_id ? who(s) : shortId(who(s))}</b>
      </span>
      <span class="row-money">{s.orders > 0 ? money(s.revenue, s.currency) : (s.cart_value ?? 0) > 0 ? money(s.cart_value, s.currency) : ""}</span>
      <span class="row-what">
        {s.last_event && <bdi>{eventWords(s.last_event)}</bdi>}
        {s.last_event ? " · " : ""}
        {stage(s)}
        {` · ${count(s.events)} ${s.events === 1 ? "event" : "events"}`}
        {s.bot ? " · robot" : ""}
      </span>
      <SourceTag name={s.source} />
      <span class="row-when">{s.state === "closed" ? "over" : `${span(idle_ms)} ago`}</span>
    </>
  );
}

function List({ ids, selected }: { ids: readonly string[]; selected: string | null }) {
  const scroller = useRef<HTMLDivElement>(null);
  const [away, setAway] = useState(false);
  const [active, setActive] = useState(0);
  // Who reads further down keeps the order as it is; new arrivals wait behind the button.
  const shown = useHeld(ids, away);
  const waiting = away ? ids.length - shown.length : 0;
  const { total, rows, show } = useVirtual(scroller, shown.length, rowPx);
  void second.value;
  const now_ms = serverNow();
  const move = (to: number) => {
    const next = Math.max(0, Math.min(shown.length - 1, to));
    setActive(next);
    show(next);
  };
  const keys = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? rowPx) / rowPx) - 1);
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: shown.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      move(to);
    } else if (event.key === "Enter" || event.key === " ") {
      const id = shown[active];
      event.preventDefault();
      if (id) go("sessions", id);
    }
  };
  return (
    <div class="list-wrap">
      {waiting > 0 && (
        <button type="button" class="button list-new" onClick={() => scroller.current?.scrollTo({ top: 0 })}>
          {count(waiting)} new
        </button>
      )}
      <div
        ref={scroller}
        class="list"
        role="listbox"
        aria-label="Sessions"
        tabIndex={0}
        aria-activedescendant={shown[active] ? `s-${active}` : undefined}
        onKeyDown={keys}
        onScroll={(event) => setAway(event.currentTarget.scrollTop > 4)}
      >
        <div role="presentation" class="list-inner" style={{ height: `${total}px` }}>
          {rows.map(({ index, start }) => {
            const id = shown[index] as string;
            const s = session(id);
            if (!s) return null;
            return (
              <div
                key={id}
                id={`s-${index}`}
                role="option"
                aria-selected={id === selected}
                aria-setsize={shown.length}
                aria-posinset={index + 1}
                class={`row ${index === active ? "active" : ""}`}
                style={{ transform: `translateY(${start}px)` }}
                onClick={() => {
                  setActive(index);
                  go("sessions", id);
                }}
              >
                <Row s={s} now_ms={now_ms} />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

export function SessionsScreen() {
  const { id, query } = route.value;
  const [text, setText] = useState(query.get("q") ?? "");
  const [source, setSource] = useState("");
  const [state, setState] = useState<StateFilter>("now");
  const version = sessionsVersion.value;
  const sources = overview.value?.sources ?? [];
  const ids = useMemo(
    () =>
      sessionIds().filter((key) => {
        const s = session(key);
        return s !== undefined && matches(s, text, source, state);
      }),
    [version, text, source, state],
  );

  // The live list holds the newest; what is asked for by name may be older.
  useEffect(() => {
    if (!text && !source && state === "now") return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const ask = new URLSearchParams({ open: String(state === "now"), limit: "200", ...(text && { q: text }), ...(source && { source }) });
      get<{ sessions: Session[] }>(`/v1/sessions?${ask}`, abort.signal).then(
        ({ sessions }) => {
          applySessions(sessions);
          sessionsVersion.value++;
        },
        () => {},
      );
    }, 250);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, source, state]);

  // A link by visitor opens that visitor's newest session.
  const asked = query.get("q");
  const found = asked && asked === text && id === null ? ids.find((key) => session(key)?.visitor_id === asked) : undefined;
  useEffect(() => {
    if (found) location.replace(href("sessions", found));
  }, [found]);

  return (
    <>
      <div class="sessions-list">
        <Title title="Sessions">Everybody in the shop now. Pick one to see what they did and what is known of them.</Title>
        <div class="filters">
          <label class="hidden" for="session-text">
            Filter by id, event or campaign
          </label>
          <input id="session-text" type="search" value={text} placeholder="Filter by id, event, campaign" autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
          <label class="hidden" for="session-source">
            Source
          </label>
          <select id="session-source" value={source} onChange={(event) => setSource(event.currentTarget.value)}>
            <option value="">All sources</option>
            {sources.map((s) => (
              <option key={s.name} value={s.name}>
                {s.label}
              </option>
            ))}
          </select>
          <label class="hidden" for="session-state">
            State
          </label>
          <select id="session-state" value={state} onChange={(event) => setState(event.currentTarget.value as StateFilter)}>
            <option value="now">In session</option>
            <option value="all">Also over</option>
          </select>
        </div>
        <p class="note" role="status">
          {count(ids.length)} {ids.length === 1 ? "session" : "sessions"}
          {ids.length > 0 && overview.value && ids.length < overview.value.sessions.open && !text && !source ? `, the newest of ${count(overview.value.sessions.open)}` : ""}
        </p>
        {ids.length > 0 ? (
          <List ids={ids} selected={id} />
        ) : loaded.value.sessions ? (
          <p class="empty-line">{text || source ? "No session matches. Try fewer letters or all sources." : "Nobody is in the shop at the moment."}</p>
        ) : (
          <Loading what="sessions" />
        )}
      </div>
      {id !== null ? (
        <TimelinePane key={id} id={id} />
      ) : (
        wide.value && (
          <div class="pane-empty">
            <p>Pick a session to see its timeline.</p>
            <p class="note">With the keyboard: arrow keys, then Enter.</p>
          </div>
        )
      )}
    </>
  );
}
