//! Each rule in words with its switches, and below what fired, for whom, and when it was painted.
import { useState } from "preact/hooks";
import { Failure, post, put, type Intervention } from "../api.ts";
import { count, shortId, span } from "../format.ts";
import { decisions, loaded, session } from "../live.ts";
import { Failed, Loading, Panel, Title } from "../parts/bits.tsx";
import { DecisionRows } from "../parts/decision-rows.tsx";
import { useResource } from "../use.ts";
import { capWords, conditionWords, humanise, triggerWords } from "../words.ts";

interface All {
  interventions: Intervention[];
  cap: string[];
}
interface DryRun {
  shoppers: number;
  fired: number;
  from_ms: number;
  to_ms: number;
}

const holdouts = [0, 0.05, 0.1, 0.2, 0.5];
const previewKey = "midsession.preview";
const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;
const text = (value: unknown): string | null => (typeof value === "string" && value ? value : null);

function Sentence({ rule }: { rule: Intervention }) {
  const parts = conditionWords(rule.when);
  return (
    <p class="sentence">
      {triggerWords(rule.trigger)}
      {parts.map((part, index) => (
        <span key={part.text}>
          {index === 0 ? ", and if " : " and "}
          {part.exact ? <code>{part.text}</code> : part.text}
        </span>
      ))}
      , show it{rule.cap.length > 0 && <>, at most {rule.cap.map(capWords).join(" and ")}</>}. It is worth showing for {span(rule.expires_ms)}.
    </p>
  );
}

function Shown({ rule }: { rule: Intervention }) {
  const title = text(rule.payload["title"]);
  const body = text(rule.payload["body"]);
  const label = text(rule.payload["label"]) ?? text(rule.payload["action"]);
  const code = rule.payload["code"] as { percent?: unknown } | undefined;
  return (
    <div class="shown" aria-label="What the shopper sees">
      {title && <b>{title}</b>}
      {body && <p>{body}</p>}
      {typeof code?.percent === "number" && <p>A single-use code for {code.percent} % off</p>}
      {label && <span class="shown-action">{label}</span>}
      {!title && !body && <p>A callback of the shop paints it.</p>}
    </div>
  );
}

function Counts({ rule }: { rule: Intervention }) {
  const { candidates, served, painted, clicked, dismissed, holdout, capped, expired } = rule.counts;
  const rows: [string, number][] = [
    ["applied", candidates],
    ["sent", served],
    ["painted", painted],
    ["clicked", clicked],
    ["dismissed", dismissed],
    ["held for comparison", holdout],
    ["held by a cap", capped],
    ["expired", expired],
  ];
  return (
    <dl class="counts">
      {rows.map(([label, value]) => (
        <div key={label} class={value === 0 ? "none" : ""}>
          <dd>{count(value)}</dd>
          <dt>{label}</dt>
        </div>
      ))}
    </dl>
  );
}

/** The last id that was used here, else this browser's own as a shopper: cookies don't tell ports of one host apart. */
function ownVisitor(): string {
  let last: string | null = null;
  try {
    last = localStorage.getItem(previewKey);
  } catch {}
  return /(?:^|; )_ms_vid=([^;]+)/.exec(document.cookie)?.[1] ?? last ?? "";
}

