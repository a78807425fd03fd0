//! Hooks shared by the screens: a resource that is fetched again and again, a clock, a virtual list.
import { signal } from "@preact/signals";
import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { Failure, get } from "./api.ts";

export interface Resource<T> {
  data: T | null;
  error: Failure | null;
  reload(): void;
  set(value: T): void;
}

/** What `path` answers, asked again every `every_ms`. The last good answer stays while a newer one fails. */
export function useResource<T>(path: string | null, every_ms = 0): Resource<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; error: Failure | null }>({ path, data: null, error: null });
  const [turn, reload] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const data = await get<T>(path, abort.signal);
        setState({ path, data, error: null });
      } catch (error) {
        if (abort.signal.aborted) return;
        const failure = error instanceof Failure ? error : new Failure(0, String(error));
        setState((before) => ({ path, data: before.path === path ? before.data : null, error: failure }));
      }
      if (every_ms > 0 && !abort.signal.aborted) timer = setTimeout(() => void ask(), every_ms);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, every_ms, turn]);
  const current = state.path === path ? state : { data: null, error: null };
  return { data: current.data, error: current.error, reload: () => reload(undefined), set: (data) => setState({ path, data, error: null }) };
}

/** Goes up once a second while the page is in sight. */
export const second = signal(0);
setInterval(() => {
  if (!document.hidden) second.value++;
}, 1000);

export interface VirtualRows {
  total: number;
  rows: { index: number; start: number; size: number }[];
  show(index: number): void;
}

/** Which of `count` rows are in sight of the scroller. */
export function useVirtual(scroller: RefObject<HTMLElement | null>, count: number, row_px: number): VirtualRows {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const options = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => row_px,
    overscan: 8,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: () => redraw(undefined),
  };
  const virtualizer = useMemo(() => new Virtualizer<HTMLElement, HTMLElement>(options), []);
  virtualizer.setOptions(options);
  useLayoutEffect(() => virtualizer._didMount(), []);
  useLayoutEffect(() => virtualizer._willUpdate());
  const rows = virtualizer.getVirtualItems().map(({ index, start, size }) => ({ index, start, size }));
  return { total: virtualizer.getTotalSize(), rows, show: (index) => virtualizer.scrollToIndex(index) };
}

/** Keeps a value that lags behind: unchanged while `hold` is true. */
export function useHeld<T>(value: T, hold: boolean): T {
  const ref = useRef(value);
  if (!hold) ref.current = value;
  return ref.current;
}

/** Whether the window is wide enough for two columns. */
const wideQuery = matchMedia("(min-width: 1000px)");
export const wide = signal(wideQuery.matches);
wideQuery.addEventListener("change", () => (wide.value = wideQuery.matches));
