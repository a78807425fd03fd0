//! What this page knows of its shopper: the script's options, consent, the visitor id, and the little that is stored.

import type { Consent } from "../midsession.d.ts";

const script = (document.currentScript ?? document.querySelector("script[data-key]")) as HTMLScriptElement;

/** The script tag's `data-` attributes. */
export const options = script.dataset;

const base = options.endpoint ? new URL(options.endpoint, location.href) : new URL(".", script.src);

/** An address of the collector: the endpoint, or else where the script came from. */
export const address = (path: string) => base.href.replace(/\/$/, "") + "/v1/" + path;

/** `crypto.randomUUID`, which plain http lacks. */
export const uuid = () =>
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (+digit ^ (crypto.getRandomValues(new Uint8Array(1))[0]! & (15 >> (+digit / 4)))).toString(16),
  );

/** Nothing is sent or stored; sent but not stored; all of it. */
export const NONE = 0;
export const COOKIELESS = 1;
export const FULL = 2;

export let mode = NONE;
/** Goes up whenever `mode` goes down, so that what was under way can tell that it is too late. */
export let withdrawals = 0;
/** The purposes, once the page has declared them; until then the source's default holds. */
export let purposes: Record<string, boolean> | undefined;

let visitor: string | undefined;
let memory: Record<string, string> = {};

/** Sets the visitor id that the server knows, where another tracker keeps it. */
export const adopt = (id: string) => {
  visitor = id;
};

const writeCookie = (value: string, seconds: number) => {
  document.cookie =
    `_ms_vid=${value};path=/;max-age=${seconds};samesite=lax` +
    (options.domain ? ";domain=" + options.domain : "") +
    (location.protocol == "https:" ? ";secure" : "");
};

/** The visitor id: from the cookie under full consent, else new for this page load. */
export const visitorId = () => {
  if (!visitor) {
    visitor = (mode == FULL && /(?:^|; )_ms_vid=([^;]+)/.exec(document.cookie)?.[1]) || uuid();
    if (mode == FULL) writeCookie(visitor, 31536e3);
  }
  return visitor;
};

/** Reads what was stored; only full consent stores, and where storage is blocked it lasts as long as the page. */
export const load = (key: string): string | undefined => {
  if (mode != FULL) return;
  try {
    return localStorage.getItem("_ms_" + key) ?? memory[key];
  } catch {}
  return memory[key];
};

/** Stores, or removes without a value. */
export const save = (key: string, value = "") => {
  memory[key] = value;
  try {
    if (value) localStorage.setItem("_ms_" + key, value);
    else localStorage.removeItem("_ms_" + key);
  } catch {}
};

const read = (consent: Consent) => {
  const full = consent == "full";
  const given: Record<string, boolean | undefined> =
    typeof consent == "string"
      ? { analytics: full || consent == "cookieless", personalization: full, experiments: full, marketing: full }
      : consent;
  let next = NONE;
  purposes = {};
  for (const purpose of ["analytics", "experiments", "marketing", "personalization"]) {
    if ((purposes[purpose] = !!given[purpose])) next = purpose == "personalization" ? FULL : COOKIELESS;
  }
  return next;
};

/** Takes a choice over that the shopper made on this page; what it no longer allows to be stored is removed. */
export const setConsent = (consent: Consent) => {
  const next = read(consent);
  if (next < mode) withdrawals++;
  if (next < FULL) {
    for (const key of ["queue", "seen", "user"]) save(key);
    memory = {};
    writeCookie("", 0);
  }
  if (next != mode && options.track != "off") visitor = undefined;
  mode = next;
};

/**
 * The page's first word on consent; without one everything is allowed as far as the source allows it. Nothing is
 * removed yet: a page that starts with "none" may only be waiting for its consent banner.
 */
export const startConsent = () => {
  mode = options.consent ? read(options.consent as Consent) : FULL;
};