function Card({ rule, changed }: { rule: Intervention; changed: (row: Intervention) => void }) {
  const [busy, setBusy] = useState<string | null>(null);
  const [answer, setAnswer] = useState<{ text: string; bad: boolean } | null>(null);
  const [visitor, setVisitor] = useState(ownVisitor);
  const name = encodeURIComponent(rule.name);
  const id = (part: string) => `${part}-${rule.name.replaceAll(/[^\w-]/g, "_")}`;
  const act = async (what: string, run: () => Promise<string | null>) => {
    setBusy(what);
    setAnswer(null);
    try {
      const said = await run();
      if (said) setAnswer({ text: said, bad: false });
    } catch (error) {
      setAnswer({ text: error instanceof Failure ? error.message : String(error), bad: true });
    }
    setBusy(null);
  };
  const change = (what: Partial<Pick<Intervention, "enabled" | "dry_run" | "holdout">>) =>
    void act("change", async () => {
      changed(await put<Intervention>(`/v1/interventions/${name}`, what));
      return null;
    });
  const dryRun = () =>
    void act("dry-run", async () => {
      const { shoppers, fired, from_ms, to_ms } = await post<DryRun>(`/v1/interventions/${name}/dry-run`);
      return `In the last ${span(to_ms - from_ms)} it would have reached ${count(shoppers)} ${shoppers === 1 ? "shopper" : "shoppers"}, ${count(fired)} ${fired === 1 ? "time" : "times"} in all.`;
    });
  const preview = (event: SubmitEvent) => {
    event.preventDefault();
    const wanted = visitor.trim();
    if (!wanted) return;
    void act("preview", async () => {
      const { connections } = await post<{ connections: number }>(`/v1/interventions/${name}/preview`, { visitor_id: wanted });
      try {
        localStorage.setItem(previewKey, wanted);
      } catch {}
      return connections === 0
        ? "That browser has no page open that listens. It will be shown when one is, marked as a preview, as long as it lasts."
        : `Sent to ${count(connections)} open ${connections === 1 ? "page" : "pages"} of that browser, marked as a preview and left out of all rates.`;
    });
  };
  const state = rule.error ? "broken" : !rule.enabled ? "off" : rule.dry_run ? "dry run" : "on";
  return (
    <article class={`rule rule-${state.replace(" ", "-")}`}>
      <header>
        <h2>{humanise(rule.name)}</h2>
        <span class={`tone tone-${state === "on" ? "good" : state === "broken" ? "warn" : "quiet"}`}>{state === "dry run" ? "dry run: decides, shows nothing" : state}</span>
        <label class="switch">
          <input type="checkbox" role="switch" checked={rule.enabled} disabled={busy !== null} onChange={(event) => change({ enabled: event.currentTarget.checked })} />
          <span aria-hidden="true" />
          <span class="hidden">{humanise(rule.name)} is switched on</span>
        </label>
      </header>
      <div class="rule-body">
        <div class="rule-words">
          <Sentence rule={rule} />
          {rule.error && (
            <p class="tone tone-warn" role="alert">
              {rule.error}
            </p>
          )}
          <details class="raw">
            <summary>As defined</summary>
            <pre tabIndex={0}>
              <code>{`when = ${rule.when ?? "always"}\ntrigger = ${JSON.stringify(rule.trigger)}\ncap = ${JSON.stringify(rule.cap)}\npriority = ${rule.priority}, slot = ${rule.slot}, version = ${rule.version}`}</code>
            </pre>
          </details>
        </div>
        <Shown rule={rule} />
      </div>
      <Counts rule={rule} />
      <div class="rule-tools">
        <label class="check">
          <input type="checkbox" checked={rule.dry_run} disabled={busy !== null} onChange={(event) => change({ dry_run: event.currentTarget.checked })} />
          Dry run
        </label>
        <label class="inline" for={id("holdout")}>
          Held back for comparison
          <select id={id("holdout")} value={String(rule.holdout)} disabled={busy !== null} onChange={(event) => change({ holdout: Number(event.currentTarget.value) })}>
            {[...new Set([...holdouts, rule.holdout])].sort((a, b) => a - b).map((share) => (
              <option key={share} value={String(share)}>
                {percent(share)}
              </option>
            ))}
          </select>
        </label>
        <button type="button" class="button" disabled={busy !== null} onClick={dryRun}>
          {busy === "dry-run" ? "Replaying the last hour…" : "Whom would it have reached?"}
        </button>
        <form class="inline" onSubmit={preview}>
          <label class="hidden" for={id("visitor")}>
            Visitor id of your browser
          </label>
          <input id={id("visitor")} list="visitors" value={visitor} placeholder="Your visitor id" autocomplete="off" spellcheck={false} onInput={(event) => setVisitor(event.currentTarget.value)} />
          <button type="submit" class="button" disabled={busy !== null || !visitor.trim()}>
            Preview there
          </button>
        </form>
      </div>
      <p class={`rule-answer note ${answer?.bad ? "bad" : ""}`} role="status">
        {answer?.text ?? (rule.reached_last_hour > 0 ? `Reached ${count(rule.reached_last_hour)} shoppers in the last hour.` : "")}
      </p>
    </article>
  );
}

/** Visitors of the demo shop seen in the last decisions, offered to the preview field. */
function visitorIds(): string[] {
  const ids = decisions.value.flatMap((d) => (d.visitor_id && session(d.session_id ?? "")?.source === d.source ? [d.visitor_id] : []));
  return [...new Set(ids)].slice(0, 20);
}

export function InterventionsScreen() {
  const { data, error, reload, set } = useResource<All>("/v1/interventions", 2_000);
  const changed = (row: Intervention) => data && set({ ...data, interventions: data.interventions.map((r) => (r.name === row.name ? row : r)) });
  return (
    <>
      <Title title="Interventions">What the shop may do while a shopper is still there, and what it did.</Title>
      {error && !data && <Failed error={error} retry={reload} />}
      {!data && !error && <Loading what="the rules" />}
      {data && (
        <>
          <datalist id="visitors">
            {visitorIds().map((v) => (
              <option key={v} value={v}>
                {shortId(v)}
              </option>
            ))}
          </datalist>
          <div class="rules">
            {data.interventions.map((rule) => (
              <Card key={rule.name} rule={rule} changed={changed} />
            ))}
          </div>
          {data.interventions.length === 0 && <p class="empty-line">No interventions are defined. Add one to the profile and it appears here.</p>}
          {data.cap.length > 0 && <p class="note all-cap">Over all of them together: at most {data.cap.map(capWords).join(" and ")} for each shopper.</p>}
        </>
      )}
      <Panel title="What fired" note="Newest first, live">
        {loaded.value.decisions || decisions.value.length > 0 ? <DecisionRows decisions={decisions.value.slice(0, 100)} /> : <Loading what="decisions" />}
      </Panel>
    </>
  );
}
