//! Small pieces that every screen uses: headings, messages, figures, source labels.
import type { ComponentChildren } from "preact";
import type { Failure } from "../api.ts";
import { overview } from "../live.ts";
import { wide } from "../use.ts";
import { sourceTone } from "../words.ts";

export function Title({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="title">
      <h1>{title}</h1>
      <p>{children}</p>
    </div>
  );
}

/** Heads a pane beside a list; on a narrow page the pane is all there is. */
export function PaneTitle({ title, below = 0, children }: { title?: string; below?: 0 | 1; children: ComponentChildren }) {
  const Heading = `h${(wide.value ? 2 : 1) + below}` as "h1" | "h2" | "h3";
  return <Heading title={title}>{children}</Heading>;
}

export function Panel(props: { title?: ComponentChildren; note?: ComponentChildren; class?: string; children: ComponentChildren }) {
  return (
    <section class={`panel ${props.class ?? ""}`}>
      {(props.title || props.note) && (
        <div class="panel-head">
          {props.title && <h2>{props.title}</h2>}
          {props.note && <p class="note">{props.note}</p>}
        </div>
      )}
      {props.children}
    </section>
  );
}

export function Message(props: { tone?: "calm" | "warn" | "bad"; title: string; whole?: boolean; children?: ComponentChildren }) {
  const { tone = "calm", title, whole = false, children } = props;
  const Heading = whole ? "h1" : "h2";
  return (
    <div class={`message message-${tone}`} role={tone === "bad" ? "alert" : undefined}>
      <Heading>{title}</Heading>
      {children}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div class="loading" role="status">
      <span class="hidden">Loading {what}</span>
      <i />
      <i />
      <i />
    </div>
  );
}

export function Failed({ error, retry }: { error: Failure; retry?: () => void }) {
  return (
    <Message tone="bad" title="Could not be loaded">
      <p>{error.message}</p>
      {retry && (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </Message>
  );
}

export function Figure({ label, value, note }: { label: string; value: ComponentChildren; note?: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd>
        <b>{value}</b>
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

/** What a source is, in the server's words. */
export const sourceLabel = (name: string): string => overview.value?.sources.find((s) => s.name === name)?.label ?? name;

/** Whether nobody is behind it: what it reports as painted was on no screen. */
export const isSimulated = (name: string): boolean => sourceTone(sourceLabel(name)) === "simulated";

export function SourceTag({ name }: { name: string }) {
  const label = sourceLabel(name);
  return (
    <span class={`source source-${sourceTone(label)}`}>
      <i aria-hidden="true" />
      {label}
    </span>
  );
}
