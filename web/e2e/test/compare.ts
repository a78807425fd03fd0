//! What the server made of events, held against what went over the wire.

import { type Server, until } from "./server.ts";

/** What the wire says: ids as often as they went to the collector and were not turned away. */
export interface Wire {
  ids: string[];
  /** The source that they belong to. */
  source: string;
}

/** How often each occurs. */
export const times = (ids: string[]): Map<string, number> => {
  const found = new Map<string, number>();
  for (const id of ids) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
};

/** The lines of two multisets that differ. */
export const unequal = (found: string[], wanted: string[]): string[] => {
  const [is, should] = [times(found), times(wanted)];
  return [...new Set([...found, ...wanted])]
    .filter((id) => is.get(id) !== should.get(id))
    .map((id) => `${id}: ${is.get(id) ?? 0} times instead of ${should.get(id) ?? 0}`);
};

/** The events on the log, of any source. */
export const logged = (server: Server) =>
  server.log("behavior").filter((line) => line.schema === "behavior-event").map((line) => line.value);

/**
 * Where the server differs from the wire; empty if nowhere. The log holds each copy that came in, as it came; sessions
 * and features count an id once. What comes again after a stay has ended, by an alias say, is too late for its session: it is
 * counted as that.
 */
export const differences = async (server: Server, wires: Wire[]): Promise<string[]> => {
  const ids = wires.flatMap((wire) => wire.ids);
  const distinct = new Set(ids).size;
  const events = await until(() => {
    const events = logged(server);
    return events.length >= ids.length && events;
  }, `${ids.length} events on the log`);
  const sum = (sessions: Record<string, number>[], name: string) => sessions.reduce((sum, session) => sum + session[name]!, 0);
  const { sessions, duplicates, late } = await until(async () => {
    const { sessions } = await server.ask("/v1/sessions?limit=5000");
    const { duplicates, too_late: late } = await server.ask("/v1/overview");
    return sum(sessions, "events") + duplicates + late >= events.length && { sessions, duplicates, late };
  }, `${events.length} events read by the machines`);
  const found: string[] = [];
  for (const { source, ids } of wires) {
    const log = events.filter((event) => event.source === source).map((event) => event.event_id as string);
    found.push(...unequal(log, ids).map((line) => `log of ${source}: ${line}`));
  }
  const number = (what: string, is: number, should: number) => {
    if (is !== should) found.push(`${what}: ${is} instead of ${should}`);
  };
  number("events on the log", events.length, ids.length);
  number("events in sessions", sum(sessions, "events") + late, distinct);
  number("duplicates", duplicates, ids.length - distinct);
  const views = new Set(events.filter((event) => event.name === "product_view").map((event) => event.event_id));
  let counted = 0;
  for (const { session_id } of sessions.filter((session: any) => !session.merged_into)) {
    const { features } = await server.ask(`/v1/features/session/${encodeURIComponent(session_id)}?names=product_view_count`);
    counted += features.product_view_count;
  }
  if (counted > views.size || counted + late < views.size) number("product views in features", counted, views.size);
  return found;
};
