//! Events that could not be accepted: which field, why, whose fault, what to do, and on request the bytes as they came.
import { useState } from "preact/hooks";
import { get, type DeadLetter } from "../api.ts";
import { shortId, time } from "../format.ts";
import { askedMax, deadLetters, letterId, loaded, unreadable } from "../live.ts";
import { Loading, PaneTitle, SourceTag, Title } from "../parts/bits.tsx";
import { Icon } from "../parts/icon.tsx";
import { lines } from "../payload.ts";
import { go, href, route } from "../route.ts";
import { wide } from "../use.ts";
import { humanise, ownerWords, sentence } from "../words.ts";

/** The bytes are encrypted: whoever wants to see them asks, and that is put on record. */
function Bytes({ letter }: { letter: DeadLetter }) {
  const [payload, setPayload] = useState<string>();
  const [failed, setFailed] = useState<string>();
  if (!letter.has_payload) return <p class="note">Nothing of it was kept.</p>;
  if (payload === undefined) {
    const show = () => {
      setFailed(undefined);
      get<{ payload: string }>(`/v1/dead-letters/${letter.offset}`).then(
        (answer) => setPayload(answer.payload),
        (error: unknown) => setFailed(error instanceof Error ? error.message : String(error)),
      );
    };
    return (
      <div class="note sealed">
        <p>
          The event as it came is encrypted{letter.truncated && ", its beginning alone: it was longer than what is kept"}. That you look at it is put on record.
        </p>
        <button type="button" class="button" onClick={show}>
          Show the event
        </button>
        {failed && <p role="alert">{failed}</p>}
      </div>
    );
  }
  const rows = lines(payload, letter.field);
  const marked = rows.some((row) => row.fault);
  return (
    <>
      <div class="payload" role="region" aria-label="The event as it came" tabIndex={0}>
        <pre>
          {rows.map((row, index) => (
            <code key={index} class={row.fault ? "line line-fault" : "line"}>
              {row.text || " "}
              {row.fault && <span class="hidden"> (field at fault)</span>}
            </code>
          ))}
        </pre>
      </div>
      {letter.truncated && <p class="note">There was more of it: only this beginning was kept.</p>}
      {letter.field && !marked && (
        <p class="note">{letter.truncated ? "The field does not stand in what was kept." : "The field does not stand in the event: it is missing."}</p>
      )}
    </>
  );
}

function Letter({ letter }: { letter: DeadLetter }) {
  return (
    <section class="pane" aria-label="One rejected event">
      <div class="pane-head">
        <a class="back" href={href("dead-letters")}>
          <Icon name="back" />
          <span>All rejected events</span>
        </a>
        <PaneTitle>{sentence(letter.message)}</PaneTitle>
      </div>
      <dl class="facts">
        {letter.field && (
          <div>
            <dt>Field at fault</dt>
            <dd>
              <code class="fault">{letter.field}</code>
            </dd>
          </div>
        )}
        <div>
          <dt>To be fixed by</dt>
          <dd>{ownerWords(letter.owner)}</dd>
        </div>
        <div>
          <dt>From</dt>
          <dd>
            <SourceTag name={letter.source} />
          </dd>
        </div>
        <div>
          <dt>Received</dt>
          <dd>{time(letter.stamp_ms)}</dd>
        </div>
        <div>
          <dt>Reason code</dt>
          <dd>
            <code>{letter.code}</code>
          </dd>
        </div>
        {letter.event_id && (
          <div>
            <dt>Event id</dt>
            <dd title={letter.event_id}>{shortId(letter.event_id)}</dd>
          </div>
        )}
      </dl>
      {letter.hint && (
        <p class="hint">
          <b>What to do:</b> {sentence(letter.hint)}
        </p>
      )}
      <Bytes key={letterId(letter)} letter={letter} />
    </section>
  );
}

/** Rows of the list. */
const listedMax = 200;

export function DeadLettersScreen() {
  const { id } = route.value;
  const [field, setField] = useState("");
  const all = deadLetters.value;
  const codes = [...new Set(all.map((d) => d.code))].sort();
  const shown = field ? all.filter((d) => d.code === field) : all;
  const chosen = all.find((d) => letterId(d) === id) ?? (id === null && wide.value ? shown[0] : undefined);
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = shown.findIndex((d) => d === chosen);
    const next = shown[Math.max(0, Math.min(shown.length - 1, at + step))];
    if (next) go("dead-letters", letterId(next));
  };
  return (
    <>
      <div class="sessions-list">
        <Title title="Dead letters">Events that could not be accepted. Nothing is lost: each is kept as it came, with the reason.</Title>
        {unreadable.value > 0 && (
          <p class="note" role="status">
            {unreadable.value === 1 ? "One is" : `${unreadable.value} are`} missing here: the log is damaged where {unreadable.value === 1 ? "it stands" : "they stand"}. The
            server's own log names the file and the place.
          </p>
        )}
        {all.length > 0 && (
          <div class="filters">
            <label class="hidden" for="letter-code">
              Reason
            </label>
            <select id="letter-code" value={field} onChange={(event) => setField(event.currentTarget.value)}>
              <option value="">All reasons</option>
              {codes.map((code) => (
                <option key={code} value={code}>
                  {humanise(code)}
                </option>
              ))}
            </select>
          </div>
        )}
        {all.length >= askedMax && (
          <p class="note">
            {shown.length > listedMax ? `The latest ${listedMax} of ${shown.length} are listed` : "The latest are listed"}; all that is kept is in the log:{" "}
            <code>midsession log read dead-letter</code>
          </p>
        )}
        {all.length === 0 ? (
          loaded.value.deadLetters ? (
            unreadable.value === 0 && <p class="empty-line">None: every event so far was accepted.</p>
          ) : (
            <Loading what="rejected events" />
          )
        ) : (
          <div class="list letters" role="listbox" aria-label="Rejected events, newest first" tabIndex={0} aria-activedescendant={chosen ? `d-${letterId(chosen)}` : undefined} onKeyDown={keys}>
            {shown.slice(0, listedMax).map((letter) => (
              <div
                key={letterId(letter)}
                id={`d-${letterId(letter)}`}
                role="option"
                aria-selected={letter === chosen}
                class="row letter"
                onClick={() => go("dead-letters", letterId(letter))}
              >
                <b>{sentence(letter.message)}</b>
                <span class="row-when">{time(letter.stamp_ms)}</span>
                <span class="row-what">
                  {letter.field && <code class="fault">{letter.field}</code>} <SourceTag name={letter.source} />
                </span>
              </div>
            ))}
          </div>
        )}
      </div>
      {chosen ? <Letter letter={chosen} /> : id !== null && loaded.value.deadLetters && <p class="empty-line">This rejected event is no longer among the latest.</p>}
    </>
  );
}
