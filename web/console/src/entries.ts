//! What can be told of a timeline's entries: whose they were, what came late, what they changed.
import type { Entry } from "./api.ts";
import { eventWords, humanise } from "./words.ts";

const titles: Partial<Record<Entry["kind"], string>> = { merge: "Joined", unmerge: "Taken back", closed: "Over" };
/** What it is called. */
export const entryTitle = (e: Entry): string => titles[e.kind] ?? (e.kind === "decision" || e.kind === "timer" ? humanise(e.name || e.kind) : eventWords(e.name || e.kind));

/** Done while nobody knew who it was, in a session whose shopper became known later. */
export const isBeforeSeam = (entries: readonly Entry[], index: number): boolean => {
  const mine = entries[index]?.shopper;
  return mine !== undefined && mine.startsWith("visitor:") && entries.slice(index + 1).some((e) => e.kind === "login");
};

/** Out of order, by the server's word or else by how long it was under way. */
export const isLate = (e: Entry): boolean => e.late ?? (e.stamp_ms - e.occurred_at_ms > 5_000 && e.kind === "event");

/** What changed, by the server's word or else by comparing with the entry before. */
export function changedNames(entry: Entry, before: Entry | undefined): Set<string> {
  if (entry.before || entry.changed.length > 0 || !before) return new Set(entry.changed);
  return new Set(Object.keys(entry.features).filter((name) => entry.features[name] !== before.features[name]));
}
