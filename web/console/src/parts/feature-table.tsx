//! A shopper's features: those of the session alone one by one, those with windows side by side; what changed stands out.
import type { Features, Scalar } from "../api.ts";
import { featureName, featureValue, windows, windowWords, type Window } from "../words.ts";

interface Cell {
  name: string;
  value: Scalar;
}
export interface Row {
  base: string;
  label: string;
  session?: Cell;
  windows: Partial<Record<Window, Cell>>;
}

/** `alone`: known of the session only; `windowed`: looking back over windows too. */
export function group(features: Features): { alone: Row[]; windowed: Row[] } {
  const rows = new Map<string, Row>();
  for (const [name, value] of Object.entries(features)) {
    const { base, window, label } = featureName(name);
    const row = rows.get(base) ?? { base, label, windows: {} };
    if (window) row.windows[window] = { name, value };
    else row.session = { name, value };
    rows.set(base, row);
  }
  const all = [...rows.values()];
  const looksBack = (r: Row) => Object.keys(r.windows).length > 0;
  return { alone: all.filter((r) => !looksBack(r)), windowed: all.filter(looksBack) };
}

function Value(props: { base: string; cell: Cell | undefined; before: Features | null; changed: ReadonlySet<string> }) {
  const { base, cell, before, changed } = props;
  if (!cell) return <span class="zero">–</span>;
  const { name, value } = cell;
  const old = before?.[name];
  const text = featureValue(base, value);
  const words = typeof value === "string";
  if (!changed.has(name))
    return (
      <span class={words ? "words" : value === 0 || value === null ? "zero" : ""} title={words ? value : undefined}>
        {text}
      </span>
    );
  return (
    <mark class={words ? "words" : ""} title={words ? value : name}>
      {old !== undefined && old !== value && <s>{featureValue(base, old)}</s>} {text}
    </mark>
  );
}

const none: ReadonlySet<string> = new Set();

export function FeatureTable({ features, before = null, changed = none }: { features: Features; before?: Features | null; changed?: ReadonlySet<string> }) {
  // What has left its window is a change too.
  const gone = Object.fromEntries([...changed].filter((name) => !(name in features)).map((name) => [name, null]));
  const { alone, windowed } = group({ ...features, ...gone });
  if (alone.length + windowed.length === 0) return <p class="empty-line">No features yet.</p>;
  const withSession = windowed.some((row) => row.session);
  return (
    <>
      {alone.length > 0 && (
        <table class="table features">
          <caption>This session</caption>
          <tbody>
            {alone.map((row) => (
              <tr key={row.base}>
                <th scope="row" title={row.base}>
                  {row.label}
                </th>
                <td class="num">
                  <Value base={row.base} cell={row.session} before={before} changed={changed} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {windowed.length > 0 && (
        <table class="table features">
          <caption>This shopper, looking back</caption>
          <thead>
            <tr>
              <td />
              {withSession && (
                <th scope="col" class="num">
                  session
                </th>
              )}
              {windows.map((w) => (
                <th key={w} scope="col" class="num">
                  {windowWords[w]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {windowed.map((row) => (
              <tr key={row.base}>
                <th scope="row" title={row.base}>
                  {row.label}
                </th>
                {withSession && (
                  <td class="num">
                    <Value base={row.base} cell={row.session} before={before} changed={changed} />
                  </td>
                )}
                {windows.map((w) => (
                  <td key={w} class="num">
                    <Value base={row.base} cell={row.windows[w]} before={before} changed={changed} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
