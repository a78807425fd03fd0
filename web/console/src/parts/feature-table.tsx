//! A shopper's features: those of the session one by one, those of a window side by side; what just changed stands out.
import type { Features, Scalar } from "../api.ts";
import { featureName, featureValue, windows, windowWords, type Window } from "../words.ts";

interface Row {
  base: string;
  label: string;
  single?: { name: string; value: Scalar };
  windows: Partial<Record<Window, { name: string; value: Scalar }>>;
}

export function group(features: Features): { single: Row[]; windowed: Row[] } {
  const rows = new Map<string, Row>();
  for (const [name, value] of Object.entries(features)) {
    const { base, window, label } = featureName(name);
    const key = `${window ? "w" : "s"}:${base}`;
    const row = rows.get(key) ?? { base, label, windows: {} };
    if (window) row.windows[window] = { name, value };
    else row.single = { name, value };
    rows.set(key, row);
  }
  const all = [...rows.values()];
  return { single: all.filter((r) => r.single), windowed: all.filter((r) => !r.single) };
}

function Value(props: { base: string; name: string; value: Scalar; before: Features | null; changed: ReadonlySet<string> }) {
  const { base, name, value, before, changed } = props;
  const isNew = changed.has(name);
  const old = before?.[name];
  const text = featureValue(base, value);
  const words = typeof value === "string";
  if (!isNew)
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
  const { single, windowed } = group({ ...features, ...gone });
  if (single.length + windowed.length === 0) return <p class="empty-line">No features yet.</p>;
  return (
    <>
      {single.length > 0 && (
        <table class="table features">
          <caption>This session</caption>
          <tbody>
            {single.map((row) => (
              <tr key={row.base}>
                <th scope="row" title={row.single?.name}>
                  {row.label}
                </th>
                <td class="num">{row.single && <Value base={row.base} {...row.single} before={before} changed={changed} />}</td>
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
                {windows.map((w) => {
                  const cell = row.windows[w];
                  return (
                    <td key={w} class="num">
                      {cell ? <Value base={row.base} {...cell} before={before} changed={changed} /> : <span class="zero">–</span>}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
