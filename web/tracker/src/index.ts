//! The tracker's entry: reads the script tag, takes the queued commands over, and watches the page come and go.

import type { Consent, Fields, Midsession } from "../midsession.d.ts";
import { connect, handlers, stop } from "./push.ts";
import { forget, resume, track, withdraw } from "./queue.ts";
import { FULL, load, mode, options, save, setConsent, startConsent, visitorId } from "./state.ts";

const silent = options.track == "off";
let viewed: string | undefined;

const view = (fields?: Fields) => {
  const referrer = viewed ?? document.referrer;
  viewed = location.href;
  return track("page_view", { ...fields, page: { referrer, ...fields?.page } });
};

const commands: Record<string, (...args: never[]) => unknown> = {
  track,
  page: view,
  identify(user: string) {
    // A page may say this on every load; only a change is a login.
    if (mode != FULL || load("user") == user) return;
    save("user", user);
    track("login");
  },
  logout() {
    track("logout");
    if (mode == FULL) save("user");
  },
};

const always: typeof commands = {
  consent(consent: Consent) {
    const before = mode;
    const visitor = before && !silent && visitorId();
    setConsent(consent);
    if (mode < before) {
      if (!mode) forget();
      stop();
      if (visitor) withdraw(visitor);
    } else {
      if (!silent) track("consent");
      if (mode == FULL && before < FULL) start();
    }
  },
  on(name: string, callback: (typeof handlers)[string]) {
    handlers[name] = callback;
  },
};

const start = () => {
  resume();
  void connect();
};

const run = ([name, ...args]: ArrayLike<unknown> & Iterable<unknown>) =>
  (always[name as string] ?? (silent ? undefined : commands[name as string]))?.(...(args as never[]));

const boot = () => {
  const queued = window.midsession?.q ?? [];
  window.midsession = ((...args: unknown[]) => run(args)) as Midsession;
  startConsent();
  // Consent and callbacks first: the commands queued before them must not slip through.
  const early = (args: ArrayLike<unknown>) => (args[0] as string) in always;
  const calls = Array.from(queued, (args) => Array.from(args));
  calls.filter(early).forEach(run);
  if (options.auto && !silent) view();
  calls.filter((args) => !early(args)).forEach(run);
  if (mode == FULL) start();

  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    if (viewed) view();
    void connect();
  });
  if (options.auto == "spa" && !silent) {
    // After the router is done, so that the title is the new page's.
    const moved = () =>
      setTimeout(() => {
        if (location.href.split("#")[0] != viewed?.split("#")[0]) view();
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
};

if (!window.midsession || window.midsession.q) boot();
