//! One session, entry by entry: what happened, what was decided, and what was known after each step.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Entry, EntryKind, Handoff, Session, Timeline } from "../api.ts";
import { changedNames, entryTitle, isBeforeSeam, isLate } from "../entries.ts";
import { count, money, ms, shortId, span, timeMs } from "../format.ts";
import { serverNow, session, sessionsVersion } from "../live.ts";
import { Failed, Loading, Message, PaneTitle, SourceTag } from "../parts/bits.tsx";
import { FeatureTable } from "../parts/feature-table.tsx";
import { Icon } from "../parts/icon.tsx";
import { href } from "../route.ts";
import { second, useResource, useVirtual } from "../use.ts";
import { shopperName, summaryWords } from "../words.ts";

const rowPx = 60;
const kinds: Record<EntryKind, string> = {
  event: "",
  login: "known from here",
  unmerge: "not this user",
  decision: "decision",
  timer: "rule",
  too_late: "too late",
  duplicate: "sent twice",
  merge: "sessions joined",
  closed: "session over",
};
const explained: Record<EntryKind, string> = {
  event: "",
  login: "From here on the shopper is known; everything before belongs to them too.",
  unmerge: "The visitor was not this user after all: everything from this device went back to the visitor.",
  decision: "A rule applied and was decided.",
  timer: "A rule came true: by an event, or because nothing happened for a while, which is a signal too.",
  too_late: "Arrived after its session was over: kept in the log, not counted in the session.",
  duplicate: "The same event came again. It is kept in the log and changes nothing.",
  merge: "A late event showed that two sessions were one.",
  closed: "The session is over; nothing changes it any more.",
};

function Facts({ s }: { s: Session }) {
  const lasts_ms = Math.max(0, s.ended_at_ms - s.started_at_ms);
  return (
    <dl class="facts">
      {s.user_id && s.visitor_id && (
        <div>
          <dt>On device</dt>
          <dd title={s.visitor_id}>{shortId(s.visitor_id)}</dd>
        </div>
      )}
      <div>
        <dt>From</dt>
        <dd>
          <SourceTag name={s.source} />
        </dd>
      </div>
      <div>
        <dt>Events</dt>
        <dd>{count(s.events)}</dd>
      </div>
      <div>
        <dt>Lasted</dt>
        <dd>{span(lasts_ms)}</dd>
      </div>
      <div>
        <dt>Cart</dt>
        <dd>{money(s.cart_value, s.currency)}</dd>
      </div>
      <div>
        <dt>Bought</dt>
        <dd>{s.orders > 0 ? money(s.revenue, s.currency) : "nothing"}</dd>
      </div>
      {s.device_class && (
        <div>
          <dt>Device</dt>
          <dd>{s.device_class}</dd>
        </div>
      )}
      {s.campaign && (
        <div>
          <dt>Campaign</dt>
          <dd>{s.campaign}</dd>
        </div>
      )}
    </dl>
  );
}

/** The seam: whose it was before, whose from here on, and where they are at home. */
function Seam({ handoff: h, earlier }: { handoff: Handoff; earlier: number }) {
  const visitor = <span title={h.visitor_id}>visitor {shortId(h.visitor_id)}</span>;
  const user = <span title={h.user_id}>{h.user_id}</span>;
  return (
    <dl class="facts seam">
      <div>
        <dt>Before</dt>
        <dd>
          {h.returns ? user : visitor}, partition {h.from.partition}
        </dd>
      </div>
      <div>
        <dt>From here</dt>
        <dd>
          {h.returns ? visitor : user}, at home in partition {h.to.partition}
        </dd>
      </div>
      <div>
        <dt>Handed over at</dt>
        <dd>
          log place {h.from.partition}/{h.from.offset}
        </dd>
      </div>
      {!h.returns && (
        <div>
          <dt>Before it, here</dt>
          <dd>
            {count(earlier)} {earlier === 1 ? "entry" : "entries"} as the visitor
          </dd>
        </div>
      )}
    </dl>
  );
}

function Detail({ entry, before, earlier }: { entry: Entry; before: Entry | undefined; earlier: number }) {
  const body = entry.decision ?? entry.event ?? entry.handoff;
  return (
    <div class="detail">
      <div class="detail-head">
        <PaneTitle below={1}>{entryTitle(entry)}</PaneTitle>
        <p class="note">{summaryWords(entry.summary)}</p>
        {explained[entry.kind] && <p class="note">{explained[entry.kind]}</p>}
        {isLate(entry) && <p class="note">It came in {span(Math.max(0, entry.stamp_ms - entry.occurred_at_ms))} after it happened, when later things were known already; it counts where it belongs.</p>}
        {entry.joined && entry.kind === "event" && <p class="note">It was in a session of its own then ({shortId(entry.joined)}), which turned out to be part of this one.</p>}
        {entry.shopper && (
          <p class="note">
            Counted for {entry.shopper.startsWith("user:") ? "user" : "visitor"} <bdi title={shopperName(entry.shopper)}>{entry.shopper.startsWith("user:") ? shopperName(entry.shopper) : shortId(shopperName(entry.shopper))}</bdi>.
          </p>
        )}
      </div>
      {entry.handoff && <Seam handoff={entry.handoff} earlier={earlier} />}
      <p class="note">What is known after this entry. Marked is what it changed; struck through, what that was right before.</p>
      <FeatureTable features={entry.features} before={entry.before ?? before?.features ?? null} changed={changedNames(entry, before)} />
      <details class="raw">
        <summary>As recorded</summary>
        <p class="note">
          Log place {entry.partition}/{entry.offset}, received {timeMs(entry.stamp_ms)}
          {entry.stamp_ms - entry.occurred_at_ms > 1_000 ? `, ${span(entry.stamp_ms - entry.occurred_at_ms)} after it happened` : `, ${ms(entry.stamp_ms - entry.occurred_at_ms)} after it happened`}
        </p>
        {body && (
          <pre tabIndex={0}>
            <code>{JSON.stringify(body, null, 2)}</code>
          </pre>
        )}
      </details>
    </div>
  );
}

