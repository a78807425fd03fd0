//! The visitor's own view of the stream: what this page has sent, and the way to the same visit in the console.
import { signal } from "@preact/signals";
import { consent, trackerChoice } from "../state.ts";
import { consoleUrl, sent, trackerState, visit } from "../tracking/index.ts";
import { Dialog } from "./dialog.tsx";

export const drawerOpen = signal(false);

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function status(): string {
  if (trackerState.value === "failed") return "The tracker could not start; the shop works without it.";
  if (consent.value === null) return "Waiting for your privacy choice. Nothing has been sent.";
  if (trackerState.value === "off") return "You chose that nothing is recorded. Nothing is sent.";
  return trackerChoice.value === "snowplow" ? "Sent by the unmodified Snowplow tracker." : "Sent by the midsession tracker.";
}

/** A link into the console, if its address is one that a link may have. */
function consoleLink(): string | null {
  const { visitor, session } = visit();
  if (!consoleUrl.value || !visitor || !URL.canParse(consoleUrl.value)) return null;
  const url = new URL(consoleUrl.value);
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  url.hash = session ? `/sessions/${encodeURIComponent(session)}` : `/sessions?q=${encodeURIComponent(visitor)}`;
  return url.href;
}

function Contents() {
  const link = consoleLink();
  return (
    <>
      <p class="small">{status()}</p>
      {link && (
        <p>
          <a class="button quiet" href={link} target="_blank" rel="noreferrer">
            See this visit in the console
          </a>
        </p>
      )}
      {sent.value.length === 0 ? (
        <p class="drawer-empty">No events yet.</p>
      ) : (
        <ol class="drawer-list">
          {sent.value.map((event) => (
            <li key={`${event.at}${event.name}${event.detail}`}>
              <time>{time.format(event.at)}</time>
              <div>
                <b>{event.name.replaceAll("_", " ")}</b>
                {event.detail && <span>{event.detail}</span>}
              </div>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

export function EventsDrawer() {
  return (
    <Dialog open={drawerOpen} title="Your events" class="drawer">
      <Contents />
    </Dialog>
  );
}
