//! Where in the console we are: kept in the address after the #, so that one static page serves every screen.
import { computed, signal } from "@preact/signals";

export const screens = ["overview", "sessions", "interventions", "dead-letters", "budget", "features"] as const;
export type Screen = (typeof screens)[number];

export interface Route {
  screen: Screen;
  id: string | null;
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [first, ...rest] = path.split("/");
  let id: string | null = null;
  try {
    id = rest.length > 0 ? decodeURIComponent(rest.join("/")) || null : null;
  } catch {}
  const screen = screens.find((s) => s === first) ?? "overview";
  return { screen, id, query: new URLSearchParams(query) };
}

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));
export const route = computed(() => parse(hash.value));

export const href = (screen: Screen, id?: string): string => `#/${screen}${id === undefined ? "" : `/${encodeURIComponent(id)}`}`;
export const go = (screen: Screen, id?: string): void => {
  location.hash = href(screen, id);
};