function Entries({ entries, at, choose }: { entries: Entry[]; at: number; choose: (index: number) => void }) {
  const scroller = useRef<HTMLDivElement>(null);
  const { total, rows, show } = useVirtual(scroller, entries.length, rowPx);
  useEffect(() => show(at), [at, entries.length]);
  const keys = (event: KeyboardEvent) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: entries.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(entries.length - 1, to)));
  };
  return (
    <div ref={scroller} class="list entries" role="listbox" aria-label="Timeline, oldest first" tabIndex={0} aria-activedescendant={`e-${at}`} onKeyDown={keys}>
      <div role="presentation" class="list-inner" style={{ height: `${total}px` }}>
        {rows.map(({ index, start }) => {
          const entry = entries[index] as Entry;
          const before = entries[index - 1];
          const gap_ms = before ? entry.occurred_at_ms - before.occurred_at_ms : 0;
          const beforeSeam = isBeforeSeam(entries, index);
          return (
            <div
              key={`${entry.partition}/${entry.offset}/${index}`}
              id={`e-${index}`}
              role="option"
              aria-selected={index === at}
              aria-setsize={entries.length}
              aria-posinset={index + 1}
              class={`row entry entry-${entry.kind} ${beforeSeam ? "entry-before" : ""}`}
              style={{ transform: `translateY(${start}px)` }}
              onClick={() => choose(index)}
            >
              <span class="entry-dot" aria-hidden="true" />
              <span class="entry-name">
                <b>{entryTitle(entry)}</b>
              </span>
              <span class="entry-time" title={timeMs(entry.occurred_at_ms)}>
                {before ? `+${gap_ms < 1_000 ? ms(Math.max(0, gap_ms)) : span(gap_ms)}` : timeMs(entry.occurred_at_ms)}
              </span>
              <span class="entry-sum">
                {kinds[entry.kind] && <em class={`mark mark-${entry.kind}`}>{kinds[entry.kind]}</em>}
                {beforeSeam && <em class="mark">as visitor</em>}
                {isLate(entry) && entry.kind !== "too_late" && <em class="mark mark-late">late</em>}
                {entry.joined && entry.kind === "event" && <em class="mark mark-merge">joined</em>}
                <span>{summaryWords(entry.summary)}</span>
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}

export function TimelinePane({ id }: { id: string }) {
  const live = session(id);
  const { data, error, reload } = useResource<Timeline>(`/v1/sessions/${encodeURIComponent(id)}`);
  const [chosen, setChosen] = useState<number | null>(null);
  void second.value;

  // Read again when the live list says that this session moved on, at most about once a second.
  const version = (void sessionsVersion.value, live?.version ?? data?.session.version ?? 0);
  const read = useRef(0);
  useEffect(() => {
    if (!data || version <= Math.max(data.session.version, read.current)) return;
    const timer = setTimeout(() => {
      read.current = version;
      reload();
    }, 400);
    return () => clearTimeout(timer);
  }, [version, data]);

  const entries = data?.timeline ?? [];
  const at = Math.min(chosen ?? entries.length - 1, entries.length - 1);
  const entry = entries[at];
  const s = live && data && live.version > data.session.version ? live : data?.session;
  const gone = s?.merged_into;
  return (
    <section class="pane" aria-label="One session">
      <div class="pane-head">
        <a class="back" href={href("sessions")}>
          <Icon name="back" />
          <span>All sessions</span>
        </a>
        <PaneTitle title={id}>{s?.user_id ?? shortId(s?.visitor_id ?? id)}</PaneTitle>
        {s && (
          <span class={`tone tone-${s.state === "open" ? "good" : "quiet"}`}>
            {s.state === "open" ? `in the shop, ${span(serverNow() - s.ended_at_ms)} since the last sign` : s.state === "idle" ? "gone quiet" : s.state === "merged" ? "part of another session" : "over"}
          </span>
        )}
        {chosen !== null && (
          <button type="button" class="button small-button" onClick={() => setChosen(null)}>
            Follow live
          </button>
        )}
      </div>
      {error && !data && error.status === 404 ? (
        <Message title="No such session">
          <p>It may have ended more than twelve hours ago, or the id has a slip in it.</p>
        </Message>
      ) : error && !data ? (
        <Failed error={error} retry={reload} />
      ) : !data || !s ? (
        <Loading what="the session" />
      ) : (
        <>
          {gone && (
            <p class="note">
              It continues in <a href={href("sessions", gone)}>another session</a>.
            </p>
          )}
          <Facts s={s} />
          {data.truncated && <p class="note">A long session: only its latest entries are shown.</p>}
          {entry ? (
            <div class="timeline">
              <Entries entries={entries} at={at} choose={(index) => setChosen(index === entries.length - 1 ? null : index)} />
              <Detail entry={entry} before={entries[at - 1]} earlier={entries.slice(0, at).filter((e) => e.shopper?.startsWith("visitor:")).length} />
            </div>
          ) : (
            <p class="empty-line">No entries are kept for this session.</p>
          )}
        </>
      )}
    </section>
  );
}
