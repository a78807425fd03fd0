//! The tracker's entry: reads the script tag, takes the queued commands over, and watches the page come and go.

import type { Consent, Midsession } from "../midsession.d.ts";
import { connect, disconnect, handlers, refresh, stop, turn } from "./push.ts";
import { forget, here, leave, resume, track, view, viewed } from "./queue.ts";
import { adopt, cookie, load, Mode, mode, options, readConsent, save, settle, silent, startConsent } from "./state.ts";

const start = () => {
  resume();
  void connect();
};

/** A choice made in one tab holds in all of them. */
const tabs = new BroadcastChannel("_ms");

/** Who said before it was allowed to tell. */
let user: string | undefined;

const commands = {
  track,
  page(fields?: Parameters<typeof view>[0]) {
    void refresh();
    return view(fields);
  },
  identify(id: string | number) {
    // A missing id, or a promise of one, names nobody.
    if (!id || (id !== +id && id !== id + "")) return console.warn("identify", id);
    user = `${id}`;
    // A page may say this on every load; only a change is a login.
    if (mode < Mode.Full || load("user") == user) return;
    save("user", user);
    track("login", { user_id: user });
  },
  logout() {
    track("logout");
    save("user", (user = undefined));
  },
  consent(consent: Consent, told?: boolean) {
    if (!told) tabs.postMessage(consent);
    const next = readConsent(consent);
    if (told && next == mode) return;
    // A page that only waited for the answer withdraws what was allowed on an earlier one.
    if (!next && !mode && cookie()) settle(Mode.Full);
    const before = mode;
    if (next < before) {
      // The withdrawal is the last thing sent under the old id; without any consent even what waited is not.
      if (!next) forget();
      // The tab in which it was said tells the collector.
      if (!told) track("consent");
      leave(true);
      stop();
    }
    settle(next);
    if (next >= before) {
      if (!told) track("consent");
      if (user) commands.identify(user);
      start();
    }
  },
  on(name: string, callback: (typeof handlers)[string]) {
    handlers[name] = callback;
  },
};

const run = (name: unknown, ...args: unknown[]) =>
  (commands as Record<string, (...args: unknown[]) => unknown>)[name as string]?.(...args);

/** `on` and `consent` must be known before anything is sent or shown. */
const early = ([name]: unknown[]) => +/on/.test(name as string);

const stub = window.midsession;

// Our function names its first parameter, the page's stub has none: a script included twice runs once.
if (!stub?.length) {
  window.midsession = run as Midsession;
  startConsent();
  [...(options.auto ? [["page"]] : []), ...((stub?.q ?? []) as unknown[][])]
    .sort((a, b) => early(b) - early(a))
    .forEach(([name, ...args]) => run(name, ...args));
  start();

  tabs.onmessage = ({ data }) => commands.consent(data, true);
  let left: string | undefined;
  addEventListener("pagehide", () => {
    left = cookie();
    leave();
    disconnect();
  });
  addEventListener("visibilitychange", turn);
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    // What was on show when it was left may have been taken back since; a page that is loaded shows it no more either.
    stop();
    // No message reaches a page in the cache. What other pages did about consent is told by the cookie: none any more
    // means withdrawn, another one given again since.
    const id = cookie();
    if (left && !silent && mode == Mode.Full) {
      if (id) adopt(id);
      else commands.consent("none", true);
    }
    if (viewed) view();
    void connect();
  });
  if (options.auto == "spa") {
    // After the router is done, so that the title is the new page's.
    const moved = () =>
      setTimeout(() => {
        if (here() != viewed) commands.page();
      });
    for (const method of ["pushState", "replaceState"] as const) {
      const original = history[method];
      history[method] = (...args) => {
        original.apply(history, args);
        moved();
      };
    }
    addEventListener("popstate", moved);
  }
}
