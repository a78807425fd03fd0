//! Where the time goes between a shopper's act and the changed page, who answers for each part, and what is left.
import { isOver, type Budget, type Stage } from "../api.ts";
import { count, ms } from "../format.ts";
import { Failed, Loading, Panel, Title } from "../parts/bits.tsx";
import { BudgetBar } from "../parts/budget-bar.tsx";
import { useResource } from "../use.ts";
import { stageWords } from "../words.ts";

const name = (stage: Stage): string => stageWords(stage.name);

/** The bar of what is over its share is red however few measurements there are; an alarm is raised of many alone. */
function Against({ now, target, label }: { now: number; target: number | null; label: string }) {
  if (target === null || target <= 0) return <span class="num">{ms(now)}</span>;
  const share = now / target;
  return (
    <span class={`against ${share > 1 ? "over" : ""}`}>
      <span class="against-words">
        <b>{ms(now)}</b> <span class="of">of {ms(target)}</span>
      </span>
      <span class="against-track" role="meter" aria-label={`${label}: ${ms(now)} of ${ms(target)}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.min(100, Math.round(share * 100))}>
        <span style={{ width: `${Math.min(100, share * 100)}%` }} />
      </span>
    </span>
  );
}

function Row({ stage, strong = false, label, none = "–" }: { stage: Stage; strong?: boolean; label?: string; none?: string }) {
  const measured = stage.count > 0;
  const title = label ?? name(stage);
  return (
    <tr class={strong ? "strong" : ""}>
      <th scope="row">
        {title}
        <small class="aside">{stage.what}</small>
      </th>
      <td class="wide-only">
        {stage.owner}
        <small class="aside">{stage.clock === "browser" ? "browser’s clock" : "server’s clock"}</small>
      </td>
      <td class="wide-only">{measured ? <Against now={stage.p50_ms} target={stage.budget_p50_ms} label={`${title}, half of all`} /> : "–"}</td>
      <td>{measured ? <Against now={stage.p99_ms} target={stage.budget_p99_ms} label={`${title}, 99 of 100`} /> : <span class="none">{none}</span>}</td>
      <td class="num">{stage.headroom_p99_ms === null ? "–" : <span class={isOver(stage) ? "minus" : ""}>{ms(stage.headroom_p99_ms)}</span>}</td>
      <td class="num wide-only">{measured ? ms(stage.max_ms) : "–"}</td>
      <td class="num wide-only">{count(stage.count)}</td>
    </tr>
  );
}

export function BudgetScreen() {
  const { data, error, reload } = useResource<Budget>("/v1/budget", 1_000);
  const over = data ? [...data.stages, data.unexplained, data.timer, data.handoff].filter((stage) => stage !== undefined).filter(isOver) : [];
  const onlySilences = data !== null && data.total.count === 0 && (data.silence?.count ?? 0) > 0;
  return (
    <>
      <Title title="Latency">
        From a shopper’s act to the changed page, promised within {ms(data?.promise_p99_ms ?? 2_000)} for 99 of 100. Each stage has a share of it, and
        somebody who answers for it.
      </Title>
      {error && !data && <Failed error={error} retry={reload} />}
      {!data && !error && <Loading what="the latency budget" />}
      {data && (
        <>
          {over.length > 0 && (
            <p class="tone tone-warn over-note" role="status">
              Over their share: {over.map((s) => `${name(s)} (${s.owner})`).join(", ")}.
            </p>
          )}
          <Panel title="Now against the promise">
            <BudgetBar budget={data} />
          </Panel>
          <Panel title="Stage by stage">
            <div class="scroll-x" tabIndex={0} role="region" aria-label="Stages">
              <table class="table stages">
                <thead>
                  <tr>
                    <th scope="col">Stage</th>
                    <th scope="col" class="wide-only">
                      Answers for it
                    </th>
                    <th scope="col" class="wide-only">
                      Half of all (P50)
                    </th>
                    <th scope="col">99 of 100 (P99)</th>
                    <th scope="col" class="num">
                      Left
                    </th>
                    <th scope="col" class="num wide-only">
                      Longest
                    </th>
                    <th scope="col" class="num wide-only">
                      Measured
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.stages.map((stage) => (
                    <Row key={stage.name} stage={stage} />
                  ))}
                </tbody>
                <tbody class="sum">
                  <Row stage={data.network} label="Network" />
                  <Row stage={data.unexplained} label="Unexplained" none={onlySilences ? "no act" : "–"} />
                  <Row stage={data.total} label="From act to painted" strong none={onlySilences ? "no act" : "–"} />
                  {data.timer && <Row stage={data.timer} />}
                  {data.silence && <Row stage={data.silence} strong />}
                  {data.handoff && <Row stage={data.handoff} label="From login to known" />}
                </tbody>
              </table>
            </div>
            <p class="note">
              Server stages are measured by the server’s clock, painting and the whole by the browser’s. Unexplained is what is left of the whole
              after stages and network; it should stay under 1 ms. All figures are of the last minutes.
            </p>
            <p class="note">
              A rule that waits for a silence answers no act. Its whole runs from the deadline: noticing it, deciding and sending by the server’s clock,
              half of the network’s way there and back, painting by the browser’s. It is the sum of these, so nothing of it is unexplained. Pages that are
              simulated paint nothing: they count in the server’s stages alone.
            </p>
          </Panel>
        </>
      )}
    </>
  );
}
