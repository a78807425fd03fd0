//! Is everything well, what comes in, and what does it lead to.
import { isOver, saysLittle, type Budget, type Overview, type Source } from "../api.ts";
import { bytes, count, ms, rate, span, time } from "../format.ts";
import { decisions, link, overview } from "../live.ts";
import { Figure, Loading, Panel, isSimulated, SourceTag, Title } from "../parts/bits.tsx";
import { BudgetBar } from "../parts/budget-bar.tsx";
import { RateChart } from "../parts/chart.tsx";
import { DecisionRows } from "../parts/decision-rows.tsx";
import { href } from "../route.ts";
import { useResource } from "../use.ts";
import { stageWords } from "../words.ts";

/** The state of things in one sentence. */
function verdict(o: Overview, budget: Budget | null): { tone: "good" | "note" | "warn"; text: string } {
  if (link.value === "lost") return { tone: "warn", text: `Connection lost; figures are as of ${time(o.now_ms)}.` };
  if (budget && [budget.total, budget.silence].some((whole) => whole && !saysLittle(whole) && whole.p99_ms > budget.promise_p99_ms)) return { tone: "warn", text: "Shoppers wait longer than promised." };
  const late = budget && [...budget.stages, ...(budget.timer ? [budget.timer] : [])].find(isOver);
  if (late) {
    const promise = [budget.total, budget.silence].some((whole) => whole && !saysLittle(whole)) ? "The promise holds. " : "";
    const share = `${ms(late.p99_ms)} instead of ${ms(late.budget_p99_ms)}`;
    return { tone: "note", text: `${promise}“${stageWords(late.name)}” takes more than its share: ${share}; ${late.owner} answers for it.` };
  }
  return { tone: "good", text: "All is well: events become features and interventions as they come in." };
}

function Sources({ sources }: { sources: Source[] }) {
  const most = Math.max(1, ...sources.map((s) => s.events_per_s));
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">Where from</th>
          <th scope="col" class="num">
            Per second
          </th>
          <th scope="col" class="wide-only">
            <span class="hidden">Share</span>
          </th>
          <th scope="col" class="num">
            Accepted
          </th>
          <th scope="col" class="num">
            Rejected
          </th>
        </tr>
      </thead>
      <tbody>
        {sources.map((source) => (
          <tr key={source.name}>
            <th scope="row">
              <SourceTag name={source.name} />
            </th>
            <td class="num">{rate(source.events_per_s)}</td>
            <td class="wide-only bar-cell">
              {source.events_per_s > 0 && <span class="bar" style={{ width: `${(100 * source.events_per_s) / most}%` }} />}
            </td>
            <td class="num">{count(source.accepted)}</td>
            <td class="num">{source.rejected > 0 ? <a href={href("dead-letters")}>{count(source.rejected)}</a> : 0}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What was sent and painted, by who it was sent to: what a simulated shopper reports no screen has shown. */
function PathBySource({ sources }: { sources: Source[] }) {
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">To whom</th>
          <th scope="col" class="num">
            Sent
          </th>
          <th scope="col" class="num">
            Painted
          </th>
          <th scope="col" class="num">
            Clicked
          </th>
        </tr>
      </thead>
      <tbody>
        {sources.map((source) => (
          <tr key={source.name}>
            <th scope="row">
              <SourceTag name={source.name} />
            </th>
            <td class="num">{count(source.served)}</td>
            <td class="num">
              {count(source.painted)}
              {isSimulated(source.name) && source.painted > 0 && <small> simulated</small>}
            </td>
            <td class="num">{count(source.clicked)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Path({ counts, sources }: { counts: Overview["interventions"]; sources: Source[] }) {
  const steps = [
    { label: "a rule applied", value: counts.candidates },
    { label: "sent", value: counts.served },
    { label: "painted", value: counts.painted },
    { label: "clicked", value: counts.clicked },
  ];
  const most = Math.max(1, counts.candidates);
  return (
    <>
      <ol class="path">
        {steps.map((step) => (
          <li key={step.label}>
            <span>{step.label}</span>
            <b>{count(step.value)}</b>
            <span class="bar" style={{ width: `${Math.min(100, (100 * step.value) / most)}%` }} />
          </li>
        ))}
      </ol>
      <PathBySource sources={sources} />
      <p class="note">
        Held back: {count(counts.holdout)} for comparison, {count(counts.capped)} by a cap. Dismissed: {count(counts.dismissed)}.
      </p>
    </>
  );
}

export function OverviewScreen() {
  const budget = useResource<Budget>("/v1/budget", 2_000).data;
  const o = overview.value;
  if (!o)
    return (
      <>
        <Title title="Overview">What comes in, how fast it is understood, and what it leads to.</Title>
        <Loading what="the overview" />
      </>
    );
  const { tone, text } = verdict(o, budget);
  const simulated = o.sources.filter((source) => isSimulated(source.name)).reduce((sum, source) => sum + source.painted, 0);
  return (
    <>
      <Title title="Overview">
        <span class={`verdict verdict-${tone}`}>
          <i aria-hidden="true" />
          {text}
        </span>
      </Title>
      <dl class="figures">
        <Figure label="Events per second" value={rate(o.events_per_s)} note={`${count(o.accepted)} accepted in ${span(o.now_ms - o.started_at_ms)}`} />
        <Figure label="Shoppers in session" value={count(o.sessions.open)} note={`${count(o.sessions.idle)} gone quiet, ${count(o.sessions.closed)} over`} />
        <Figure
          label="Interventions painted"
          value={count(o.interventions.painted - simulated)}
          note={simulated ? `on screens; ${count(simulated)} more simulated` : `${count(o.interventions.served)} sent, ${count(o.push.connections)} browsers listening`}
        />
        <Figure label="Event to feature" value={ms(o.freshness_ms.p50)} note={`99 of 100 within ${ms(o.freshness_ms.p99)}`} />
      </dl>
      <Panel
        title="Events per second"
        note={
          <span class="legend">
            <i class="key-events" /> events <i class="key-interventions" /> interventions, last two minutes
          </span>
        }
      >
        <RateChart rates={o.rates} />
      </Panel>
      <div class="columns">
        <Panel title="Where events come from">
          <Sources sources={o.sources} />
          <p class="note">
            {count(o.duplicates)} sent twice and counted once, {count(o.too_late)} too late for their session, {count(o.consent_dropped)} dropped for want of
            consent, {count(o.bots)} from robots. The log holds {bytes(o.log.bytes)}.
          </p>
        </Panel>
        <Panel title="From rule to screen">
          <Path counts={o.interventions} sources={o.sources} />
        </Panel>
      </div>
      <Panel title="From click to painted change" note={<a href={href("budget")}>All stages</a>}>
        {budget ? <BudgetBar budget={budget} /> : <Loading what="the latency budget" />}
      </Panel>
      <Panel title="Last interventions" note={<a href={href("interventions")}>All interventions</a>}>
        <DecisionRows decisions={decisions.value.slice(0, 6)} />
      </Panel>
    </>
  );
}
