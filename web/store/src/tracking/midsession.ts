//! Our own tracker as a backend of the shop: loads /midsession.js with the page's write key and hands events over.
import { signal } from "@preact/signals";
import type { Midsession } from "../../../tracker/midsession.d.ts";
import type { ConsentMode } from "../state.ts";
import type { Backend, Fields, Name, Setup } from "./types.ts";

/** The code of the last discount painted on this page. */
export const offeredCode = signal("");

/** Runs the tracker's script. `track: "off"` makes it listen for interventions only. */
export function loadTracker(data: Record<string, string>, failed: () => void): void {
  // The snippet's queue: what is said before the script is here is said first, before it asks for its token.
  const q: unknown[][] = [];
  window.midsession ??= Object.assign((...command: unknown[]) => void q.push(command), { q }) as unknown as Midsession;
  window.midsession("on", "painted", ({ payload }) => {
    if (typeof payload.code === "string") offeredCode.value = payload.code;
  });
  const script = document.createElement("script");
  script.src = "/midsession.js";
  Object.assign(script.dataset, data);
  script.onerror = failed;
  document.head.append(script);
}

export class MidsessionBackend implements Backend {
  async start(setup: Setup): Promise<void> {
    loadTracker({ key: setup.writeKey, push: "on", consent: setup.consent }, setup.failed);
    if (setup.userId) this.login(setup.userId);
  }
  track(name: Name, fields: Fields): void {
    // "page" also knows the page before, which a single-page shop has no referrer for.
    if (name === "page_view") window.midsession?.("page", fields);
    else window.midsession?.("track", name, fields);
  }
  consent(mode: ConsentMode): void {
    window.midsession?.("consent", mode);
  }
  login(userId: string): void {
    window.midsession?.("identify", userId);
  }
  logout(): void {
    window.midsession?.("logout");
  }
  ids(): { visitor: string | null; session: string | null } {
    return { visitor: /(?:^|; )_ms_vid=([^;]+)/.exec(document.cookie)?.[1] ?? null, session: null };
  }
}
