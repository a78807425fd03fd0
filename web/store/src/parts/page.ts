//! Names the page and reports the view of it, before anything else the page reports.
import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { track } from "../tracking/index.ts";

export function usePage(title: string): void {
  const { url } = useLocation();
  useEffect(() => {
    document.title = `${title} · Halden`;
    track("page_view");
  }, [url]);
}
