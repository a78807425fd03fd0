//! The tracker's entry: reads the script tag, takes the queued commands over, and watches the page come and go.

import type { Consent, Midsession } from "../midsession.d.ts";
import { connect, disconnect, handlers, stop, turn } from "./push.ts";
import { forget, here, leave, resume, track, view, viewed } from "./queue.ts";
import { load, Mode, mode, options, readConsent, save, settle, startConsent } from "./state.ts";

const start = () => {
  if (mode == Mode.Full) {
    resume();
    void connect();
  }
};

const commands = {
  track,
  page: view,
  identify(user: string) {
    // A page may say this on every load; only a change is a login.
    if (mode < Mode.Full || load("user") == user) return;
    save("user", user);
    track("login", { user_id: user });
  },
  logout() {
    track("logout");
    save("user");
  },
  consent(consent: Consent) {
    const before = mode;
    const next = readConsent(consent);
    if (next < before) {
      // The withdrawal is the last thing sent under the old id; without any consent even what waited is not.
      if (!next) forget();
      track("consent");
      leave(true);
      stop();
    }
    settle(next);
    if (next > before) start();
    if (next >= before) track("consent");
  },
  on(name: string, callback: (typeof handlers)[string]) {
    handlers[name] = callback;
  },
};

const run = ([name, ...args]: unknown[]) =>
  (commands as Record<string, (...args: unknown[]) => unknown>)[name as string]?.(...args);

/** `on` and `consent` must be known before anything is sent or shown. */
const early = ([name]: unknown[]) => +/on/.test(name as string);

const queued = (window.midsession?.q ?? []) as unknown[][];
window.midsession = ((...call: unknown[]) => run(call)) as Midsession;
startConsent();
[...(options.auto ? [["page"]] : []), ...queued].sort((a, b) => early(b) - early(a)).forEach(run);
start();

addEventListener("pagehide", () => {
  leave();
  disconnect();
});
addEventListener("visibilitychange", turn);
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  if (viewed) view();
  void connect();
});
if (options.auto == "spa") {
  // After the router is done, so that the title is the new page's.
  const moved = () =>
    setTimeout(() => {
      if (here() != viewed) view();
    });
  for (const method of ["pushState", "replaceState"] as const) {
    const original = history[method];
    history[method] = function (...args) {
      original.apply(this, args);
      moved();
    };
  }
  addEventListener("popstate", moved);
}
