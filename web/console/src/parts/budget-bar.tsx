//! The promise as one line: what each stage takes of it now.
import { saysLittle, type Budget } from "../api.ts";
import { count, ms } from "../format.ts";
import { stageWords } from "../words.ts";

export function BudgetBar({ budget }: { budget: Budget }) {
  const { stages, promise_p99_ms, silence } = budget;
  // Answers to an act and answers to a silence are measured apart: from the act, and from the end of the silence.
  const bySilence = budget.total.count === 0 && silence !== undefined && silence.count > 0;
  const total = bySilence ? silence : budget.total;
  if (total.count === 0)
    return <p class="empty-line">No browser has reported a painted change yet. As soon as one does, its way to the screen is measured here.</p>;
  const filled = Math.min(100, (100 * total.p99_ms) / promise_p99_ms);
  const few = saysLittle(total);
  const over = total.p99_ms > promise_p99_ms;
  return (
    <div class="promise">
      <p>
        {few ? `The slowest of ${count(total.count)} ${total.count === 1 ? "change was" : "changes so far was"}` : "99 of 100 changes are"} on the shopper’s screen within{" "}
        <b>{ms(total.p99_ms)}</b>
        {bySilence ? " of the end of the silence" : ""}; promised are {ms(promise_p99_ms)}
        {few ? " for 99 of 100, which takes 100 measurements to tell" : ""}.
      </p>
      <div class="promise-track" aria-hidden="true">
        <span class={over ? (few ? "few" : "over") : ""} style={{ width: `max(4px, ${filled}%)` }} />
      </div>
      <p class="note">Stage by stage, 99 of 100 within (the slowest of each stage seldom meet, so these do not add up):</p>
      <ul class="promise-legend">
        {stages.map((stage, index) => (
          <li key={stage.name} title={stage.what}>
            <i class={`seg-${index % 9}`} aria-hidden="true" />
            {stageWords(stage.name)} <b>{stage.count > 0 ? ms(stage.p99_ms) : "–"}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}
