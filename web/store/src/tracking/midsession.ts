//! Our own tracker as a backend of the shop: loads /midsession.js with the page's write key and hands events over.
import { signal } from "@preact/signals";
import type {} from "../../../tracker/midsession.d.ts";
import type { ConsentMode } from "../state.ts";
import type { Backend, Fields, Name } from "./types.ts";

/** The code of the last discount painted on this page. */
export const offeredCode = signal("");

/** Runs the tracker's script. `track: "off"` makes it listen for interventions only. */
export function loadTracker(data: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/midsession.js";
    Object.assign(script.dataset, data);
    script.onload = () => {
      window.midsession?.("on", "painted", ({ payload }) => {
        if (typeof payload.code === "string") offeredCode.value = payload.code;
      });
      resolve();
    };
    script.onerror = () => reject(new Error("/midsession.js did not load"));
    document.head.append(script);
  });
}

export class MidsessionBackend implements Backend {
  async start(setup: { writeKey: string; consent: ConsentMode; userId: string | null }): Promise<void> {
    await loadTracker({ key: setup.writeKey, push: "on", consent: setup.consent });
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
