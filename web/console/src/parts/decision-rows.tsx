//! What fired, for whom, what became of it, and how soon it was on screen.
import type { Decision } from "../api.ts";
import { ms, shortId, time } from "../format.ts";
import { href } from "../route.ts";
import { humanise, outcome, shopperName } from "../words.ts";
import { isSimulated, SourceTag } from "./bits.tsx";

export function DecisionRows({ decisions }: { decisions: readonly Decision[] }) {
  if (decisions.length === 0) return <p class="empty-line">Nothing yet. The first intervention appears here the moment a rule applies.</p>;
  return (
    <table class="table decisions" role="table">
      <thead role="rowgroup">
        <tr role="row">
          <th scope="col" role="columnheader">When</th>
          <th scope="col" role="columnheader">What</th>
          <th scope="col" role="columnheader">For whom</th>
          <th scope="col" role="columnheader">From</th>
          <th scope="col" role="columnheader">Outcome</th>
          <th scope="col" role="columnheader" class="num wide-only">
            Painted at
          </th>
          <th scope="col" role="columnheader" class="num">
            To screen
          </th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {decisions.map((d) => {
          const { text, tone } = outcome(d, isSimulated(d.source));
          const paintedAt_ms = isSimulated(d.source) ? null : d.painted_at_ms;
          const who = d.shopper ? shopperName(d.shopper) : (d.visitor_id ?? "unknown");
          return (
            <tr key={d.decision_id} role="row">
              <td role="cell" class="nums d-when">{time(d.decided_at_ms)}</td>
              <td role="cell" class="d-what">
                {humanise(d.rule)}
                {d.by_silence && <small class="aside">after silence</small>}
              </td>
              <td role="cell" class="d-who">{d.session_id ? <a href={href("sessions", d.session_id)} title={who}>{shortId(who)}</a> : <span title={who}>{shortId(who)}</span>}</td>
              <td role="cell" class="d-from">
                <SourceTag name={d.source} />
              </td>
              <td role="cell" class="d-outcome">
                <span class={`tone tone-${tone}`}>{text}</span>
              </td>
              <td role="cell" class="num wide-only">{paintedAt_ms ? time(paintedAt_ms) : "–"}</td>
              <td role="cell" class="num d-screen">{ms(paintedAt_ms ? d.sent_to_painted_ms : null)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
