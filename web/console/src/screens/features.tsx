//! What is known of one shopper or session at this instant, by id.
import { useEffect, useState } from "preact/hooks";
import type { FeatureAnswer } from "../api.ts";
import { count, timeMs } from "../format.ts";
import { Failed, Loading, Message, Panel, Title } from "../parts/bits.tsx";
import { DefinitionList } from "../parts/definitions.tsx";
import { FeatureTable } from "../parts/feature-table.tsx";
import { route } from "../route.ts";
import { useResource } from "../use.ts";

type Kind = "user" | "session";

function Answer({ kind, id }: { kind: Kind; id: string }) {
  const { data, error, reload } = useResource<FeatureAnswer>(`/v1/features/${kind}/${encodeURIComponent(id)}`, 1_000);
  if (error?.status === 404)
    return (
      <Message title={kind === "user" ? "Nobody by that id" : "No session by that id"}>
        <p>{kind === "user" ? "No event of this user or visitor arrived in the last 24 hours." : "It may have ended more than twelve hours ago. Both our session id and the tracker’s own work here."}</p>
      </Message>
    );
  if (error && !data) return <Failed error={error} retry={reload} />;
  if (!data) return <Loading what="features" />;
  const resolved = data.user ?? data.session ?? id;
  return (
    <Panel
      title={resolved === id ? id : `${id}, known as ${resolved}`}
      note={`As of ${timeMs(data.as_of.now)}, log place ${data.as_of.partition}/${count(data.as_of.offset)}: the same place and instant give the same values later.`}
    >
      <div class="looked-up">
        <FeatureTable features={data.features} />
      </div>
    </Panel>
  );
}

export function FeaturesScreen() {
  const { id, query } = route.value;
  const initial: Kind = query.get("kind") === "session" ? "session" : "user";
  const [kind, setKind] = useState<Kind>(initial);
  const [text, setText] = useState(id ?? "");
  // Another link changes what stands in the form; whoever types keeps the focus.
  useEffect(() => {
    setKind(initial);
    setText(id ?? "");
  }, [initial, id]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const wanted = text.trim();
    if (wanted) location.hash = `#/features/${encodeURIComponent(wanted)}?kind=${kind}`;
  };
  return (
    <>
      <Title title="Features">What rules and models know of a shopper, read at this instant.</Title>
      <form class="lookup" onSubmit={submit}>
        <label class="hidden" for="feature-kind">
          Of a
        </label>
        <select id="feature-kind" value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
          <option value="user">Shopper</option>
          <option value="session">Session</option>
        </select>
        <label class="hidden" for="feature-id">
          {kind === "user" ? "User or visitor id" : "Session id"}
        </label>
        <input id="feature-id" value={text} placeholder={kind === "user" ? "User or visitor id" : "Session id, ours or the tracker’s"} autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
        <button type="submit" class="button primary">
          Look up
        </button>
      </form>
      {id ? (
        <Answer key={`${initial}/${id}`} kind={initial} id={id} />
      ) : (
        <>
          <p class="empty-line">Enter an id. Open sessions and their shoppers are listed under Sessions.</p>
          <DefinitionList />
        </>
      )}
    </>
  );
}
