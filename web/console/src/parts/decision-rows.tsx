//! What fired, for whom, what became of it, and how soon it was on screen.
import type { Decision } from "../api.ts";
import { ms, shortId, time } from "../format.ts";
import { href } from "../route.ts";
import { humanise, outcome } from "../words.ts";
import { SourceTag } from "./bits.tsx";

export function DecisionRows({ decisions }: { decisions: readonly Decision[] }) {
  if (decisions.length === 0) return <p class="empty-line">Nothing yet. The first intervention appears here the moment a rule applies.</p>;
  return (
    <table class="table decisions">
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col">What</th>
          <th scope="col">For whom</th>
          <th scope="col" class="wide-only">
            From
          </th>
          <th scope="col">Outcome</th>
          <th scope="col" class="num wide-only">
            Painted at
          </th>
          <th scope="col" class="num">
            To screen
          </th>
        </tr>
      </thead>
      <tbody>
        {decisions.map((d) => {
          const { text, tone } = outcome(d);
          const who = d.shopper ?? d.visitor_id ?? "unknown";
          return (
            <tr key={d.decision_id}>
              <td class="nums">{time(d.decided_at_ms)}</td>
              <td>
                {humanise(d.rule)}
                {d.by_silence && <small class="aside">after silence</small>}
              </td>
              <td>{d.session_id ? <a href={href("sessions", d.session_id)} title={who}>{shortId(who)}</a> : <span title={who}>{shortId(who)}</span>}</td>
              <td class="wide-only">
                <SourceTag name={d.source} />
              </td>
              <td>
                <span class={`tone tone-${tone}`}>{text}</span>
              </td>
              <td class="num wide-only">{d.painted_at_ms ? time(d.painted_at_ms) : "–"}</td>
              <td class="num">{ms(d.sent_to_painted_ms ?? (d.painted_at_ms ? d.painted_at_ms - d.asked_at_ms : null))}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
