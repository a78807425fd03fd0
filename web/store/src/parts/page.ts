//! Names the page and reports the view of it, before anything else the page reports (which is in effects, later).
import { useLayoutEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { track } from "../tracking/index.ts";

export function usePage(title: string): void {
  const { url } = useLocation();
  const page = url.split("#", 1)[0];
  useLayoutEffect(() => {
    document.title = `${title} · Halden`;
    track("page_view");
  }, [page]);
}
