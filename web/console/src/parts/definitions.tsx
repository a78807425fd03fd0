//! The feature definitions in force: each version, whether it is live, and from when on it counts.
import type { Definition, Definitions, Fault } from "../api.ts";
import { dateTime } from "../format.ts";
import { useResource } from "../use.ts";
import { Failed, Loading, Panel } from "./bits.tsx";

const place = ({ file, line, column, message }: Fault) => `${file}:${line}:${column}: ${message}`;

function counts({ fault, looks_back, since_ms, whole_at_ms }: Definition): string {
  if (fault) return `Left out: ${place(fault)}`;
  if (since_ms !== null) {
    const share = whole_at_ms === null ? 1 : (Date.now() - since_ms) / (whole_at_ms - since_ms);
    return `From ${dateTime(since_ms)} on${share < 1 ? `, ${Math.floor(100 * share)} % of its window` : ""}`;
  }
  if (looks_back === "exactly") return "Looks back exactly";
  return looks_back === "from_first_event" ? "From the shopper’s first event on" : "Since the beginning";
}

export function DefinitionList() {
  const { data, error, reload } = useResource<Definitions>("/v1/definitions", 5_000);
  if (error && !data) return <Failed error={error} retry={reload} />;
  if (!data) return <Loading what="definitions" />;
  // What waits stands on top: somebody is to decide on it.
  const features = data.definitions.filter(({ kind }) => kind === "feature");
  const rows = features.sort((a, b) => Number(a.state === "live") - Number(b.state === "live"));
  return (
    <Panel title="Definitions" note="A changed feature is served beside the live one, as name@version, until it is promoted.">
      {data.not_taken_up && (
        <p class="note" role="status">
          What was edited in the files is not in force: {data.not_taken_up.map(place).join("; ")}
        </p>
      )}
      <table class="table definitions">
        <thead>
          <tr>
            <th scope="col">Feature</th>
            <th scope="col" class="num">
              Version
            </th>
            <th scope="col">State</th>
            <th scope="col" class="wide-only">
              Counts
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.name}@${row.version}`}>
              <th scope="row">{row.name}</th>
              <td class="num">{row.version}</td>
              <td>
                {row.state === "live" && "Live"}
                {row.state === "pending" && <span class="tone tone-warn">Pending</span>}
                {row.state === "broken" && <span class="tone tone-warn">Broken</span>}
                {row.backfill !== undefined && `, backfill ${Math.floor(100 * row.backfill)} %`}
              </td>
              <td class="wide-only">{counts(row)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
